/** A whole world from a scenario and a seed: hosts, network, plants, and one timeline. What happens in it goes into its trace. */
import type { PeerId, VmId } from '../../protocols/kit/index.ts'
import { RandomStream } from '../kernel/index.ts'
import type { LinkSpec, PlantGroup, PolicyModule, Scenario, SimEvent } from '../scenario/index.ts'
import { FairShare, vmTimings } from '../timings/index.ts'
import { HostClock } from './clock.ts'
import { startPlantNode, type PlantNodeInit } from '../../node/composition/plant-node.ts'
import { KeyRing, type SimKey } from './crypto.ts'
import type { Heard } from './host/guest.ts'
import { SimHost, type EndedKept, type GuestNature, type HostMachine } from './host/host.ts'
import type { LineWatch } from './host/work.ts'
import { ImageDisk } from './images/image-disk.ts'
import { imageOf } from './images/make-image.ts'
import { SwarmNet } from './images/swarm-net.ts'
import { Network, type NetworkWatch } from './network/network.ts'
import type { Gossip } from './network/pubsub.ts'
import { goldenOf } from './orders.ts'
import { policyOf } from './policy.ts'
import { Strikes } from './strikes.ts'
import { SimPlant, type Compose, type SimPlantInit } from './plant.ts'
import { Timeline, usOf, type Quiet } from './timeline.ts'
import { Trace } from './trace.ts'
import type { StreamSeen } from './watch.ts'
import { networkWatch } from './watch.ts'

export interface WorldInit {
  scenario: Scenario
  seed: number
  quiet: Quiet
  /** The daemon's own composition by default. */
  compose?: Compose
  /** Plants offer their golden machines to each other and fetch them over lines of this rate; absent: they do not (sim/world/images). */
  images?: { bytesPerMs: number }
  /** How copies of golden machines are taken and given up, where plants fetch; the daemon's defaults by default. */
  life?: PlantNodeInit['life']
  /** How the next guest of a host behaves; sound by default. */
  nature?: (host: SimHost, random: RandomStream) => GuestNature
  /** Machines that have ended and are remembered by each plant; the daemon's bounds by default. */
  endedKept?: EndedKept
  /** What machines may take on each plant that are made before they are ordered; none by default. */
  spareMemoryMiB?: number
  onEvent?: (event: SimEvent) => void
  onLog?: SimPlantInit['onLog']
  /** Every message, with its bytes: for diagrams. */
  onMessage?: (seen: StreamSeen) => void
  /** Whatever a plant's key signs. */
  onSigned?: (by: PeerId, bytes: Uint8Array) => void
  /** What guests hear of each other on their networks. */
  onHeard?: (machine: HostMachine, heard: Heard) => void
  /** Gossip that a plant has taken or left. */
  onGossip?: (at: PeerId, gossip: Gossip, verdict: string) => void
  line?: Partial<LineWatch>
  /** What a policy file decides instead of the daemon. */
  policies?: PolicyModule
}

/** Plants start within this, drawn; those that others join by come first. */
const START_SPREAD_MS = 200

/** One world: made, started, and let run; what happened is in its trace. Rejects with what an event threw. */
export class World {
  readonly scenario: Scenario
  readonly seed: number
  readonly timeline = new Timeline()
  readonly trace: Trace
  readonly ring = new KeyRing()
  readonly strikes = new Strikes()
  readonly random: RandomStream
  readonly network: Network
  /** Absent where plants fetch nothing of each other. */
  readonly swarms: SwarmNet | undefined
  readonly plants: SimPlant[]
  readonly #byName: Map<string, SimPlant>
  readonly #byPeer: Map<PeerId, SimPlant>
  readonly #init: WorldInit
  /** How long the scripts of each machine take, where the scenario says so. */
  readonly actionTimes = new Map<VmId, Map<string, number>>()
  /** Counts what happened to hosts: checkers need not look again while it stands. */
  changes = 0
  /** Gossip and stream messages so far. */
  messages = 0

  constructor (init: WorldInit) {
    this.#init = init
    this.scenario = init.scenario
    this.seed = init.seed
    this.random = new RandomStream(init.seed)
    this.trace = new Trace(this.timeline, init.onEvent)
    const watch: NetworkWatch = networkWatch(this, (peer) => this.nameOf(peer), init)
    this.network = new Network({ timeline: this.timeline, seed: String(init.seed), watch, link: (from, to) => this.naturalLink(from, to) })
    this.swarms = init.images && new SwarmNet(init.images.bytesPerMs)
    this.plants = this.#makePlants()
    this.#byName = new Map(this.plants.map((plant) => [plant.name, plant]))
    this.#byPeer = new Map(this.plants.map((plant) => [plant.peer, plant]))
  }

