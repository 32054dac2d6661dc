/** What one run of one scenario with one seed gives: plain data, the same for the same seed on every machine. */
import type { Phase } from './phase.ts'
import type { PolicyModule } from './policy.ts'
import type { Scenario } from './schema.ts'

/**
 * Something that happened: in order of (time, id). `traceHash` is the SHA-256 over all of them. Fields are JSON-safe and say nothing of the
 * machine that ran it.
 */
export interface SimEvent {
  /** True (the world's) time since the start of the run. */
  atMs: number
  /** Insertion id: breaks ties, unique in the run. */
  id: number
  /** The plant's name in the scenario (`node-3`), where it happened at one. */
  plant?: string
  /** `order.placed`, `bid.made`, `machine.running`, `fault.crash`, … */
  kind: string
  [field: string]: unknown
}

/** How an order ended: `running` also when the client collected its machine later. `open`: the run ended first. */
export type JobEnd = 'running' | 'refused' | 'failed' | 'lost' | 'open'

/** One order. `jobs.csv` makes Batsim's columns of it. */
export interface JobResult {
  /** From 1, in order of submission: the paper's sequence number (VMPlants, Fig. 6). */
  sequence: number
  /** Index of its source in `scenario.orders`, and its number there (from 0) or the trace's own id. */
  source: number
  id: string
  /** The plant that acted as shop, and the one that got the machine (the last, if it moved); names of the scenario. */
  shop: string
  plant?: string
  domain: string
  os: string
  cpus: number
  memoryMiB: number
  /** True times since the start of the run. */
  submittedMs: number
  /** The award that led to the machine. */
  awardedMs?: number
  /** The machine ran, all actions done: the classad went back. */
  runningMs?: number
  /** The client collected it, or it was lost, or the run ended. */
  endedMs?: number
  /** How long it was to be held: the job's run time. */
  holdMs?: number
  /** What its user had asked for, where a trace says so. */
  requestedMs?: number
  end: JobEnd
  /** Error code, for `refused`, `failed` and `lost`. */
  error?: string
  provisional?: boolean
  /** How long each phase took; absent ones did not happen. Those of the plant and the shop together. */
  phasesMs: Partial<Record<Phase, number>>
  /** The winning bid, its items, and how many plants were asked and answered with a bid. */
  cost?: number
  costItems?: Array<{ item: string, cost: number }>
  asked?: number
  bids?: number
  /** Machines on the plant just before this one: the fill that timings depend on. */
  machinesBefore?: number
}

/** Every bid that was made, in order of time; for the 13-machines example and for looking at policies. */
export interface BidResult {
  /** The order's `sequence`. */
  sequence: number
  atMs: number
  plant: string
  total: number
  items: Array<{ item: string, cost: number }>
  won: boolean
}

/** The mesh at one time, every `sampleEveryMs`. */
export interface ViewSample {
  atMs: number
  /** Plants that run. */
  up: number
  /** Machines that run. */
  machines: number
  /** Mean share of the running plants that a running plant has in view, and the least. */
  viewShare: number
  viewShareLeast: number
  /** Mean age of entries of views. */
  viewAgeMs: number
  /** Gossip and stream messages so far. */
  messages: number
}

/** A fault as it was carried out, and how the mesh came to terms with it. */
export interface FaultResult {
  atMs: number
  kind: string
  /** Plants it struck. */
  plants: number
  /** Machines that died with it. */
  machinesLost: number
  /** When it was over (healed, restarted, or at once); absent when it never was. */
  overMs?: number
  /** From the fault's end (heal, restart) until every running plant has every other in view again; absent when that never came, or was not looked at. */
  agreedAfterMs?: number
  /** From the fault until no view holds a plant that is gone. */
  forgottenAfterMs?: number
}

/** What one run gave. */
export interface RunResult {
  /** Hex SHA-256 over the canonical encoding of all events in order. */
  traceHash: string
  seed: number
  /** Events that the kernel handled, and simulated time at the end. */
  events: number
  endedMs: number
  /** Why it ended: all orders had, its time was over, or its caller stopped it. */
  ended: 'orders' | 'time' | 'stopped'
  jobs: JobResult[]
  bids: BidResult[]
  views: ViewSample[]
  faults: FaultResult[]
  /** Numbers that have no place above: `bytesPerPlant`, `gossip.deviationShare`, … Names are documented where they are made. */
  figures: Record<string, number>
  /** Orders at which each plant was after every job, where the run keeps it: plant name to machines at the end. */
  machinesByPlant: Record<string, number>
}

/** What `simulate` and `simulateAtScale` may be given. */
export interface SimulateOptions {
  /** Ends the run early: what is there is returned, `ended` is `stopped`. */
  signal?: AbortSignal
  /** Every event, in order, as it happens. */
  onEvent?: (event: SimEvent) => void
  /** Share of the run that is done (by time or by orders, whichever is known), now and then. */
  onProgress?: (share: number) => void
  /** What a policy file decides instead of the daemon. */
  policies?: PolicyModule
}

/** The one function that runs a scenario: `simulate` of `sim/world`, or `simulateAtScale` of `sim/scale` for `mode: arrays`. */
export type Simulate = (scenario: Scenario, seed: number, options?: SimulateOptions) => Promise<RunResult>
