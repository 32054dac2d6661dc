/** Scenarios from files: found by path or by the name of a shipped one, read within bounds, with their traces and policies. */
import { createHash } from 'node:crypto'
import { open, readdir, readFile, stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parquetReadObjects } from 'hyparquet'
import { PlantError } from '../../protocols/kit/index.ts'
import { foundText, nearest } from '../../protocols/order/problems.ts'
import { readScenario, scenarioTooLarge, SCENARIO_BYTES_MAX, TIME_MS_MAX, withTraces, type Point, type ReadInit, type ScenarioSet, type TraceJob } from '../scenario/index.ts'
import { constantsOf } from '../timings/index.ts'
import { cutTrace, jobsOfRows, readOpendcCsv, readSwf } from '../traces/index.ts'

/** Where the scenarios that are shipped lie. */
export const SHIPPED_DIR = fileURLToPath(new URL('../scenarios/', import.meta.url))

/** Traces are read whole; the largest logs of the archives have some hundred megabytes. */
const TRACE_BYTES_MAX = 512 * 2 ** 20
const DAY_MS = 86_400_000

export interface LoadedScenario extends ScenarioSet {
  path: string
  text: string
  /** SHA-256 of every file that the scenario names, by its name there. */
  files: Record<string, string>
  /** How many jobs of a trace its reader left out, by the trace's name there; without those of which it took all. */
  leftOut: Record<string, number>
  /** Absolute path of the policy file of each point that has one, by the point's place. */
  policyPaths: Array<string | undefined>
}

/** What the command line adds to a file. */
export type Added = Pick<ReadInit, 'set' | 'sweep'>

/** Loads a scenario. Throws SCENARIO_INVALID or TRACE_INVALID with the file, and USAGE when there is none. */
export async function loadScenario (nameOrPath: string, added: Added = {}): Promise<LoadedScenario> {
  const path = await find(nameOrPath)
  const text = await readBounded(path)
  const set = inFile(path, () => readScenario(text, { constantsOf: (set) => Object.keys(constantsOf(set)), ...added }))
  const files: Record<string, string> = {}
  const leftOut: Record<string, number> = {}
  const traces = new Map<string, TraceJob[]>()
  for (const [index, source] of set.points.flatMap(({ scenario }) => [...scenario.orders.entries()])) {
    if (source.kind !== 'trace' || traces.has(traceKey(source))) continue
    const bytes = await readNamed(dirname(path), source.file, `orders[${index}].file`)
    files[source.file] = createHash('sha256').update(bytes).digest('hex')
    const read = await jobsOf(bytes, source.format, source.file)
    if (read.leftOut > 0) leftOut[source.file] = read.leftOut
    if (read.jobs.length === 0) throw new PlantError('TRACE_INVALID', { file: source.file, found: read.leftOut === 0 ? 'no jobs' : `${read.leftOut} jobs, none of which ran`, allowed: 'at least one job with a run time and processors' })
    traces.set(traceKey(source), read.jobs)
  }
  const cuts = new Map<string, TraceJob[]>()
  const points = set.points.map((point): Point => withTraces(point, (source, index) => {
    // Cut and scaled here, once for all points that cut alike: what is run has nothing left to scale.
    const key = JSON.stringify(source)
    const jobs = cuts.get(key) ?? cutTrace(traces.get(traceKey(source)) ?? [], source)
    if (jobs.length === 0) throw inFileProblem(path, { path: `orders[${index}].skip`, found: `number ${source.skip}`, allowed: `less than the ${traces.get(traceKey(source))?.length ?? 0} jobs of ${source.file}`, message: 'leaves no job' })
    cuts.set(key, jobs)
    const inTime = withinRun(jobs, source.fromMs, point.scenario.until.ms, (found) => inFileProblem(path, { path: `orders[${index}]`, found, allowed: `jobs that end within ${TIME_MS_MAX / DAY_MS} days: fewer by take, sooner by intervalScale and runScale; or until.ms`, message: 'takes longer than a run may' }))
    return { ...source, jobs: inTime, skip: 0, intervalScale: 1, runScale: 1 }
  }))
  for (const file of new Set(points.flatMap(({ scenario }) => scenario.policy.file ?? []))) files[file] = createHash('sha256').update(await readNamed(dirname(path), file, 'policy.file')).digest('hex')
  const policyPaths = points.map(({ scenario: { policy } }) => policy.file === undefined ? undefined : resolve(dirname(path), policy.file))
  return { file: set.file, points, path, text, files, leftOut, policyPaths }
}

/** Names of the shipped scenarios with their titles. */
export async function shippedScenarios (): Promise<Array<{ name: string, title: string, figures: string[] }>> {
  const names = (await readdir(SHIPPED_DIR)).filter((name) => name.endsWith('.yaml')).sort()
  return Promise.all(names.map(async (name) => {
    const { file } = await loadScenario(join(SHIPPED_DIR, name))
    return { name: name.replace(/\.yaml$/, ''), title: file.title, figures: file.figures }
  }))
}

