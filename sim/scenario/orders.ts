/** What is asked of the mesh: machines, and when they are ordered. */
import { z } from 'zod'
import { ACTIONS_MAX, ORDERS_MAX } from './constants.ts'
import { count, filePath, ms, name, periodMs } from './fields.ts'

/** A configuration action, as far as time goes. */
const action = z.strictObject({
  id: name,
  after: z.array(name).max(ACTIONS_MAX).prefault([]),
  /** How long it takes in the guest on an idle host; the timing set's own figure when absent. */
  takesMs: ms.exactOptional()
})

/** How long a machine stays before its client collects it. */
const hold = z.discriminatedUnion('kind', [
  /** It stays to the end of the run. */
  z.strictObject({ kind: z.literal('forever') }),
  z.strictObject({ kind: z.literal('fixed'), ms }),
  z.strictObject({ kind: z.literal('exponential'), meanMs: ms })
])

const cpus = count(1, 1_024)
const memoryMiB = count(8, 4 * 1024 * 1024)
const diskMiB = count(1, 64 * 1024 * 1024)
const actions = z.array(action).max(ACTIONS_MAX)
const expression = z.string().max(8_192)

/** The machine that an order asks for. */
export const machine = z.strictObject({
  os: name,
  cpus: cpus.prefault(1),
  memoryMiB: memoryMiB.prefault(256),
  diskMiB: diskMiB.prefault(2_048),
  domain: name.prefault('default'),
  /** Asks for its domain's network by name. */
  network: name.exactOptional(),
  actions: actions.prefault([]),
  requirements: expression.prefault('true'),
  rank: expression.exactOptional(),
  /** Fail rather than make a provisional machine while registrars cannot be reached. */
  strict: z.boolean().prefault(false)
})

/** What of a source's machine one order of a list has otherwise. */
const machineChange = z.strictObject({
  os: name.exactOptional(),
  cpus: cpus.exactOptional(),
  memoryMiB: memoryMiB.exactOptional(),
  diskMiB: diskMiB.exactOptional(),
  domain: name.exactOptional(),
  network: name.exactOptional(),
  actions: actions.exactOptional(),
  requirements: expression.exactOptional(),
  rank: expression.exactOptional(),
  strict: z.boolean().exactOptional()
})

const common = {
  machine,
  hold: hold.prefault({ kind: 'forever' }),
  /** Who takes the orders: a plant by name, a site (any of its plants), or any plant (drawn). */
  shop: z.strictObject({ plant: name.exactOptional(), site: name.exactOptional() }).prefault({}),
  /** The first is asked at. */
  fromMs: ms.prefault(0)
}

/** One job of a trace, as its reader gives it; times count from the trace's (cut) start. */
export interface TraceJob {
  /** The trace's own number or name. */
  id: string
  submitMs: number
  /** How long it ran: how long the machine is held. */
  runMs: number
  cpus: number
  /** Undefined: the trace does not say. */
  memoryMiB?: number
  /** What its user asked for, for the Batsim column `requested_time`. */
  requestedMs?: number
}

const listed = z.strictObject({
  kind: z.literal('list'),
  ...common,
  /** Each asked `atMs` after the start, whatever became of those before; fields of `machine` may differ. */
  orders: z.array(z.strictObject({ atMs: ms, holdMs: ms.exactOptional(), shop: name.exactOptional(), machine: machineChange.exactOptional() })).min(1).max(10_000)
})
const series = z.strictObject({
  kind: z.literal('series'),
  ...common,
  count: count(1, ORDERS_MAX),
  /** So many clients, each asking anew once its last order was answered (VMPlants 4.2: one, "in sequence"). */
  clients: count(1, 1_000_000).prefault(1),
  /** Between an answer and the next order of that client. */
  thinkMs: ms.prefault(0)
})
const poisson = z.strictObject({
  kind: z.literal('poisson'),
  ...common,
  /** Mean time between orders: of all together, or (`per: plant`) of each plant's clients. */
  meanIntervalMs: periodMs(1e12),
  per: z.enum(['mesh', 'plant']).prefault('mesh'),
  /** Ends after so many, or at `toMs`, or with the run. */
  count: count(1, ORDERS_MAX).exactOptional(),
  toMs: ms.exactOptional()
})
const traced = z.strictObject({
  kind: z.literal('trace'),
  ...common,
  /** The trace's file, relative to the scenario's. */
  file: filePath,
  /** `swf`: Standard Workload Format 2.2; `opendc`: OpenDC's table of machines, as CSV or Parquet (`sim/traces/README.md`). */
  format: z.enum(['swf', 'opendc']),
  /**
   * What a table of machines (`opendc`) counts memory in; SWF has KiB a processor, whatever is said here. `none`, for both: it says nothing of
   * use, and each order asks for `machine.memoryMiB`.
   */
  memoryUnit: z.enum(['MiB', 'KiB', 'none']).prefault('MiB'),
  /** Jobs to leave out at the start, and to take at most. */
  skip: count(0, ORDERS_MAX).prefault(0),
  take: count(1, ORDERS_MAX).exactOptional(),
  /** Times between submissions, and run times, are multiplied by these; 0.1 is ten times the load. */
  intervalScale: z.number().gt(0).max(1e6).prefault(1),
  runScale: z.number().gt(0).max(1e6).prefault(1),
  /** More processors than this in one job are cut down to it, as a machine is on one plant. */
  cpusMax: count(1, 1_024).prefault(1_024),
  /** And memory. */
  memoryMiBMax: memoryMiB.prefault(4 * 1024 * 1024)
})

/** A source of orders as its file says it. */
export const orderSource = z.discriminatedUnion('kind', [listed, series, poisson, traced])

export type MachineSpec = z.output<typeof machine>
export type HoldSpec = z.output<typeof hold>
export type ListSource = z.output<typeof listed>
export type SeriesSource = z.output<typeof series>
export type PoissonSource = z.output<typeof poisson>
/** A trace that was read: the loader fills in `jobs`, cut, scaled, and in order of submission. */
export type TraceSource = z.output<typeof traced> & { jobs: TraceJob[] }
export type OrderSource = ListSource | SeriesSource | PoissonSource | TraceSource
