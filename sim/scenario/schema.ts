/**
 * What a scenario file may say, with types, bounds and defaults; no unknown fields. `Scenario` is one point of it, resolved, as `simulate`
 * and `simulateAtScale` take it; `ScenarioFile` is the file with its cases and sweep.
 */
import { z } from 'zod'
import { FAULTS_MAX, RUNS_MAX, SEED_MAX, SOURCES_MAX, TIME_MS_MAX } from './constants.ts'
import { fault, type Fault } from './faults.ts'
import { count, filePath, ms, name, periodMs, prose, share } from './fields.ts'
import { orderSource, type OrderSource } from './orders.ts'
import { swarm } from './swarm.ts'
import { goldens, links, plants, sites, timings } from './plants.ts'

/** What plants and shops decide by. */
export const policy = z.strictObject({
  /** A model of the daemon's (`node/plant/cost`), or `file`: the one that the policy file exports. */
  costModel: z.enum(['time-to-done', 'compute+network', 'memory', 'file']).prefault('time-to-done'),
  /** Constants of `compute+network` (VMPlants 3.4: 4 and 50) and `memory`. */
  computePerMachine: z.number().min(0).max(1e9).exactOptional(),
  networkOnce: z.number().min(0).max(1e9).exactOptional(),
  ceilingMiB: z.number().min(0).max(2 ** 40).exactOptional(),
  /** How many plants a shop asks; the daemon's 16 by default. */
  k: count(1, 1_000).prefault(16),
  bidDeadlineMs: ms.prefault(1_500),
  lastBidDeadlineMs: ms.prefault(4_500),
  /** Creations that a plant works on at once; as many as its host has CPUs by default. */
  creationsAtOnce: count(1, 100_000).exactOptional(),
  /** A TypeScript file, relative to the scenario's, whose exports decide (`PolicyModule`; sim/README.md). */
  file: filePath.exactOptional()
})

/** Only for `mode: arrays`. */
const scale = z.strictObject({
  /** `message`: every gossip message is an event; `aggregate`: ages of view entries are drawn from the model that `sim/scale` states. */
  gossip: z.enum(['message', 'aggregate']).prefault('aggregate'),
  /** Entries of a plant's view, and how often a plant gossips. */
  viewEntries: count(1, 1_024).prefault(16),
  gossipPeriodMs: periodMs(3_600_000).prefault(1_000),
  /** Plants whose view is also run message by message, to say how far the model is off. */
  sampledPlants: count(0, 100_000).prefault(1_000)
})

/** When the run ends. */
const until = z.strictObject({
  /** At this time at the latest; a run of no time is a mistake. */
  ms: z.number().gt(0).max(TIME_MS_MAX).exactOptional(),
  /** When every order of every source has ended and `settleMs` have passed. */
  ordersEnded: z.boolean().prefault(true),
  settleMs: ms.prefault(0)
})

/** What the report shows, besides what it always does. */
export const METRICS = ['creation', 'clone', 'cloneBySequence', 'placement', 'waiting', 'bids', 'agreement', 'recovery', 'events', 'memory'] as const

const shared = {
  name,
  title: prose.prefault(''),
  description: prose.prefault(''),
  mode: z.enum(['cores', 'arrays', 'swarm']).prefault('cores'),
  sites: sites.prefault([]),
  plants: plants.prefault([{}]),
  links: links.prefault({}),
  timings: timings.prefault({}),
  golden: goldens.prefault([{ name: 'linux' }]),
  faults: z.array(fault).max(FAULTS_MAX).prefault([]),
  policy: policy.prefault({}),
  scale: scale.prefault({}),
  swarm: swarm.prefault({}),
  until: until.prefault({}),
  /** How often a sample of the views and of each plant's fill goes into the result. */
  sampleEveryMs: periodMs(86_400_000).prefault(1_000),
  /** Share of the jobs, by submission, that statistics leave out at the start. */
  warmUpShare: share.prefault(0),
  metrics: z.array(z.enum(METRICS)).max(METRICS.length).prefault(['creation'])
}

/** A field's path in a scenario (`policy.k`, `plants[0].count`) and a value, or values, for it. */
const fieldPath = z.string().min(1).max(256)

/** The file as a whole. */
export const scenarioFile = z.strictObject({
  apiVersion: z.literal('plantmesh-sim/v1'),
  kind: z.literal('Scenario'),
  ...shared,
  orders: z.array(orderSource).max(SOURCES_MAX).prefault([]),
  seed: count(0, SEED_MAX).prefault(1),
  runs: count(1, RUNS_MAX).prefault(5),
  /** Variants side by side: each sets fields by path. */
  cases: z.array(z.strictObject({ name: z.string().min(1).max(63), set: z.record(fieldPath, z.unknown()) })).max(100).prefault([]),
  /** Every combination of these values is a point, within each case. */
  sweep: z.record(fieldPath, z.array(z.unknown()).min(1).max(1_000)).prefault({}),
  /** Figures of a paper that the report puts beside the run's (`sim/figures`). */
  figures: z.array(z.enum(['vmplants-4', 'vmplants-5', 'vmplants-6', 'vmplants-copy', 'vmplants-13', 'so-mvds-1', 'so-mvds-7', 'kraken'])).max(8).prefault([])
})

/** A whole file, checked, defaults filled in; its traces are not read yet. */
export type ScenarioFile = z.output<typeof scenarioFile>
type Resolved = 'apiVersion' | 'kind' | 'seed' | 'runs' | 'cases' | 'sweep' | 'figures' | 'orders'

/** One point of a scenario file, with its traces read: plain data that a worker can be sent. */
export type Scenario = Omit<ScenarioFile, Resolved> & { orders: OrderSource[] }
export type Policy = z.output<typeof policy>
export type ScaleSpec = z.output<typeof scale>
export type UntilSpec = z.output<typeof until>
export type MetricName = typeof METRICS[number]
export type { Fault }