async function find (nameOrPath: string): Promise<string> {
  const path = resolve(nameOrPath)
  if (await isFile(path)) return path
  const shipped = join(SHIPPED_DIR, `${nameOrPath}.yaml`)
  if (/^[A-Za-z0-9-]+$/.test(nameOrPath) && await isFile(shipped)) return shipped
  const names = (await readdir(SHIPPED_DIR)).filter((name) => name.endsWith('.yaml')).map((name) => name.replace(/\.yaml$/, ''))
  const meant = nearest(nameOrPath, names)
  throw new PlantError('USAGE', { problem: 'there is no such scenario', found: nameOrPath, allowed: `a file, or one that is shipped: ${names.join(', ')}`, ...(meant !== undefined && { meant }) })
}

async function isFile (path: string): Promise<boolean> {
  return stat(path).then((found) => found.isFile() || found.isFIFO(), () => false)
}

/** Reads at most what a scenario may have: the size of a pipe is not known before. */
async function readBounded (path: string): Promise<string> {
  const file = await open(path, 'r')
  try {
    const buffer = Buffer.alloc(SCENARIO_BYTES_MAX + 1)
    let length = 0
    for (;;) {
      const { bytesRead } = await file.read(buffer, length, buffer.length - length)
      if (bytesRead === 0) return new TextDecoder('utf-8', { fatal: false }).decode(buffer.subarray(0, length))
      length += bytesRead
      if (length > SCENARIO_BYTES_MAX) throw scenarioTooLarge()
    }
  } finally {
    await file.close()
  }
}

async function readNamed (dir: string, name: string, field: string): Promise<Buffer> {
  const path = resolve(dir, name)
  try {
    const { size } = await stat(path)
    if (size > TRACE_BYTES_MAX) throw new PlantError('TRACE_INVALID', { file: path, found: `${size} bytes`, allowed: `at most ${TRACE_BYTES_MAX} bytes` })
    return await readFile(path)
  } catch (cause) {
    if (cause instanceof PlantError) throw cause
    throw new PlantError('SCENARIO_INVALID', { problems: [{ path: field, found: JSON.stringify(name), allowed: `the path of a file, relative to ${dir}`, message: `cannot be read: ${(cause as Error).message}` }] }, { cause })
  }
}

const traceKey = ({ file, format }: { file: string, format: string }): string => `${format}\n${file}`

async function jobsOf (bytes: Buffer, format: 'swf' | 'opendc', name: string): Promise<{ jobs: TraceJob[], leftOut: number }> {
  try {
    if (format === 'swf') return readSwf(bytes.toString('utf8'))
    // Parquet files begin and end with PAR1.
    if (bytes.subarray(0, 4).toString('latin1') !== 'PAR1') return readOpendcCsv(bytes.toString('utf8'))
    const rows = await parquetReadObjects({ file: new Uint8Array(bytes).buffer })
    return jobsOfRows(rows.map((row, index) => ({ line: index + 1, get: (column) => row[column] as unknown })))
  } catch (error) {
    if (error instanceof PlantError) throw new PlantError(error.code, { file: name, ...error.details }, { cause: error })
    throw new PlantError('TRACE_INVALID', { file: name, problem: (error as Error).message, allowed: 'CSV with a header, or Parquet without compression or with Snappy' }, { cause: error })
  }
}

/** Jobs with times that a run can count. One that has an end of its own (`untilMs`) reaches no later ones; any other would wait for them. */
function withinRun (jobs: readonly TraceJob[], fromMs: number, untilMs: number | undefined, problem: (found: string) => PlantError): TraceJob[] {
  const late = jobs.find(({ submitMs, runMs }) => fromMs + submitMs + runMs > TIME_MS_MAX)
  if (late === undefined) return [...jobs]
  if (untilMs === undefined) throw problem(`the job ${foundText(late.id)}, which ends ${Math.ceil((fromMs + late.submitMs + late.runMs) / DAY_MS)} days after the start`)
  return jobs.map((job) => ({ ...job, submitMs: Math.min(job.submitMs, TIME_MS_MAX), runMs: Math.min(job.runMs, TIME_MS_MAX) }))
}

/** One problem of a scenario that only its traces show. */
function inFileProblem (file: string, problem: { path: string, found: string, allowed: string, message: string }): PlantError {
  return new PlantError('SCENARIO_INVALID', { file, problems: [problem] })
}

function inFile<T> (path: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (error instanceof PlantError) throw new PlantError(error.code, { file: path, ...error.details }, { cause: error })
    throw error
  }
}
