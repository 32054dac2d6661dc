/** Runs a scenario with a seed: the daemon's plants in a virtual world. */
import type { VmId } from '../../protocols/kit/index.ts'
import type { BidResult, Fault, JobResult, RunResult, Scenario, Simulate, SimulateOptions } from '../scenario/index.ts'
import type { ClientOrder } from './client.ts'
import { ENDED_BY_PLANT } from './host/host.ts'
import { Faults } from './faults.ts'
import { Sources } from './sources.ts'
import type { Quiet } from './timeline.ts'
import { Views } from './views.ts'
import { World, type WorldInit } from './world.ts'

/** Events between two reports of progress. */
const PROGRESS_EVERY = 4_096

/** The function that runs scenarios with `mode: cores`, given how to tell that promises are quiet (`sim/drivers/quiet.ts`). */
export function simulation (quiet: Quiet, more: Pick<WorldInit, 'onLog'> = {}): Simulate {
  return async (scenario, seed, options) => new Run(scenario, seed, options ?? {}, quiet, more).run()
}

class Run {
  readonly #world: World
  readonly #scenario: Scenario
  readonly #options: SimulateOptions
  readonly #sources: Sources
  readonly #faults: Faults
  readonly #views: Views
  readonly #fillBefore = new Map<VmId, { machines: number, atMs: number }>()
  readonly #phases = new Map<VmId, JobResult['phasesMs']>()
  /** When a machine of a plant died, by VMID and plant. */
  readonly #died = new Map<string, number>()
  #endedOrdersMs: number | undefined
  /** Orders that are over, from the first on without a gap: none of them opens again. */
  #over = 0

