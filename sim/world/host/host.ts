/**
 * A host: what is there whether or not a plant runs on it. Its machines and its disk outlive the plant's process; both are what checkers take for
 * the truth, whatever the plant's books say.
 */
import { PlantError, type GoldenId, type PeerId, type VmId } from '../../../protocols/kit/index.ts'
import type { Golden } from '../../../protocols/order/golden.ts'
import type { Identity } from '../../../node/lines/line.ts'
import type { Capacity } from '../../../node/plant/capacity.ts'
import type { RandomStream } from '../../kernel/index.ts'
import { FairShare, type HostFill, type VmTimings } from '../../timings/index.ts'
import type { HostClock } from '../clock.ts'
import type { SimKey } from '../crypto.ts'
import type { Strike } from '../strikes.ts'
import type { Timeline } from '../timeline.ts'
import type { SimCard } from './card.ts'
import { SimGuest, type Heard } from './guest.ts'
import { RecordStore } from './record-store.ts'

/** How a guest behaves, drawn when it is cloned. */
export interface GuestNature {
  /** The VMM does not start, or its agent never answers. */
  start: 'answers' | 'fails' | 'silent'
  /** How much longer than it should the start takes. */
  lateMs: number
  /** The VMM ends by itself so long after the start of the clone. */
  diesAfterMs?: number
  /** What its actions end in: done, with a status other than 0, or never. */
  actions: 'done' | 'fail' | 'hang'
  /** It does not take an identity. */
  identity: 'taken' | 'refused'
}

/** A guest without a flaw. */
export const SOUND_GUEST: GuestNature = { start: 'answers', lateMs: 0, actions: 'done', identity: 'taken' }

/** A machine as it is on its host: directory, and VMM process while `alive`. */
export interface HostMachine {
  /** Changes once, when a spare is handed out. */
  vmId: VmId
  readonly golden: Golden
  readonly pid: number
  readonly mac: string
  readonly cpus: number
  readonly memoryMiB: number
  diskMiB: number
  readonly nature: GuestNature
  /** The VMM process runs. */
  alive: boolean
  /** The clone is whole: before that a restarted plant cannot take it over. */
  made: boolean
  paused: boolean
  drives: number
  /** What its guest does with its first card. */
  readonly guest: SimGuest
  /** The plant's end of that card, while a plant holds it. */
  card?: SimCard
  /** Addresses of the network cards that were added. */
  readonly cards: Set<string>
  /** What the guest was last told to become, once it has taken it. */
  identity?: Identity
  startedUs: number
  /** How often each script was begun in it. */
  readonly scripts: Map<string, number>
  /** Told when the VMM ends. */
  readonly onDeath: Set<(reason: string) => void>
}

export interface SimHostInit {
  name: string
  /** The group of plants in its scenario that it belongs to. */
  group: string
  site: string
  key: SimKey
  capacity: Capacity
  cpus: number
  memoryMiB: number
  clock: HostClock
  timeline: Timeline
  timings: VmTimings
  random: RandomStream
  goldens: readonly Golden[]
  /** The store of golden machines that all hosts share, where the timings have one. */
  store?: FairShare
  /** Nature of the next guest; sound by default. */
  nature?: (host: SimHost) => GuestNature
  /** Machines that have ended and are remembered on its disk; as many as the daemon's by default. */
  endedKept?: EndedKept
  /** Anything about the truth of this host has changed. */
  onChange?: () => void
  onEvent?: (kind: string, fields: Record<string, unknown>) => void
  /** What a guest heard of others on its network. */
  onHeard?: (machine: HostMachine, heard: Heard) => void
  /** A fault had an effect here. */
  onStrike?: (what: Strike) => void
}

/** Machines that have ended and are remembered: in all, and of one owner. */
export interface EndedKept { inAll: number, perOwner: number }

/** As in `storage/drivers/records-limits.ts`. */
const ENDED_KEPT: EndedKept = { inAll: 2_048, perOwner: 512 }

/** Why a machine's VMM is gone when its plant wanted it so; any other reason is a loss. */
export const ENDED_BY_PLANT = 'it was ended by its plant'

/** One host; outlives every process on it. */
export class SimHost {
  readonly name: string
  readonly group: string
  readonly site: string
  readonly key: SimKey
  readonly peer: PeerId
  readonly capacity: Capacity
  readonly clock: HostClock
  readonly timeline: Timeline
  readonly timings: VmTimings
  readonly random: RandomStream
  readonly machines = new Map<VmId, HostMachine>()
  readonly shelf = new Map<GoldenId, { golden: Golden, off: boolean }>()
  readonly drafts = new Set<string>()
  readonly cpu: FairShare
  readonly store: FairShare | undefined
  readonly init: SimHostInit
  records = new RecordStore()
  /** Writes fail. */
  diskFull = false
  /** The host has power. */
  up = true
  /** How often its disk was lost with all on it. */
  disksLost = 0
  #pids = 0
  #drafts = 0