  plant (name: string): SimPlant | undefined { return this.#byName.get(name) }
  at (peer: PeerId): SimPlant | undefined { return this.#byPeer.get(peer) }
  nameOf (peer: PeerId): string { return this.#byPeer.get(peer)?.name ?? peer }
  newKey (purpose: string): SimKey { return this.ring.make(this.random.fork('key', purpose)) }

  tell (kind: string, plant: string | undefined, fields: Record<string, unknown> = {}): void { this.trace.tell(kind, plant, fields) }

  /** Plans the start of every plant. */
  start (): void {
    const random = this.random.fork('start')
    for (const [at, plant] of this.plants.entries()) {
      this.timeline.after(at === 0 ? 0 : usOf(10) + random.int(usOf(START_SPREAD_MS)), () => { plant.start() })
    }
  }

  /** Lets time pass up to then; `settled` is asked after each event, once all promises are quiet, and ends the run by answering false. */
  async run (untilMs: number, settled?: () => boolean): Promise<void> {
    await this.timeline.run(usOf(untilMs), this.#init.quiet, settled)
  }

  #makePlants (): SimPlant[] {
    const { scenario, seed } = this
    const goldens = scenario.golden.map((spec) => ({ spec, golden: goldenOf(spec, this.ring) }))
    const publisher = this.#init.images === undefined ? undefined : this.newKey('publisher')
    const images = publisher === undefined ? undefined : new Map(goldens.map(({ spec, golden }) => [spec.name, imageOf({ golden, label: spec.name }, this.ring, publisher)]))
    const timings = vmTimings(scenario.timings)
    const trueClock = { monotonicMs: () => this.timeline.nowMs, after: (ms: number, fn: () => void) => this.timeline.after(Math.ceil(ms * 1_000), fn) }
    const store = timings.store === undefined ? undefined : new FairShare(trueClock, { ratePerMs: timings.store.bytesPerMs, eachPerMs: timings.store.clientBytesPerMs })
    const hosts = scenario.plants.flatMap((group) => namesOf(group).map((name) => {
      const random = this.random.fork('host', name)
      return new SimHost({
        name, group: group.name, site: group.site, random, timings, capacity: group.capacity, cpus: group.host.cpus, memoryMiB: group.host.memoryMiB,
        key: this.#watched(this.newKey(`plant/${name}`)),
        clock: new HostClock(this.timeline, group.clock),
        timeline: this.timeline,
        goldens: goldens.filter(({ spec }) => group.golden === undefined || group.golden.includes(spec.name)).map(({ spec, golden }) => images?.get(spec.name)?.golden ?? golden),
        ...(store !== undefined && { store }),
        nature: (host) => this.#natureOf(host, random),
        ...(this.#init.endedKept !== undefined && { endedKept: this.#init.endedKept }),
        onHeard: (machine, heard) => { this.#init.onHeard?.(machine, heard) },
        onChange: () => { this.changes++ },
        onEvent: (kind, fields) => { this.tell(kind, name, fields) },
        onStrike: (what) => { this.strikes.add(what) }
      })
    }))
    const line: LineWatch = {
      actionMs: (vmId, script) => this.actionTimes.get(vmId)?.get(script),
      phases: (vmId, ms) => { this.#init.line?.phases?.(vmId, ms) },
      begun: (host, vmId) => { this.#init.line?.begun?.(host, vmId) }
    }
    const { swarms } = this
    const diskOf = (host: SimHost): ImageDisk => {
      const disk = new ImageDisk()
      for (const image of images?.values() ?? []) if (host.shelf.has(image.golden.goldenId)) disk.put(image)
      return disk
    }
    return hosts.map((host, at) => new SimPlant({
      host, seed, line,
      network: this.network,
      ring: this.ring,
      ...(images !== undefined && swarms !== undefined && { images: { disk: diskOf(host), net: swarms } }),
      compose: this.#init.compose ?? startPlantNode,
      policy: { ...policyOf(scenario.policy, this.#init.policies, (peer) => this.nameOf(peer)), ...(this.#init.life !== undefined && { life: this.#init.life }) },
      ...(this.#init.spareMemoryMiB !== undefined && { spareMemoryMiB: this.#init.spareMemoryMiB }),
      ...(scenario.policy.creationsAtOnce !== undefined && { creationsAtOnce: scenario.policy.creationsAtOnce }),
      // Each joins by the first and by one before it, as an administrator would write it down; the first is told of the second.
      bootstrap: [...new Set([hosts[0], hosts[at === 0 ? Math.min(1, hosts.length - 1) : this.random.fork('bootstrap', host.name).int(at)]].flatMap((one) => one === undefined || one === host ? [] : [one.peer]))],
      onEvent: (kind, plant, fields) => { this.tell(kind, plant, fields) },
      ...(this.#init.onLog !== undefined && { onLog: this.#init.onLog })
    }))
  }

  #watched (key: SimKey): SimKey {
    const { onSigned } = this.#init
    if (onSigned === undefined) return key
    return {
      ...key,
      sign: (bytes) => {
        onSigned(key.id as string as PeerId, bytes)
        return key.sign(bytes)
      }
    }
  }

  #natureOf (host: SimHost, random: RandomStream): GuestNature {
    if (this.#init.nature !== undefined) return this.#init.nature(host, random)
    const fails = random.chance(this.scenario.timings.failureShare)
    return { start: fails ? 'fails' : 'answers', lateMs: 0, actions: 'done', identity: 'taken' }
  }

  /** The link of two plants as it is while nothing is wrong with it. */
  naturalLink (from: PeerId, to: PeerId): LinkSpec {
    const { links } = this.scenario
    const a = this.at(from)?.host.site ?? ''
    const b = this.at(to)?.host.site ?? ''
    const between = links.between.findLast((one) => (one.from === a && one.to === b) || (!one.oneWay && one.from === b && one.to === a))
    return between ?? (a === b ? links.within : links.default)
  }
}

/** The names of a group's plants. */
export function namesOf (group: PlantGroup): string[] {
  return group.count === 1 ? [group.name] : Array.from({ length: group.count }, (_, at) => `${group.name}-${at + 1}`)
}
