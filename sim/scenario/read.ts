/** A scenario file's text as points that can be run: checked whole, every problem listed with its path and line. */
import { PlantError } from '../../protocols/kit/index.ts'
import { FormError, type RawDocument } from '../../protocols/order/forms/document.ts'
import { readJson } from '../../protocols/order/forms/json.ts'
import { readYaml } from '../../protocols/order/forms/yaml.ts'
import { VALUE_DEPTH_MAX } from '../../protocols/order/constants.ts'
import { plainCopy } from '../../protocols/order/plain.ts'
import { pathText, type Path, type RawProblem } from '../../protocols/order/problems.ts'
import { scenarioProblems } from './check.ts'
import { SCENARIO_BYTES_MAX } from './constants.ts'
import { explain } from './explain.ts'
import type { OrderSource } from './orders.ts'
import { pointPlans, withSettings, type PointPlan, type Setting } from './points.ts'
import { scenarioFile, type Scenario, type ScenarioFile } from './schema.ts'

/** One point of a file: what a run is a run of. Traces are filled in later (`withTraces`). */
export interface Point {
  /** `256 MB, policy.k=4`; the scenario's name for the only point of a file. */
  name: string
  case: string
  /** What the sweep set, for tables and axes. */
  sweep: Setting[]
  scenario: Scenario
}

/** A checked file and its points, in order. */
export interface ScenarioSet { file: ScenarioFile, points: Point[] }

export interface ReadInit {
  /** Names that `timings.constants` may have, by set. */
  constantsOf: (set: ScenarioFile['timings']['set']) => string[]
  /** Fields set from the command line, before cases and sweep. */
  set?: readonly Setting[]
  /** Values to sweep over, besides the file's; the same path replaces the file's. */
  sweep?: Readonly<Record<string, readonly unknown[]>>
}

const PROBLEMS_MAX = 50

/** Reads a text, YAML or JSON. Throws SCENARIO_INVALID with all problems (path, found, allowed, message, line). */
export function readScenario (text: string, init: ReadInit): ScenarioSet {
  if (text.length > SCENARIO_BYTES_MAX || new TextEncoder().encode(text).length > SCENARIO_BYTES_MAX) throw scenarioTooLarge()
  const source = documentOf(text.startsWith('\ufeff') ? text.slice(1) : text)
  const problems: RawProblem[] = [...source.problems]
  const plain = plainCopy(source.value, problems)
  if (problems.length > 0) throw scenarioInvalid(problems, source)
  const written = parse(plain, problems)
  if (written === undefined) throw scenarioInvalid(problems, source)
  // Fields are set on the whole document with its defaults, so that paths lead to what the file did not say, too.
  const file = init.set === undefined ? written : parse(withSettings(written, init.set, problems), problems)
  if (file === undefined || problems.length > 0) throw scenarioInvalid(problems, source)
  const { plans, problems: tooMany } = pointPlans(file.cases, { ...file.sweep, ...init.sweep })
  if (tooMany.length > 0) throw scenarioInvalid(tooMany, source)
  const points = plans.flatMap((plan, index) => {
    const found: RawProblem[] = []
    const made = pointOf(file, plan, init, found)
    problems.push(...found.map((problem) => plan.set.length === 0 ? problem : { ...problem, message: `${problem.message} (point ${index + 1}: ${plan.name})` }))
    return made === undefined ? [] : [made]
  })
  if (problems.length > 0) throw scenarioInvalid(problems, source)
  return { file, points }
}

/** The point with its traces read: `read` gives the jobs of the source at that index. */
export function withTraces (point: Point, read: (source: ScenarioFile['orders'][number] & { kind: 'trace' }, index: number) => OrderSource): Point {
  const orders = point.scenario.orders.map((source, index) => source.kind === 'trace' ? read(source, index) : source)
  return { ...point, scenario: { ...point.scenario, orders } }
}