  constructor (scenario: Scenario, seed: number, options: SimulateOptions, quiet: Quiet, more: Pick<WorldInit, 'onLog'>) {
    this.#scenario = scenario
    this.#options = options
    this.#world = new World({
      scenario, seed, quiet, ...more,
      ...(options.policies !== undefined && { policies: options.policies }),
      onEvent: (event) => {
        if (event.kind === 'machine.died' && event['reason'] !== ENDED_BY_PLANT) this.#died.set(`${String(event['vmId'])} ${event.plant ?? ''}`, event.atMs)
        options.onEvent?.(event)
      },
      line: {
        begun: (host, vmId) => {
          this.#fillBefore.set(vmId, { machines: host.inUse().machines, atMs: this.#world.timeline.nowMs })
        },
        phases: (vmId, ms) => {
          // Work of the guest's own (identity, actions) is told by the plant.
          const { copy, resume, boot } = ms
          const known = this.#phases.get(vmId) ?? {}
          this.#phases.set(vmId, { ...known, ...(copy !== undefined && { copy: (known.copy ?? 0) + copy }), ...(resume !== undefined && { resume: (known.resume ?? 0) + resume }), ...(boot !== undefined && { boot: (known.boot ?? 0) + boot }) })
        }
      }
    })
    this.#sources = new Sources(this.#world)
    this.#faults = new Faults(this.#world)
    this.#views = new Views(this.#world)
  }

  async run (): Promise<RunResult> {
    const world = this.#world
    const { until, faults, sampleEveryMs } = this.#scenario
    world.start()
    this.#sources.plan()
    this.#planFaults(faults)
    const sample = (): void => {
      this.#views.sample()
      world.timeline.after(Math.round(sampleEveryMs * 1_000), sample)
    }
    world.timeline.after(Math.round(sampleEveryMs * 1_000), sample)
    await world.run(until.ms ?? Number.MAX_SAFE_INTEGER / 2_000, () => this.#goesOn())
    return this.#result()
  }

  #planFaults (faults: readonly Fault[]): void {
    for (const fault of faults) {
      this.#world.timeline.at(Math.round(fault.atMs * 1_000), () => {
        this.#faults.strike(fault)
        const result = this.#faults.results.at(-1)
        if (result === undefined) return
        const endMs = overMs(fault, faults)
        if (endMs !== Infinity) result.overMs = endMs
        this.#views.watch(result, endMs, TAKES_AWAY.includes(fault.kind))
      })
    }
  }

  #goesOn (): boolean {
    const { until } = this.#scenario
    const { signal, onProgress } = this.#options
    const { timeline } = this.#world
    if (signal?.aborted === true) return false
    if (onProgress !== undefined && timeline.handled % PROGRESS_EVERY === 0) onProgress(this.#share())
    if (!until.ordersEnded || this.#scenario.orders.length === 0) return true
    if (this.#endedOrdersMs === undefined && this.#sources.ended && this.#allOver()) this.#endedOrdersMs = timeline.nowMs
    return this.#endedOrdersMs === undefined || timeline.nowMs < this.#endedOrdersMs + until.settleMs
  }

  /** Looks at each order once in a run, and at the first that is not over. */
  #allOver (): boolean {
    const { orders } = this.#sources
    for (let order = orders[this.#over]; order !== undefined && isOver(order); order = orders[this.#over]) this.#over++
    return this.#over === orders.length
  }

  #share (): number {
    const { until } = this.#scenario
    const { orders } = this.#sources
    const byTime = until.ms === undefined ? 0 : this.#world.timeline.nowMs / until.ms
    return Math.min(1, Math.max(byTime, this.#sources.ended && orders.length > 0 ? orders.filter(isOver).length / orders.length : 0))
  }

  #result (): RunResult {
    const world = this.#world
    const stopped = this.#options.signal?.aborted === true
    const jobs = this.#sources.orders.map((order) => this.#job(order))
    return {
      traceHash: world.trace.digest(),
      seed: world.seed,
      events: world.timeline.handled,
      endedMs: world.timeline.nowMs,
      ended: stopped ? 'stopped' : this.#endedOrdersMs === undefined ? 'time' : 'orders',
      jobs,
      bids: this.#sources.orders.flatMap((order) => this.#bids(order)).sort((a, b) => a.atMs - b.atMs || a.sequence - b.sequence),
      views: this.#views.samples,
      faults: this.#faults.results,
      figures: { messages: world.messages },
      machinesByPlant: Object.fromEntries(world.plants.map(({ name, host }) => [name, host.inUse().machines]))
    }
  }

  #job (order: ClientOrder): JobResult {
    const { result, vmId } = order
    const before = this.#fillBefore.get(vmId)
    if (before !== undefined) result.machinesBefore = before.machines
    if (result.end === 'running' && result.runningMs !== undefined) {
      const awarded = this.#world.plant(result.plant ?? '')?.host.records.machines.get(vmId)
      const { bid = 0, fetch = 0 } = result.phasesMs
      Object.assign(result.phasesMs, this.#phases.get(vmId))
      result.awardedMs = result.submittedMs + bid
      if (before !== undefined) result.phasesMs.wait = Math.max(0, before.atMs - result.awardedMs - fetch)
      const known = Object.values(result.phasesMs).reduce((sum, ms) => sum + ms, 0)
      result.phasesMs.reply = Math.max(0, result.runningMs - result.submittedMs - known)
      // Its client may have had it collected since; that it died before is what became of the job.
      const diedMs = this.#died.get(`${vmId} ${result.plant ?? ''}`)
      const gone = !order.collecting && (awarded === undefined || awarded.state === 'failed')
      if (gone || diedMs !== undefined) {
        result.end = 'lost'
        result.error = awarded?.error?.code ?? (diedMs === undefined ? 'VM_UNKNOWN' : 'VM_DIED')
        if (diedMs !== undefined) result.endedMs = diedMs
      }
    }
    return result
  }

  #bids (order: ClientOrder): BidResult[] {
    const { decision, result } = order
    if (decision === undefined) return []
    const won = decision.attempts.findLast(({ outcome }) => outcome === 'granted')?.bidId
    return decision.answers.flatMap(({ bid, afterMs, plant }) => bid === undefined ? [] : [{
      sequence: result.sequence,
      atMs: result.submittedMs + afterMs,
      plant: this.#world.nameOf(plant),
      total: bid.total,
      items: bid.items.map(({ item, cost }) => ({ item, cost })),
      won: bid.bidId === won
    }])
  }
}

/** Nothing more will happen to this order: it was refused, has failed, was collected, or runs for ever. */
function isOver (order: ClientOrder): boolean {
  return order.answered && (order.result.endedMs !== undefined || order.plan.holdMs === undefined)
}

/** Faults after which plants are gone, at least for a while. */
const TAKES_AWAY: ReadonlyArray<Fault['kind']> = ['crash', 'hostDown', 'siteOutage']

/** When a fault is over: as it says, or by a heal or restart that comes later; Infinity when it never is. Those that end with themselves are over at once. */
function overMs (fault: Fault, faults: readonly Fault[]): number {
  if ('untilMs' in fault && fault.untilMs !== undefined) return fault.untilMs
  if ('restartAfterMs' in fault && fault.restartAfterMs !== undefined) return fault.atMs + fault.restartAfterMs
  const ender = fault.kind === 'partition' || fault.kind === 'slowLink' ? 'heal' : TAKES_AWAY.includes(fault.kind) ? 'restart' : undefined
  if (ender === undefined) return fault.atMs
  return faults.reduce((first, { kind, atMs }) => kind === ender && atMs > fault.atMs ? Math.min(first, atMs) : first, Infinity)
}
