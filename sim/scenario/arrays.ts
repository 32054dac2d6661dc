/** What `mode: arrays` does not have: refused by field rather than passed over, as results would not be what the file says. */
import { CANDIDATES_MAX, DEADLINE_MS, LAST_DEADLINE_MS } from '../../protocols/bid/constants.ts'
import { foundText, type Path, type RawProblem } from '../../protocols/order/problems.ts'
import { ARRAYS_MS_MAX, ARRAYS_SOURCES_MAX } from './constants.ts'
import { plantCount } from './plants-of.ts'
import type { Scenario } from './schema.ts'

/** As much of a scenario as is looked at: a file's point before or after its traces are read. */
export type ArraysScenario = Pick<Scenario, 'faults' | 'links' | 'plants' | 'policy' | 'timings' | 'until' | 'warmUpShare'> & { orders: ReadonlyArray<Scenario['orders'][number] | Omit<Scenario['orders'][number] & { kind: 'trace' }, 'jobs'>> }

const ONLY = 'with mode: arrays'
/** A problem where `is` holds. */
const wrong = (is: boolean, path: Path, found: string, allowed: string): RawProblem[] => is ? [{ path, found, allowed: `${allowed} ${ONLY}`, message: 'is only for mode: cores' }] : []

/** The problems of a scenario that is to run with arrays. */
export function arraysProblems (scenario: ArraysScenario): RawProblem[] {
  const { faults, links, until, warmUpShare, orders } = scenario
  return [
    ...plantProblems(scenario),
    ...wrong(faults.length > 0, ['faults'], `${faults.length} faults`, 'none'),
    ...wrong(links.between.length > 0 || links.default.lossShare > 0 || links.default.jitterMs > 0, ['links'], 'loss, jitter or links of their own', 'one constant latency (links.default.latencyMs)'),
    ...wrong(until.ms === undefined || until.ms > ARRAYS_MS_MAX, ['until', 'ms'], foundText(until.ms), `a time up to ${ARRAYS_MS_MAX}, as orders never end,`),
    ...wrong(warmUpShare > 0, ['warmUpShare'], foundText(warmUpShare), '0, as jobs are counted and not listed,'),
    ...timingProblems(scenario),
    ...policyProblems(scenario),
    ...wrong(orders.length === 0 || orders.length > ARRAYS_SOURCES_MAX, ['orders'], `${orders.length} sources`, `1 to ${ARRAYS_SOURCES_MAX}`),
    ...orders.flatMap((source, i) => orderProblems(source, ['orders', i]))
  ]
}

function plantProblems ({ plants }: ArraysScenario): RawProblem[] {
  const sites = new Set(plants.map(({ site }) => site)).size
  return [
    ...wrong(plantCount({ plants }) < 2, ['plants'], `${plantCount({ plants })} plants`, 'two plants or more'),
    ...wrong(sites > 1, ['plants'], `${sites} sites`, 'one site, as there is one latency,'),
    ...plants.flatMap(({ clock, shop }, i) => [
      ...wrong(clock.offsetMs !== 0 || clock.driftPpm !== 0, ['plants', i, 'clock'], 'a clock that is off', 'true clocks'),
      ...wrong(!shop, ['plants', i, 'shop'], foundText(shop), 'true')
    ])
  ]
}

function timingProblems ({ timings }: ArraysScenario): RawProblem[] {
  const given = timings.clone !== 'link' || timings.failureShare > 0 || Object.keys(timings.constants).length > 0
  return wrong(given, ['timings'], 'clone, failureShare or constants', 'none of them, as machines start at once,')
}

function policyProblems ({ policy }: ArraysScenario): RawProblem[] {
  const { costModel, file, k, bidDeadlineMs, lastBidDeadlineMs, creationsAtOnce, computePerMachine, networkOnce, ceilingMiB } = policy
  const constants = { computePerMachine, networkOnce, ceilingMiB, creationsAtOnce }
  return [
    ...wrong(file !== undefined, ['policy', 'file'], foundText(file), 'a cost model of the daemon, and no policy file,'),
    ...wrong(costModel === 'file' && file === undefined, ['policy', 'costModel'], foundText(costModel), 'a cost model of the daemon'),
    ...wrong(k > CANDIDATES_MAX, ['policy', 'k'], foundText(k), `at most ${CANDIDATES_MAX}`),
    ...wrong(bidDeadlineMs !== DEADLINE_MS, ['policy', 'bidDeadlineMs'], foundText(bidDeadlineMs), `the daemon's ${DEADLINE_MS}`),
    ...wrong(lastBidDeadlineMs !== LAST_DEADLINE_MS, ['policy', 'lastBidDeadlineMs'], foundText(lastBidDeadlineMs), `the daemon's ${LAST_DEADLINE_MS}`),
    ...Object.entries(constants).flatMap(([name, value]) => wrong(value !== undefined, ['policy', name], foundText(value), 'the daemon\'s own'))
  ]
}

function orderProblems (source: ArraysScenario['orders'][number], path: Path): RawProblem[] {
  const { machine, shop } = source
  if (source.kind !== 'poisson') return wrong(true, [...path, 'kind'], foundText(source.kind), 'poisson')
  return [
    ...wrong(source.fromMs > 0 || source.toMs !== undefined || source.count !== undefined, path, 'fromMs, toMs or count', 'orders from the start to the end'),
    ...wrong(shop.plant !== undefined || shop.site !== undefined, [...path, 'shop'], foundText(shop.plant ?? shop.site), 'any plant'),
    ...wrong(machine.rank !== undefined || machine.requirements.trim() !== 'true', [...path, 'machine'], 'rank or requirements', 'neither'),
    ...wrong(machine.actions.length > 0 || machine.strict, [...path, 'machine'], 'actions or strict', 'neither')
  ]
}