/** SCENARIO_INVALID for a text of more than SCENARIO_BYTES_MAX, for readers that stop before its end. */
export function scenarioTooLarge (): PlantError {
  return new PlantError('SCENARIO_INVALID', { problems: [{ path: '', found: `more than ${SCENARIO_BYTES_MAX} bytes`, allowed: `at most ${SCENARIO_BYTES_MAX} bytes (1 MiB); traces lie in files of their own`, message: 'the file is too large' }] })
}

function documentOf (text: string): RawDocument {
  let documents: RawDocument[]
  try {
    documents = /^\s*\{\s*"/.test(text) ? readJson(text) : readYaml(text)
  } catch (error) {
    if (!(error instanceof FormError)) throw error
    throw scenarioInvalid(error.problems.map((problem) => STACK.test(problem.message) ? tooDeep(text, problem) : problem), undefined, error)
  }
  const [first, ...more] = documents
  if (first === undefined || more.length > 0) throw scenarioInvalid([{ path: [], found: `${documents.length} documents`, allowed: 'one scenario', message: first === undefined ? 'the file is empty' : 'there is more than one document' }])
  return first
}

/** How the parser says that its recursion has come to an end. */
const STACK = /call stack/i

/** The same problem with the top field that it lies in, which is as much as is known of a document that could not be read. */
function tooDeep (text: string, { line }: RawProblem): RawProblem {
  const above = text.split('\n').slice(0, line ?? 0)
  const field = above.map((one) => /^([A-Za-z_][\w-]*)\s*:/.exec(one)?.[1]).findLast((name) => name !== undefined)
  return { path: field === undefined ? [] : [field], found: 'more levels than can be read', allowed: `at most ${VALUE_DEPTH_MAX} levels`, message: 'is nested too deeply', ...(line !== undefined && { line }) }
}

function parse (value: unknown, problems: RawProblem[]): ScenarioFile | undefined {
  const parsed = scenarioFile.safeParse(value)
  if (parsed.success) return parsed.data
  for (const issue of parsed.error.issues) problems.push(...explain(issue, scenarioFile, value))
  return undefined
}

function pointOf (file: ScenarioFile, plan: PointPlan, init: ReadInit, problems: RawProblem[]): Point | undefined {
  const whole = plan.set.length === 0 ? file : parse(withSettings(file, plan.set, problems), problems)
  if (whole === undefined || problems.length > 0) return undefined
  problems.push(...scenarioProblems(whole, init.constantsOf))
  const { apiVersion: _api, kind: _kind, seed: _seed, runs: _runs, cases: _cases, sweep: _sweep, figures: _figures, ...rest } = whole
  const orders = whole.orders.map((source): OrderSource => source.kind === 'trace' ? { ...source, jobs: [] } : source)
  return { name: plan.name === '' ? file.name : plan.name, case: plan.case, sweep: plan.sweep, scenario: { ...rest, orders } }
}

function scenarioInvalid (problems: RawProblem[], source?: RawDocument, cause?: unknown): PlantError {
  const seen = new Set<string>()
  const told = problems.filter(({ path, found, message }) => {
    const key = JSON.stringify([path, found, message.replace(/ \(point .*/, '')])
    return !seen.has(key) && seen.add(key)
  })
  const details: Record<string, unknown> = { problems: told.slice(0, PROBLEMS_MAX).map(({ path, line, ...rest }) => ({ path: pathText(path), ...rest, ...lineOf(path, line, source) })) }
  if (told.length > PROBLEMS_MAX) details['more'] = told.length - PROBLEMS_MAX
  return new PlantError('SCENARIO_INVALID', details, cause === undefined ? undefined : { cause })
}

function lineOf (path: Path, line: number | undefined, source: RawDocument | undefined): { line?: number } {
  const found = line ?? (path[0] === '--set' ? undefined : source?.lineOf(path))
  return found === undefined ? {} : { line: found }
}
