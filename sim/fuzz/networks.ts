/**
 * Tenant networks by what guests hear: nobody hears a frame of another network, none twice, none of his own and none in another's name; and once all is mended everybody on a
 * network has an address that nobody else there has, and hears all others.
 */
import type { VmId } from '../../protocols/kit/index.ts'
import { CALL_EVERY_MS, type Heard } from '../world/host/guest.ts'
import type { HostMachine, SimHost } from '../world/host/host.ts'
import { isLive, problem, type Checker, type Problem, type Seen } from './seen.ts'

/** Numbers that are remembered of one sender at one receiver: frames come in order but for those on their way while a tunnel moves. */
const REMEMBERED = 64
/** In peace nobody misses so many calls in a row. */
const CALLS_MISSED_MAX = 3

/** What one guest has heard of another. */
interface Ear { numbers: Set<number>, calledMs: number }

interface Speaker { host: SimHost, machine: HostMachine, network: string }

/** Told of each frame that a guest hears. */
export class NetworkTruth implements Checker {
  readonly name = 'networks'
  readonly #ears = new Map<HostMachine, Map<string, Ear>>()
  /** Which network each card speaks on, by its MAC; cards of machines that are gone too, as their last frames may still be on their way. */
  readonly #networks = new Map<string, string>()
  readonly #twins = new Set<string>()
  #problem: Problem | undefined

  onHeard (seen: Seen, machine: HostMachine, { from, seq, kind }: Heard): void {
    const own = networkOf(seen, machine.vmId)
    const theirs = this.#networks.get(from) ?? this.#find(seen, from)
    const ears = this.#ears.get(machine) ?? new Map<string, Ear>()
    this.#ears.set(machine, ears)
    const ear = ears.get(from) ?? { numbers: new Set(), calledMs: -Infinity }
    ears.set(from, ear)
    const blame = (text: string): void => { this.#problem ??= problem(this.name, seen, `the machine ${machine.vmId} on ${own ?? 'no network'} ${text}`, machine.vmId) }
    const twins = this.#haveTwins(seen, from)
    if (from === hexOf(machine.mac) && !twins) blame('hears itself')
    else if (theirs !== own) blame(`hears ${from}, which is on ${theirs ?? 'no network'}`)
    else if (kind === 'lie') blame(`hears ${from} in another's name`)
    else if (ear.numbers.has(seq) && !twins) blame(`hears frame ${seq} of ${from} twice`)
    ear.numbers.add(seq)
    for (const oldest of ear.numbers) if (ear.numbers.size > REMEMBERED) ear.numbers.delete(oldest)
    if (kind === 'call') ear.calledMs = seen.world.timeline.nowMs
  }

  /** While the mesh is cut an order may have two machines, with one card's address: their frames cannot be told apart, nor for a moment after. */
  #haveTwins (seen: Seen, mac: string): boolean {
    const cards = seen.world.plants.reduce((sum, { host }) => sum + [...host.machines.values()].filter((one) => hexOf(one.mac) === mac).length, 0)
    if (cards > 1) this.#twins.add(mac)
    return this.#twins.has(mac)
  }

  afterEvent (): Problem | undefined { return this.#problem }

  atRest (seen: Seen): Problem[] {
    const speakers = speakersOf(seen)
    return [...speakers.flatMap((one) => this.#alone(seen, one, speakers)), ...boundsKept(this.name, seen)]
  }

  atEnd (seen: Seen): Problem[] { return boundsKept(this.name, seen) }

  #alone (seen: Seen, { host, machine, network }: Speaker, speakers: readonly Speaker[]): Problem[] {
    const { vmId, guest } = machine
    const { nowMs } = seen.world.timeline
    if (guest.address === undefined) return [problem(this.name, seen, `the machine ${vmId} on ${host.name} has no address on ${network}`, vmId)]
    return speakers.filter((other) => other.network === network && other.machine !== machine).flatMap((other) => {
      const { guest: theirs, mac } = other.machine
      if (theirs.address === guest.address) return [problem(this.name, seen, `the machines ${vmId} on ${host.name} and ${other.machine.vmId} on ${other.host.name} have the same address on ${network}`, vmId)]
      const calledMs = this.#ears.get(machine)?.get(hexOf(mac))?.calledMs ?? -Infinity
      if (nowMs - calledMs <= CALLS_MISSED_MAX * CALL_EVERY_MS || nowMs - other.machine.startedUs / 1_000 <= CALLS_MISSED_MAX * CALL_EVERY_MS) return []
      return [problem(this.name, seen, `the machine ${vmId} on ${host.name} has not heard ${other.machine.vmId} on ${other.host.name} for ${nowMs - calledMs} ms, both on ${network}`, vmId)]
    })
  }

  #find (seen: Seen, mac: string): string | undefined {
    for (const { host } of seen.world.plants) {
      for (const machine of host.machines.values()) {
        const network = hexOf(machine.mac) === mac ? networkOf(seen, machine.vmId) : undefined
        if (network === undefined) continue
        this.#networks.set(mac, network)
        return network
      }
    }
    return undefined
  }
}

/** In peace plants know of a network what is there, and are on none that they have no machine of. */
function boundsKept (name: string, seen: Seen): Problem[] {
  const speakers = speakersOf(seen)
  return seen.world.plants.flatMap(({ host, node }) => (node?.networks?.list() ?? []).flatMap(({ network, stations, members }) => {
    const label = `${network.domain}/${network.name}`
    const there = speakers.filter((one) => one.network === label)
    const plants = new Set(there.map((one) => one.host.name))
    // Those that left are asked now and then for a while.
    const up = members.filter(({ state }) => state === 'up').length
    return [
      ...(plants.has(host.name) ? [] : [problem(name, seen, `${host.name} is on ${label} and has no machine of it`)]),
      ...(stations.length > there.length ? [problem(name, seen, `${host.name} knows ${stations.length} stations on ${label}, and ${there.length} machines are there`)] : []),
      ...(up > Math.max(0, plants.size - 1) ? [problem(name, seen, `${host.name} has tunnels to ${up} other members of ${label}, and there are ${plants.size - 1}`)] : [])
    ]
  }))
}

/** Machines that run, awake, on plants that are up, and that were ordered on a network. */
function speakersOf (seen: Seen): Speaker[] {
  return seen.world.plants.flatMap(({ host, node }) => node === undefined ? [] : [...host.machines.values()].flatMap((machine) => {
    const network = networkOf(seen, machine.vmId)
    const record = host.records.machines.get(machine.vmId)
    return network !== undefined && machine.alive && !machine.paused && record !== undefined && isLive(record) ? { host, machine, network } : []
  }))
}

function networkOf (seen: Seen, vmId: VmId): string | undefined {
  const machine = seen.orders.find((order) => order.vmId === vmId)?.plan.machine
  return machine?.network === undefined ? undefined : `${machine.domain}/${machine.network}`
}

function hexOf (mac: string): string { return mac.replaceAll(':', '') }
