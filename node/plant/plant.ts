/**
 * The plant: owns its machines from the lease on. Takes awards, makes machines, answers for them, finds them again after a crash.
 * A record is written before anything that it speaks of is done, so that kill -9 at any time leaves either nothing or something a record names.
 */
import { PlantError, asPlantError, type Directory, type KeyId, type PeerId, type VmId } from '../../protocols/kit/index.ts'
import { MACHINE_STATES, type MachineHost, type MachineView, type Subject } from '../../protocols/machine/index.ts'
import type { Order } from '../../protocols/order/order.ts'
import type { MachineRecord, Records, Whose } from '../../storage/records/records.ts'
import type { LiveMachine, MachineStats } from '../lines/line.ts'
import { Adopting } from './adopting.ts'
import { joinConsole } from './console.ts'
import type { LearnedMs } from './cost/index.ts'
import { forgetEnded } from './ended.ts'
import { insist } from './insist.ts'
import { LIVE_STATES, holdsCapacity, mayMove, move } from './instance.ts'
import { makeMachine, type MakeComponents, type Made } from './make.ts'
import { monitor } from './monitor.ts'
import { orAborted } from './or-aborted.ts'
import { PHASE_SHARES, phases } from './phases.ts'
import { publishMachine, type Publishing } from './publish.ts'
import { viewOf } from './view.ts'

export interface PlantComponents extends MakeComponents {
  self: PeerId
  records: Records
  directory: Directory
  /** Frees what a lease held; called once a machine has failed or was collected. */
  release: (record: MachineRecord) => void
  /** This plant does not make the machine after all, and knows of none: others may. */
  givenBack: (record: MachineRecord) => void
  /** A machine that ended is remembered no longer. */
  forgotten: (record: MachineRecord) => void
  /** Tells the registrars that the machine is no more. */
  collected: (record: MachineRecord) => void
  mayCall: (whose: Whose, caller: KeyId, signal: AbortSignal) => Promise<boolean>
  /** What a machine that has not ended was ordered as. */
  orderOf: (vmId: VmId) => Order
  /** Called when what the plant advertises has changed. */
  onChange: () => void
  /** What making machines teaches the cost model. */
  learn: (figure: LearnedMs, ms: number) => void
}

interface Job {
  stop: AbortController
  done: Promise<void>
  last: { step: string, share: number }
  followers: Set<(step: string, share: number) => void>
  /** Why the machine was given back. */
  givenBack?: PlantError
}

interface Copy { stop: AbortController, ended: Promise<unknown> }

/** One plant's machines: takes awards, makes, watches, answers for and collects them. `recover` comes before anything else. */
export class Plant implements MachineHost {
  readonly #c: PlantComponents
  readonly #jobs = new Map<VmId, Job>()
  readonly #live = new Map<VmId, { machine: LiveMachine, unpin: () => void, stats?: MachineStats }>()
  /** Collections under way: who asks again waits for the same. */
  readonly #collecting = new Map<VmId, Promise<void>>()
  readonly #publishing: Publishing = new Set()
  /** Machines of which a copy is being made. */
  readonly #copies = new Map<VmId, Copy>()
  readonly #adopting: Adopting
  #stopping = false
  #stopMonitor: () => void = () => {}

