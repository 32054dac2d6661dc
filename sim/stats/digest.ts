/** A run boiled down to what reports need: numbers by name, and bounded samples for plots. */
import { PHASES, type BidResult, type FaultResult, type JobResult, type Phase, type RunResult, type Scenario, type ViewSample } from '../scenario/index.ts'
import { Moments } from './moments.ts'
import { Quantiles } from './quantiles.ts'

/** Samples that a run keeps for plots at most; of more, every n-th. */
export const SAMPLES_MAX = 4_000

/** One machine on its plant, for the Gantt chart. */
export interface Stay { plant: string, fromMs: number, runningMs: number, toMs: number, sequence: number }

export interface RunDigest {
  seed: number
  traceHash: string
  ended: RunResult['ended']
  /** Numbers by name (`valueNames` says what they are); absent where the run gave none. */
  values: Record<string, number>
  /** By sequence number: milliseconds. */
  creations: Array<[sequence: number, ms: number]>
  clones: Array<[sequence: number, ms: number]>
  views: ViewSample[]
  faults: FaultResult[]
  bids: BidResult[]
  stays: Stay[]
}

/** What the numbers of a run are: for tables, axes and the columns of runs.csv. `ms` are milliseconds of simulated time. */
export const VALUES: Readonly<Record<string, { title: string, unit: string }>> = {
  orders: { title: 'orders placed', unit: '' },
  running: { title: 'orders that got a machine', unit: '' },
  refused: { title: 'orders refused', unit: '' },
  failed: { title: 'orders failed', unit: '' },
  lost: { title: 'machines lost', unit: '' },
  open: { title: 'orders still open at the end', unit: '' },
  provisional: { title: 'provisional machines', unit: '' },
  creationMsMean: { title: 'creation time, mean', unit: 'ms' },
  creationMsMin: { title: 'creation time, least', unit: 'ms' },
  creationMsP50: { title: 'creation time, median', unit: 'ms' },
  creationMsP95: { title: 'creation time, 95th percentile', unit: 'ms' },
  creationMsP99: { title: 'creation time, 99th percentile', unit: 'ms' },
  creationMsMax: { title: 'creation time, most', unit: 'ms' },
  creationMsDeviation: { title: 'creation time, standard deviation', unit: 'ms' },
  cloneMsMean: { title: 'cloning time, mean', unit: 'ms' },
  cloneMsMin: { title: 'cloning time, least', unit: 'ms' },
  cloneMsMax: { title: 'cloning time, most', unit: 'ms' },
  cloneMsDeviation: { title: 'cloning time, standard deviation', unit: 'ms' },
  cloneRise: { title: 'cloning time, last eight against first eight', unit: '' },
  ...Object.fromEntries(PHASES.map((phase) => [`${phase}Ms`, { title: `phase ${phase}, mean`, unit: 'ms' }])),
  slowdownMean: { title: 'slow-down, mean: (waiting + run) / run', unit: '' },
  boundedSlowdownMean: { title: 'bounded slow-down, mean (runs under 10 s count as 10 s)', unit: '' },
  makespanMs: { title: 'from the first order to the last machine', unit: 'ms' },
  equationMs: { title: 'bid + the largest sum of deployments on one plant (SO-MVDS, equation 1)', unit: 'ms' },
  askedMean: { title: 'plants asked for an order', unit: '' },
  bidsMean: { title: 'bids for an order', unit: '' },
  costMean: { title: 'winning bid', unit: 'cost' },
  firstPlantMachines: { title: 'machines of the first plant before another wins', unit: '' },
  plantsUsed: { title: 'plants that got a machine', unit: '' },
  machinesMost: { title: 'most machines on one plant', unit: '' },
  messages: { title: 'messages', unit: '' },
  viewAgeMs: { title: 'age of view entries, mean over the run', unit: 'ms' },
  agreedAfterMs: { title: 'until all views agreed again', unit: 'ms' },
  notAgreed: { title: 'faults after which views had not agreed when the run ended', unit: '' },
  forgottenAfterMs: { title: 'until no view held a plant that was gone', unit: 'ms' },
  bytesPerPlant: { title: 'memory of the model a plant', unit: 'bytes' },
  fetchMsP50: { title: 'until half of the plants have the image', unit: 'ms' },
  fetchMsP99: { title: 'until 99 of a hundred plants have the image', unit: 'ms' },
  fetchMsP999: { title: 'until 999 of a thousand plants have the image', unit: 'ms' },
  fetchMsMost: { title: 'until all plants have the image', unit: 'ms' },
  fileMs: { title: 'the image over one line', unit: 'ms' },
  publisherCopies: { title: 'copies of the image that its publisher sent', unit: '' },
  'gossip.sampledPlants': { title: 'plants whose gossip was also run message by message', unit: '' },
  'gossip.spreadDeviationShare': { title: 'aggregate gossip against messages: spread, share that it is off', unit: '' },
  'gossip.ageDeviationShare': { title: 'aggregate gossip against messages: age of entries, share that it is off', unit: '' },
  'gossip.messages': { title: 'gossip messages', unit: '' },
  machinesLost: { title: 'machines that died of faults', unit: '' },
  events: { title: 'events', unit: '' },
  endedMs: { title: 'simulated time', unit: 'ms' }
}

