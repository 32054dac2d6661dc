/** A plant of a world: its host, and the process that runs on it, one life after the other. */
import { asPlantError, type GoldenId, type Log, type PeerId } from '../../protocols/kit/index.ts'
import { CAPACITY_TOPIC } from '../../protocols/capacity/index.ts'
import { GRANT_SPACE, GRANT_TOPIC, grantRules } from '../../protocols/member/index.ts'
import { HOLDINGS_TOPIC } from '../../protocols/image/index.ts'
import { TEMPLATE_TOPIC } from '../../protocols/template/index.ts'
import { RandomStream } from '../kernel/index.ts'
import { SimClock } from './clock.ts'
import type { PlantNode, PlantNodeComponents, PlantNodeInit } from '../../node/composition/plant-node.ts'
import type { KeyRing } from './crypto.ts'
import type { SimHost } from './host/host.ts'
import type { SimCard } from './host/card.ts'
import { SimLine } from './host/line.ts'
import { SimRecords } from './host/records.ts'
import { SimWarehouse, type DraftImages } from './host/warehouse.ts'
import type { LineWatch } from './host/work.ts'
import type { ImageDisk } from './images/image-disk.ts'
import { SimImageStore } from './images/image-store.ts'
import { imageOf } from './images/make-image.ts'
import { SimSwarm } from './images/swarm.ts'
import type { SwarmNet } from './images/swarm-net.ts'
import { liarParts, type Lie } from './liar.ts'
import { Life, type Effect } from './life.ts'
import type { Network, NetProcess } from './network/network.ts'
import { usOf } from './timeline.ts'

/** Makes a plant of its parts: the daemon's own composition, or one with a part swapped. */
export type Compose = (init: PlantNodeInit, components: PlantNodeComponents, signal: AbortSignal) => Promise<PlantNode>

export interface SimPlantInit {
  host: SimHost
  seed: number
  network: Network
  ring: KeyRing
  compose: Compose
  /** What all plants of a world are told alike. */
  policy: Pick<PlantNodeInit, 'costModel' | 'bidding' | 'candidatesMax' | 'life'>
  /** Machines that a plant makes at once; as many as its host has processors by default. */
  creationsAtOnce?: number
  /** What spares may take; none by default. */
  spareMemoryMiB?: number
  bootstrap: readonly PeerId[]
  /** What the host has of images, and who serves what; absent: plants neither offer nor fetch golden machines. */
  images?: { disk: ImageDisk, net: SwarmNet }
  line: LineWatch
  onEvent: (kind: string, plant: string, fields: Record<string, unknown>) => void
  onLog?: (plant: string, level: 'debug' | 'info' | 'warn' | 'error', fields: Record<string, unknown>, message: string) => void
}

/** A process that ends at its start (a full disk, say) is started again after this: what a supervisor does. */
const START_AGAIN_MS = 5_000
/** A supervisor kills a plant that has not stopped by then: systemd's default. */
const STOPPED_WITHIN_MS = 90_000
/** As in `node/cli/run-plant.ts`. */
const PROBE_EVERY_MS = 5_000

/** One plant of a world; its process may come and go. */
export class SimPlant {
  readonly host: SimHost
  readonly lies = new Set<Lie>()
  readonly #init: SimPlantInit
  readonly #mourners = new Set<() => void>()
  #life: Life | undefined
  #lives = 0
  #process: NetProcess | undefined
  #node: PlantNode | undefined
  #warehouse: SimWarehouse | undefined
  #readyUs: number | undefined

  constructor (init: SimPlantInit) {
    this.#init = init
    this.host = init.host
  }