  constructor (components: PlantComponents) {
    this.#c = components
    this.#adopting = new Adopting(components, {
      adopted: (vmId, machine, unpin) => { this.#watch(vmId, machine, unpin) },
      gone: async (vmId) => this.#fail(vmId, new PlantError('VM_DIED', { vmId, reason: 'it ended while its plant was down, or before it answered it' }))
    })
  }

  /** Takes an award: the record is durable when this returns, and the machine is being made. */
  take (record: MachineRecord, signedOrder: Uint8Array): void {
    this.#c.records.putMachine(record, signedOrder)
    this.#note(record.vmId, 'awarded', { shop: record.shop, lease: record.lease.id })
    this.#provide(record.vmId)
    this.#begin(record)
    this.#c.onChange()
  }

  /**
   * After a restart: machines that run are adopted, machines half made are made anew, whatever else is left of any is removed. Resolves
   * when every machine is accounted for; those to be made anew and those to be adopted are on their way.
   */
  async recover (signal: AbortSignal): Promise<void> {
    const { line, records } = this.#c
    forgetEnded(this.#c)
    const left = new Set(await line.leftovers())
    const remains = records.machines(LIVE_STATES).map(async (record) => {
      left.delete(record.vmId)
      if (record.state === 'creating') {
        // What of it exists is of unknown progress: actions may have run half. Made anew, it is the machine that was ordered.
        await line.sweep(record.vmId)
        signal.throwIfAborted()
        this.#begin(record)
      } else this.#adopting.begin(record)
      this.#provide(record.vmId)
    })
    await Promise.all([...remains, ...[...left].map(async (vmId) => line.sweep(vmId))])
    this.#stopMonitor = monitor({ clock: this.#c.clock, log: this.#c.log, live: this.#live, atRound: () => { forgetEnded(this.#c) } })
  }

  async collectAll (): Promise<void> {
    const ends = await Promise.allSettled(this.#c.records.machines(LIVE_STATES).map(async (r) => this.collect(r.vmId)))
    const failed = ends.find((end) => end.status === 'rejected')
    if (failed !== undefined) throw failed.reason
  }

  /** Lets go of the machines, which run on. */
  async stop (): Promise<void> {
    this.#stopping = true
    this.#stopMonitor()
    // A machine half made is made anew at the next start; its parts go now.
    const jobs = [...this.#jobs.values()]
    for (const job of jobs) job.stop.abort(new PlantError('INTERRUPTED'))
    await Promise.all([...jobs.map(async (job) => job.done), this.#adopting.stopAll(), ...[...this.#copies.keys()].map(async (vmId) => this.#stopCopy(vmId, new PlantError('INTERRUPTED')))])
    await Promise.all([...this.#live.values()].map(async ({ machine }) => machine.release()))
    this.#live.clear()
  }

  /** Another plant was awarded the order before this one: its machine is the order's, and this plant knows of none. */
  async lost (vmId: VmId): Promise<void> {
    await this.#insist(async () => {
      if (this.#c.records.machine(vmId) === undefined) return
      await this.collect(vmId)
      this.#c.records.dropMachine(vmId)
    })
  }

  /** The mesh is whole again and no rival was found: the machine is this order's one. */
  settled (vmId: VmId): void {
    void this.#insist(() => { this.#update(vmId, (record) => ({ ...record, provisional: false })) })
  }

  // Making

  #begin (record: MachineRecord): void {
    const { vmId } = record
    const stop = new AbortController()
    const job: Job = { stop, done: Promise.resolve(), last: { step: 'waiting', share: 0 }, followers: new Set() }
    this.#jobs.set(vmId, job)
    job.done = this.#make(record, job).catch((error: unknown) => {
      this.#c.log.error({ vmId, error: String(error), stack: (error as Error).stack }, 'a creation ended in an error of the plant')
    }).finally(() => { this.#jobs.delete(vmId) })
  }

  async #make (record: MachineRecord, job: Job): Promise<void> {
    const { vmId } = record
    const sinceMs = this.#c.clock.monotonicMs()
    const onProgress = (step: string, share: number): void => {
      // A fetch has taken its share before the phases that follow pass theirs.
      job.last = { step, share: Math.max(share, job.last.share) }
      for (const follower of job.followers) follower(step, job.last.share)
    }
    const time = phases(this.#c.clock, (phase) => { onProgress(phase, PHASE_SHARES[phase]) })
    const taken = (): Record<string, number> => ({ ...time.ms, total: Math.round(this.#c.clock.monotonicMs() - sinceMs) })
    let made: Made
    let fetchFailed = false
    try {
      made = await makeMachine({ vmId, order: this.#c.orderOf(vmId), owner: record.owner, domainKey: record.domainKey }, this.#c, {
        onProgress,
        onFetchFailed: () => { fetchFailed = true },
        time,
        onPlanned: ({ golden, plan }) => {
          const actionsDone = plan.skipped.map((a) => a.digest)
          this.#update(vmId, (r) => ({ ...r, plan: { goldenId: golden.goldenId, goldenName: golden.name, goldenVersion: golden.version ?? 1, actionsDone, actionsRun: [] } }))
        },
        onCloned: (machine) => { this.#live.set(vmId, { machine, unpin: () => {} }) },
        learn: this.#c.learn
      }, job.stop.signal)
    } catch (error) {
      this.#live.delete(vmId)
      time.end()
      if (this.#stopping) return // The record says `creating`: the next start makes it.
      if (this.#c.records.machine(vmId)?.state !== 'creating') return
      await (fetchFailed ? this.#giveBack(vmId, asPlantError(error), job) : this.#fail(vmId, asPlantError(error), { phasesMs: taken() }))
      return
    }
    let watched = false
    await this.#insist(async () => {
      const current = this.#c.records.machine(vmId)
      if (current === undefined || !mayMove(current.state, 'made') || job.stop.signal.aborted) {
        this.#live.delete(vmId)
        await made.live.destroy()
        made.unpin()
        return
      }
      if (!watched) this.#watch(vmId, made.live, made.unpin, made.stats)
      watched = true
      this.#made(current, made, taken())
    })
  }

  #made (current: MachineRecord, made: Made, phasesMs: Record<string, number>): void {
    this.#put(move(current, 'made', this.#c.clock.nowMs(), {
      plan: { goldenId: made.golden.goldenId, goldenName: made.golden.name, goldenVersion: made.golden.version ?? 1, actionsDone: current.plan?.actionsDone ?? [], actionsRun: made.actionsRun, ...(made.actionsMended.length > 0 && { actionsMended: made.actionsMended }) },
      attributes: {
        ...made.outputs,
        Isa: made.golden.hardware.isa,
        Mac: made.identity.mac,
        HostName: made.identity.hostName,
        ...(made.identity.hostKey !== undefined && { HostKey: made.identity.hostKey })
      },
      ...(made.outputsDropped.count > 0 && { outputsDropped: made.outputsDropped }),
      ...(made.networks.length > 0 && { networks: made.networks }), phasesMs
    }), 'running')
  }

  /** What it held is free when `cleared` has settled. */
  async #fail (vmId: VmId, error: PlantError, changes: Partial<MachineRecord> = {}, cleared?: Promise<void>): Promise<void> {
    await this.#insist(async () => {
      const record = this.#c.records.machine(vmId)
      if (record === undefined || !mayMove(record.state, 'fail')) return
      this.#put(move(record, 'fail', this.#c.clock.nowMs(), { ...changes, error: error.report() }), 'failed')
      await cleared?.catch(() => {}) // Told by who clears it away.
      this.#c.release(record)
      this.#c.onChange() // Only now is there room again to tell of.
    })
  }

  /** Nothing of it was begun: the order is free for the next bid, and whoever follows it is told why. */
  async #giveBack (vmId: VmId, error: PlantError, job: Job): Promise<void> {
    await this.#insist(() => {
      const record = this.#c.records.machine(vmId)
      if (record === undefined || !mayMove(record.state, 'fail')) return
      job.givenBack = error
      this.#c.records.dropMachine(vmId)
      this.#note(vmId, 'given back', { code: error.code })
      this.#c.directory.withdraw(`vm/${vmId}`)
      this.#c.release(record)
      this.#c.givenBack(record)
      this.#c.onChange()
    })
  }

  async #insist (work: () => void | Promise<void>): Promise<void> { await insist(this.#c, () => this.#stopping, work) }

  // Watching

  #watch (vmId: VmId, machine: LiveMachine, unpin: () => void, stats?: MachineStats): void {
    const entry = { machine, unpin, ...(stats !== undefined && { stats }) }
    this.#live.set(vmId, entry)
    void machine.died.then(async ({ reason }) => {
      if (this.#stopping || this.#live.get(vmId) !== entry) return
      this.#live.delete(vmId)
      const cleared = machine.destroy().finally(unpin)
      await this.#fail(vmId, new PlantError('VM_DIED', { vmId, reason }), {}, cleared)
      await cleared
    }).catch((error: unknown) => { this.#c.log.error({ vmId, error: String(error) }, 'a dead machine could not be cleared away') })
  }

  /** Machines that are being made, adopted, collected or copied. */
  underWay (): Record<string, number> { return { creations: this.#jobs.size, adoptions: this.#adopting.size, collections: this.#collecting.size, copies: this.#copies.size } }

  // What is asked (MachineHost)

  subject (vmId: VmId): Subject | undefined {
    const record = this.#c.records.machine(vmId)
    return record && { owner: record.owner, domain: record.domain, domainKey: record.domainKey, state: record.state, shop: record.shop }
  }

  async mayCall (subject: Subject, caller: KeyId, signal: AbortSignal): Promise<boolean> {
    return this.#c.mayCall(subject, caller, signal)
  }

  seenCall (call: { caller: KeyId, nonce: string }, expiresAtMs: number): boolean {
    return this.#c.records.seenCall(call, expiresAtMs)
  }

  view (vmId: VmId): MachineView { return this.#view(this.#record(vmId)) }

  async follow (vmId: VmId, onProgress: (step: string, share: number) => void, signal: AbortSignal): Promise<MachineView> {
    const job = this.#jobs.get(vmId)
    if (job !== undefined) {
      job.followers.add(onProgress)
      onProgress(job.last.step, job.last.share)
      try {
        await orAborted(job.done, signal)
      } finally {
        job.followers.delete(onProgress)
      }
      if (job.givenBack !== undefined) throw job.givenBack
    }
    return this.view(vmId)
  }

  async list (caller: KeyId, collectedToo: boolean, signal: AbortSignal): Promise<MachineView[]> {
    const states = MACHINE_STATES.filter((state) => state !== 'collected' || collectedToo)
    const views: MachineView[] = []
    for (const whose of this.#c.records.owners()) {
      if (!await this.#c.mayCall(whose, caller, signal)) continue
      views.push(...this.#c.records.machinesOf(whose, states).map((record) => this.#view(record)))
    }
    return views
  }

  async exec (vmId: VmId, run: { script: string, timeoutMs: number, stdin?: Uint8Array }, onOutput: (source: 'stdout' | 'stderr', bytes: Uint8Array) => Promise<void>, signal: AbortSignal): Promise<number> {
    const result = await (await this.#machine(vmId, signal)).channel('agent').run({ ...run, parameters: {}, files: {}, onOutput: async (bytes, source) => onOutput(source, bytes) }, signal)
    return result.status
  }

  async console (vmId: VmId, input: AsyncIterable<Uint8Array>, onOutput: (source: 'stdout' | 'stderr', bytes: Uint8Array) => Promise<void>, signal: AbortSignal): Promise<void> {
    await joinConsole(await (await this.#machine(vmId, signal)).console(), input, onOutput, signal)
  }

  async publish (vmId: VmId, name: string, onStep: (step: string, share: number) => void, signal: AbortSignal): Promise<Record<string, unknown>> {
    const record = this.#record(vmId)
    const what = { record, order: this.#c.orderOf(vmId), machine: await this.#machine(vmId, signal), name }
    if (this.#copies.has(vmId)) throw new PlantError('VM_STATE', { vmId, problem: 'it is being published' })
    const stop = new AbortController()
    const ended = publishMachine(what, { ...this.#c, publishing: this.#publishing }, onStep, AbortSignal.any([signal, stop.signal])).finally(() => { this.#copies.delete(vmId) })
    this.#copies.set(vmId, { stop, ended })
    const golden = await ended
    this.#note(vmId, 'published', { golden: golden.goldenId, name })
    this.#c.onChange()
    return { ...golden }
  }

  async collect (vmId: VmId): Promise<MachineView> {
    let under = this.#collecting.get(vmId)
    if (under === undefined) {
      under = this.#collect(vmId).finally(() => { this.#collecting.delete(vmId) })
      this.#collecting.set(vmId, under)
    }
    await under
    return this.view(vmId)
  }

  async #collect (vmId: VmId): Promise<void> {
    const record = this.#record(vmId)
    // Collected before: whatever a failure left is swept again.
    if (record.state === 'collected') return this.#c.line.sweep(vmId)
    // The record first: a crash from here on sweeps the rest.
    this.#put(move(record, 'collect', this.#c.clock.nowMs()), 'collected')
    const job = this.#jobs.get(vmId)
    job?.stop.abort(new PlantError('VM_STATE', { vmId, state: 'collected' }))
    await Promise.all([job?.done, this.#adopting.stop(vmId), this.#stopCopy(vmId, new PlantError('VM_STATE', { vmId, state: 'collected' }))])
    const entry = this.#live.get(vmId)
    this.#live.delete(vmId)
    try {
      if (entry === undefined) await this.#c.line.sweep(vmId)
      await entry?.machine.destroy()
    } finally {
      entry?.unpin()
      this.#c.directory.withdraw(`vm/${vmId}`)
      if (holdsCapacity(record.state)) this.#c.release(record)
      this.#c.collected(record)
      this.#c.onChange()
    }
  }

  #record (vmId: VmId): MachineRecord {
    const record = this.#c.records.machine(vmId)
    if (record === undefined) throw new PlantError('VM_UNKNOWN', { vmId })
    return record
  }

  /** A machine that is being adopted is waited for, until it has been asked once. */
  async #machine (vmId: VmId, signal: AbortSignal): Promise<LiveMachine> {
    await this.#adopting.tried(vmId, signal)
    const machine = this.#live.get(vmId)?.machine
    if (machine === undefined) throw new PlantError('VM_STATE', { vmId, state: this.#record(vmId).state, problem: this.#adopting.has(vmId) ? 'its VMM does not answer; it is asked again' : 'it does not run' })
    return machine
  }

  /** The machine goes on when this returns, and nothing is left of the copy. */
  async #stopCopy (vmId: VmId, reason: PlantError): Promise<void> {
    const copy = this.#copies.get(vmId)
    copy?.stop.abort(reason)
    await copy?.ended.catch(() => {}) // Told to who asked for it.
  }

  #view (record: MachineRecord): MachineView {
    return viewOf(record, this.#c.self, this.#live.get(record.vmId)?.stats)
  }

  #update (vmId: VmId, change: (record: MachineRecord) => MachineRecord): void {
    const record = this.#c.records.machine(vmId)
    if (record !== undefined) this.#c.records.putMachine(change(record))
  }

  #put (record: MachineRecord, event: string): void {
    this.#c.records.putMachine(record)
    this.#note(record.vmId, event, record.error === undefined ? {} : { code: record.error.code })
    this.#c.onChange()
  }

  #note (vmId: VmId, event: string, details: Record<string, unknown>): void { this.#c.log.info({ vmId, ...details }, `machine ${event}`) }

  #provide (vmId: VmId): void {
    this.#c.directory.provide(`vm/${vmId}`).catch((error: unknown) => {
      this.#c.log.warn({ vmId, error: String(error) }, 'the directory does not take a machine; it is told again')
    })
  }
}