/** Numbers over the jobs after the warm-up; all others are over the whole run. */
export const AFTER_WARM_UP: ReadonlySet<string> = new Set([
  ...Object.keys(VALUES).filter((name) => /^(?:creation|clone)(?:Ms|Rise)/.test(name)), ...PHASES.map((phase) => `${phase}Ms`), 'slowdownMean', 'boundedSlowdownMean', 'askedMean', 'bidsMean', 'costMean'
])

const CLONE_PHASES: readonly Phase[] = ['copy', 'boot', 'resume']
const DEPLOY_PHASES: readonly Phase[] = ['fetch', ...CLONE_PHASES, 'identity', 'actions']
/** The threshold of bounded slow-down that scheduling studies use (Feitelson). */
const BOUNDED_RUN_MS = 10_000

/**
 * Boils a run down. Jobs of the warm-up (`warmUpShare`, by submission) are left out of what is a mean or a distribution over jobs (AFTER_WARM_UP), not of
 * counts nor of what is said of the schedule as a whole. Of creations and clones `samplesMax` are kept.
 */
export function digest (result: RunResult, scenario: Pick<Scenario, 'warmUpShare'>, samplesMax = SAMPLES_MAX): RunDigest {
  const counted = result.jobs.slice(Math.floor(result.jobs.length * scenario.warmUpShare))
  const creations = counted.flatMap((job): Array<[number, number]> => job.runningMs === undefined ? [] : [[job.sequence, job.runningMs - job.submittedMs]])
  const clones = counted.flatMap((job): Array<[number, number]> => job.runningMs === undefined || !CLONE_PHASES.some((phase) => job.phasesMs[phase] !== undefined) ? [] : [[job.sequence, phaseSum(job, CLONE_PHASES)]])
  return {
    seed: result.seed,
    traceHash: result.traceHash,
    ended: result.ended,
    values: finite({
      ...countValues(result.jobs),
      ...spread('creationMs', creations, true),
      ...spread('cloneMs', clones, false),
      cloneRise: rise(clones.map(([, ms]) => ms)),
      ...phaseValues(counted),
      ...slowdowns(counted),
      ...schedule(result.jobs),
      ...auctions(counted),
      ...meshValues(result),
      events: result.events,
      endedMs: result.endedMs,
      ...result.figures
    }),
    creations: thinned(creations, samplesMax),
    clones: thinned(clones, samplesMax),
    ...courseOf(result)
  }
}

/** The digest without what only plots of a single run show: reports draw it for the first run of a point. */
export function withoutCourse (run: RunDigest): RunDigest {
  return { ...run, views: [], faults: [], bids: [], stays: [] }
}

/** What happened when, as far as plots of one run show it. */
function courseOf ({ views, faults, bids, jobs, endedMs: runEndedMs }: RunResult): Pick<RunDigest, 'views' | 'faults' | 'bids' | 'stays'> {
  return {
    views: thinned(views, SAMPLES_MAX),
    faults: faults.slice(0, SAMPLES_MAX),
    bids: bids.slice(0, SAMPLES_MAX),
    stays: jobs.slice(0, SAMPLES_MAX).flatMap(({ plant, runningMs, awardedMs, submittedMs, endedMs, sequence }) => plant === undefined || runningMs === undefined
      ? []
      : [{ plant, fromMs: awardedMs ?? submittedMs, runningMs, toMs: endedMs ?? runEndedMs, sequence }])
  }
}

function finite (values: Record<string, number>): Record<string, number> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => Number.isFinite(value)))
}

/** Every n-th, so that at most `most` are left. */
function thinned<T> (all: readonly T[], most: number): T[] {
  if (all.length <= most) return [...all]
  if (most < 1) return []
  const step = Math.ceil(all.length / most)
  return all.filter((_, index) => index % step === 0)
}

function phaseSum (job: JobResult, phases: readonly Phase[]): number {
  return phases.reduce((sum, phase) => sum + (job.phasesMs[phase] ?? 0), 0)
}

function countValues (jobs: readonly JobResult[]): Record<string, number> {
  const of = (end: JobResult['end']): number => jobs.reduce((sum, job) => sum + (job.end === end ? 1 : 0), 0)
  const [running, refused, failed, lost, open] = [of('running'), of('refused'), of('failed'), of('lost'), of('open')]
  return { orders: jobs.length, running, refused, failed, lost, open, provisional: jobs.reduce((sum, { provisional }) => sum + (provisional === true ? 1 : 0), 0) }
}