  constructor (init: SimHostInit) {
    this.init = init
    this.name = init.name
    this.group = init.group
    this.site = init.site
    this.key = init.key
    this.peer = init.key.id as string as PeerId
    this.capacity = init.capacity
    this.clock = init.clock
    this.clock.onWrong = (what) => { init.onStrike?.(what) }
    this.timeline = init.timeline
    this.timings = init.timings
    this.random = init.random
    this.store = init.store
    this.cpu = new FairShare(this.trueClock, { ratePerMs: init.cpus, eachPerMs: 1 })
    for (const golden of init.goldens) this.shelf.set(golden.goldenId, { golden, off: false })
  }

  /** True time as a clock, for what the host does by itself. */
  get trueClock (): { monotonicMs: () => number, after: (ms: number, fn: () => void) => () => void } {
    const { timeline } = this
    return { monotonicMs: () => timeline.nowMs, after: (ms, fn) => timeline.after(Math.ceil(ms * 1_000), fn) }
  }

  get endedKept (): EndedKept { return this.init.endedKept ?? ENDED_KEPT }

  /** What the machines on it take now: their VMMs run, whatever any book says. */
  inUse (): { cpus: number, memoryMiB: number, diskMiB: number, machines: number } {
    const used = { cpus: 0, memoryMiB: 0, diskMiB: 0, machines: 0 }
    for (const machine of this.machines.values()) {
      used.diskMiB += machine.diskMiB
      if (!machine.alive) continue
      used.cpus += machine.cpus
      used.memoryMiB += machine.memoryMiB
      used.machines++
    }
    return used
  }

  fill (): HostFill {
    const { machines, memoryMiB } = this.inUse()
    return { hostCpus: this.init.cpus, hostMemoryMiB: this.init.memoryMiB, machines, machinesMemoryMiB: memoryMiB }
  }

  begin (request: { vmId: VmId, golden: Golden, mac: string, diskMiB: number }): HostMachine {
    const { golden } = request
    const machine: HostMachine = {
      ...request,
      pid: ++this.#pids,
      cpus: golden.hardware.cpus,
      memoryMiB: golden.hardware.memoryMiB,
      diskMiB: Math.max(request.diskMiB, golden.hardware.diskMiB),
      nature: this.init.nature?.(this) ?? SOUND_GUEST,
      alive: true,
      made: false,
      paused: false,
      guest: new SimGuest({
        mac: request.mac,
        after: (ms, fn) => this.timeline.after(Math.round(ms * 1_000), () => { if (machine.alive) fn() }),
        awake: () => machine.alive && !machine.paused,
        onHeard: (heard) => { this.init.onHeard?.(machine, heard) }
      }),
      drives: 0,
      cards: new Set(),
      startedUs: this.timeline.nowUs,
      scripts: new Map(),
      onDeath: new Set()
    }
    this.machines.set(request.vmId, machine)
    const { diesAfterMs } = machine.nature
    if (diesAfterMs !== undefined) this.timeline.after(Math.round(diesAfterMs * 1_000), () => { this.kill(machine, 'the VMM ended by itself') })
    this.event('machine.begun', { vmId: machine.vmId, memoryMiB: machine.memoryMiB })
    return machine
  }

  /** A spare becomes an order's machine; its disk grows if more is asked. */
  rename (machine: HostMachine, vmId: VmId, diskMiB: number): void {
    if (this.machines.has(vmId)) throw new PlantError('VM_STATE', { vmId, problem: 'there is a machine of this id' })
    this.machines.delete(machine.vmId)
    this.machines.set(vmId, machine)
    const spareId = machine.vmId
    machine.vmId = vmId
    machine.diskMiB = Math.max(machine.diskMiB, diskMiB)
    this.event('machine.handedOut', { vmId, spareId })
  }

  /** The VMM process ends; its directory stays until it is swept. */
  kill (machine: HostMachine, reason: string): void {
    if (!machine.alive) return
    machine.alive = false
    this.event('machine.died', { vmId: machine.vmId, reason })
    for (const fn of machine.onDeath) fn(reason)
    machine.onDeath.clear()
  }

  remove (machine: HostMachine): void {
    if (this.machines.get(machine.vmId) !== machine) return
    this.kill(machine, ENDED_BY_PLANT)
    this.machines.delete(machine.vmId)
    this.event('machine.removed', { vmId: machine.vmId })
  }

  /** Power is gone; the disk stays, or not. */
  powerOff (diskLost: boolean): void {
    this.up = false
    for (const machine of this.machines.values()) this.kill(machine, 'the host lost power')
    if (!diskLost) return
    this.disksLost++
    this.machines.clear()
    this.records = new RecordStore()
    this.shelf.clear()
    this.drafts.clear()
    this.changed()
  }

  newDraft (): string {
    const dir = `/drafts/${++this.#drafts}`
    this.drafts.add(dir)
    return dir
  }

  /** Whether there is no room for what is about to be written. */
  refusesWrite (): boolean {
    if (this.diskFull) this.init.onStrike?.('diskFull')
    return this.diskFull
  }

  changed (): void { this.init.onChange?.() }

  event (kind: string, fields: Record<string, unknown>): void {
    this.init.onEvent?.(kind, fields)
    this.changed()
  }
}