  get name (): string { return this.host.name }
  get peer (): PeerId { return this.host.peer }
  /** The life that runs now. */
  get life (): Life | undefined { return this.#life }
  get process (): NetProcess | undefined { return this.#process }
  /** The plant, once it can take orders. */
  get node (): PlantNode | undefined { return this.#node }
  /** Plants that it joins by. */
  get bootstraps (): number { return this.#init.bootstrap.length }
  get warehouse (): SimWarehouse | undefined { return this.#warehouse }
  /** When it could take orders last, in this life or one before. */
  get readyMs (): number | undefined { return this.#readyUs === undefined ? undefined : this.#readyUs / 1_000 }
  /** What lies on its host's disk of the mesh's golden machines. */
  get imageDisk (): ImageDisk | undefined { return this.#init.images?.disk }

  /** Starts the process; one that runs goes on, and a host that has no power is powered on. */
  start (): void {
    if (this.#life !== undefined) return
    const { host, ring, network, seed, line } = this.#init
    host.up = true
    const life = new Life(this.#lives++, (_life, before) => { this.#onDeath(before) })
    this.#life = life
    const random = new RandomStream(seed, 'plant', this.name).fork('life', life.incarnation)
    const clock = new SimClock(host.timeline, host.clock, life)
    const log = this.#log(life)
    this.#tell('plant.started', { life: life.incarnation })
    const process = network.join({
      self: this.peer, life, clock, crypto: ring, log,
      topics: [CAPACITY_TOPIC, GRANT_TOPIC, TEMPLATE_TOPIC, ...(this.#init.images === undefined ? [] : [HOLDINGS_TOPIC])],
      rules: { [GRANT_SPACE]: grantRules(ring) },
      bootstrap: this.#init.bootstrap
    })
    this.#process = process
    const { images, drafts } = this.#imageParts(life, clock, random)
    const warehouse = new SimWarehouse(host, life, ring, drafts)
    this.#warehouse = warehouse
    const honest: PlantNodeComponents = {
      clock, random, crypto: ring, signer: host.key, log, warehouse,
      transport: process.transport, pubsub: process.pubsub, directory: process.directory,
      records: new SimRecords(host, life, clock),
      line: new SimLine(host, life, line),
      deviceOf: (card) => card as unknown as SimCard,
      ...(images !== undefined && { images }),
      media: async () => undefined
    }
    const init = { site: host.site, ...this.#init.policy, capacity: host.capacity, cpus: this.#init.creationsAtOnce ?? host.init.cpus, load: 0, spareMemoryMiB: this.#init.spareMemoryMiB ?? 0 }
    this.#init.compose(init, liarParts(honest, this.lies, (lie) => { host.init.onStrike?.(`lie ${lie}`) }), new AbortController().signal).then((node) => {
      if (life.dead) return
      this.#node = node
      this.#readyUs = host.timeline.nowUs
      this.#tell('plant.ready', { life: life.incarnation })
      this.#probe(node, clock)
    }, (error: unknown) => {
      if (life.dead) return
      this.#tell('plant.startFailed', { code: asPlantError(error).code, problem: String(asPlantError(error).details['problem'] ?? '') })
      life.die()
      host.timeline.after(usOf(START_AGAIN_MS), () => { if (host.up) this.start() })
    })
  }

  /** What it has of the mesh's golden machines, and how drafts become ones that can be offered. */
  #imageParts (life: Life, clock: SimClock, random: RandomStream): { images?: NonNullable<PlantNodeComponents['images']>, drafts?: DraftImages } {
    const { host, network, ring, images } = this.#init
    if (images === undefined) return {}
    const { disk, net } = images
    const store = new SimImageStore({ host, life, crypto: ring, disk, arrived: (golden) => { this.#warehouse?.arrived(golden) } })
    const onLie = (lie: Lie): void => { host.init.onStrike?.(`lie ${lie}`) }
    return {
      images: { store, swarm: new SimSwarm({ self: host.peer, life, clock, net, lies: this.lies, onLie, random: random.fork('swarm'), reaches: (from) => !network.links.isBroken(from, host.peer) }) },
      drafts: {
        commit: (golden, label) => {
          const base = golden.from === undefined ? undefined : disk.images.get(golden.from as GoldenId)?.manifest
          const image = imageOf({ golden, label, ...(base !== undefined && { base }) }, ring, host.key)
          disk.put(image)
          store.packsChanged()
          return image.golden
        },
        remove: (id) => {
          disk.remove(id)
          store.packsChanged()
        }
      }
    }
  }

  /** The process ends here and now; its machines go on. */
  crash (): void { this.#life?.die() }

  /** Stops it in order, as SIGTERM does: its API first, then the plant, then the process; a supervisor kills one that takes too long. Machines go on. */
  stop (): void {
    const node = this.#node
    const life = this.#life
    if (node === undefined || life === undefined) {
      this.crash()
      return
    }
    this.#node = undefined
    this.#tell('plant.stopping', {})
    const { timeline } = this.host
    const ended = (): void => { timeline.after(0, () => { life.die() }) }
    timeline.after(0, () => { node.closeDoors().then(async () => node.stop()).then(ended, (error: unknown) => {
      this.#tell('plant.stopFailed', { code: asPlantError(error).code })
      ended()
    }) }, life)
    timeline.after(usOf(STOPPED_WITHIN_MS), () => {
      if (life.dead) return
      this.#tell('plant.killed', {})
      life.die()
    })
  }

  /** The host loses power, with all that runs on it. */
  powerOff (diskLost: boolean): void {
    if (!this.host.up) return
    this.host.up = false
    this.#life?.die()
    this.host.powerOff(diskLost)
    if (diskLost) this.#init.images?.disk.clear()
  }

  /** The process gets no processor for so long. */
  standStill (ms: number): void {
    if (this.#life === undefined) return
    // One that strikes in the middle of a longer one ends with it: what was put off until then stays put off.
    this.#life.stillUntilUs = Math.max(this.#life.stillUntilUs, this.host.timeline.nowUs + usOf(ms))
    this.#init.network.stoodStill(this.peer)
  }

  /** Called when its process has died: what its clients notice. */
  onDeath (fn: () => void): void { this.#mourners.add(fn) }
  offDeath (fn: () => void): void { this.#mourners.delete(fn) }

  #onDeath (before: Effect | undefined): void {
    this.#tell('plant.died', { life: this.#lives - 1, ...(before !== undefined && { before }), ...(!this.host.up && { power: false }) })
    this.#life = undefined
    this.#process = undefined
    this.#node = undefined
    this.#warehouse = undefined
    this.#init.network.gone(this.peer, !this.host.up)
    this.host.changed()
    // Never from within the process: it may be in the middle of something.
    const mourners = [...this.#mourners]
    this.#mourners.clear()
    this.host.timeline.after(0, () => { for (const fn of mourners) fn() })
  }

  /** As the daemon does: looks at its host's load again and again. */
  #probe (node: PlantNode, clock: SimClock): void {
    clock.after(PROBE_EVERY_MS, () => {
      if (this.#node !== node) return
      const { cpu, init } = this.host
      node.onHost(Math.round(cpu.users / init.cpus * 100) / 100)
      this.#probe(node, clock)
    })
  }

  #tell (kind: string, fields: Record<string, unknown>): void { this.#init.onEvent(kind, this.name, fields) }

  #log (life: Life): Log {
    const { onLog } = this.#init
    const say = (level: 'debug' | 'info' | 'warn' | 'error') => (fields: Record<string, unknown>, message: string): void => {
      if (!life.dead) onLog?.(this.name, level, fields, message)
    }
    return { debug: say('debug'), info: say('info'), warn: say('warn'), error: say('error') }
  }
}