function spread (name: string, pairs: ReadonlyArray<[number, number]>, tails: boolean): Record<string, number> {
  const moments = new Moments()
  const quantiles = new Quantiles()
  for (const [, ms] of pairs) {
    moments.add(ms)
    quantiles.add(ms)
  }
  return {
    [`${name}Mean`]: moments.mean,
    [`${name}Min`]: moments.min,
    [`${name}Max`]: moments.max,
    [`${name}Deviation`]: moments.deviation,
    ...tails && { [`${name}P50`]: quantiles.at(0.5), [`${name}P95`]: quantiles.at(0.95), [`${name}P99`]: quantiles.at(0.99) }
  }
}

/** How many of the first and of the last are compared. */
const RISE_OF = 8

/** The mean of the last ones against that of the first ones; NaN with fewer than both have. */
function rise (values: readonly number[]): number {
  return values.length < 2 * RISE_OF ? NaN : meanOf(values.slice(-RISE_OF)) / meanOf(values.slice(0, RISE_OF))
}

function meanOf (values: Iterable<number | undefined>): number {
  const moments = new Moments()
  for (const value of values) if (value !== undefined) moments.add(value)
  return moments.mean
}

function phaseValues (jobs: readonly JobResult[]): Record<string, number> {
  return Object.fromEntries(PHASES.map((phase) => [`${phase}Ms`, meanOf(jobs.map(({ phasesMs }) => phasesMs[phase]))]))
}

function slowdowns (jobs: readonly JobResult[]): Record<string, number> {
  const timed = jobs.filter((job): job is JobResult & { runningMs: number, holdMs: number } => job.runningMs !== undefined && job.holdMs !== undefined && job.holdMs > 0)
  return {
    slowdownMean: meanOf(timed.map(({ runningMs, submittedMs, holdMs }) => (runningMs - submittedMs + holdMs) / holdMs)),
    boundedSlowdownMean: meanOf(timed.map(({ runningMs, submittedMs, holdMs }) => Math.max(1, (runningMs - submittedMs + holdMs) / Math.max(holdMs, BOUNDED_RUN_MS))))
  }
}

/** The schedule of all jobs: how long it took, and where machines went. */
function schedule (jobs: readonly JobResult[]): Record<string, number> {
  const placed = jobs.filter((job): job is JobResult & { plant: string } => job.plant !== undefined && job.runningMs !== undefined)
  const byPlant = new Map<string, { count: number, deployMs: number }>()
  for (const job of placed) {
    const one = byPlant.get(job.plant) ?? { count: 0, deployMs: 0 }
    one.count++
    one.deployMs += phaseSum(job, DEPLOY_PHASES)
    byPlant.set(job.plant, one)
  }
  const other = placed.findIndex(({ plant }) => plant !== placed[0]?.plant)
  const all = [...byPlant.values()]
  const lastMs = placed.reduce((max, { runningMs }) => Math.max(max, runningMs ?? 0), -Infinity)
  return {
    makespanMs: lastMs - (jobs[0]?.submittedMs ?? NaN),
    equationMs: meanOf(placed.map(({ phasesMs }) => phasesMs.bid)) + all.reduce((max, { deployMs }) => Math.max(max, deployMs), -Infinity),
    firstPlantMachines: placed.length === 0 ? NaN : other < 0 ? placed.length : other,
    plantsUsed: byPlant.size,
    machinesMost: all.reduce((max, { count }) => Math.max(max, count), 0)
  }
}

/** How orders were auctioned, on average. */
function auctions (jobs: readonly JobResult[]): Record<string, number> {
  return { askedMean: meanOf(jobs.map(({ asked }) => asked)), bidsMean: meanOf(jobs.map(({ bids }) => bids)), costMean: meanOf(jobs.map(({ cost }) => cost)) }
}

/** The longest that it took after any fault; NaN where after one it had not come when the run ended, as that may have taken for ever. */
function longest (values: ReadonlyArray<number | undefined>): number {
  return values.length === 0 ? NaN : values.reduce<number>((max, value) => Math.max(max, value ?? NaN), -Infinity)
}

function meshValues ({ views, faults, endedMs }: RunResult): Record<string, number> {
  // A fault that was never over is not waited for, nor one that was over only after the run.
  const over = faults.filter(({ overMs = Infinity }) => overMs < endedMs)
  return {
    messages: views.at(-1)?.messages ?? NaN,
    viewAgeMs: meanOf(views.map(({ viewAgeMs }) => viewAgeMs)),
    agreedAfterMs: longest(over.map(({ agreedAfterMs }) => agreedAfterMs)),
    ...over.length > 0 && { notAgreed: over.reduce((sum, { agreedAfterMs }) => sum + (agreedAfterMs === undefined ? 1 : 0), 0) },
    forgottenAfterMs: longest(faults.flatMap(({ forgottenAfterMs }) => forgottenAfterMs ?? [])),
    ...faults.length > 0 && { machinesLost: faults.reduce((sum, { machinesLost }) => sum + machinesLost, 0) }
  }
}
