/** Runs a study - every point of a scenario with every seed - and writes what it gives into a directory. */
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type { Scenario } from '../scenario/index.ts'
import { JOBS_HEADER, POINTS_DRAWN, reportHtml, runsCsv, type Manifest } from '../report/index.ts'
import { SAMPLES_MAX, withoutCourse, type Study } from '../stats/index.ts'
import { diskError, prepareOut } from './disk.ts'
import { drawPlot } from './plot.ts'
import { provenance } from './provenance.ts'
import { EVENTS_HEADER, type RunDone, type RunTask } from './run-one.ts'
import { runTasks } from './run-tasks.ts'
import type { Added, LoadedScenario } from './scenario-file.ts'

export interface StudyInit {
  loaded: LoadedScenario
  added: Added
  seed: number
  runs: number
  workers: number
  /** Where results go; nothing is written without it. */
  out?: string
  events: boolean
  onProgress?: (share: number, text: string) => void
  signal?: AbortSignal
}

/** Creations, and clones, that are kept of all runs of a point together. */
const POINT_SAMPLES_MAX = 50_000

export interface StudyDone { study: Study, manifest: Manifest }

/** Runs it and writes runs.csv, jobs.csv, manifest.json, report.html and (asked for) events.csv. Interrupted, it writes what is done and says so in all of them. Throws USAGE before the first run where nothing can be written. */
export async function runStudy (init: StudyInit): Promise<StudyDone> {
  const startedMs = Date.now()
  const giveUp = init.out === undefined ? () => {} : prepareOut(init.out)
  const parts = await mkdtemp(join(tmpdir(), 'plantmesh-sim-'))
  try {
    const tasks = tasksOf(init, parts)
    const results = await runTasks(tasks, {
      workers: init.workers,
      ...(init.signal !== undefined && { signal: init.signal }),
      keep: firstCourses(tasks),
      onProgress: (share, done) => { init.onProgress?.(share, `${done} of ${tasks.length} runs`) }
    })
    const study = studyOf(init, results)
    const manifest = await manifestOf(init, study, results, startedMs)
    if (init.out !== undefined) {
      try {
        await writeResults(init, init.out, study, manifest, tasks, results)
      } catch (cause) {
        throw diskError(cause, init.out)
      }
    }
    return { study, manifest }
  } catch (error) {
    giveUp()
    throw error
  } finally {
    await rm(parts, { recursive: true, force: true })
  }
}

/**
 * Of the runs of a point only the first that is done keeps what plots of a single run show. Runs are not done in order: one that comes before
 * takes it over.
 */
function firstCourses (tasks: readonly RunTask[]): (at: number, done: RunDone) => RunDone {
  const firsts = new Map<number, { run: number, done: RunDone }>()
  return (at, done) => {
    const { point = 0, run = 0 } = tasks[at] ?? {}
    const first = firsts.get(point)
    if (first !== undefined && first.run < run) return { ...done, digest: withoutCourse(done.digest) }
    if (first !== undefined) first.done.digest = withoutCourse(first.done.digest)
    firsts.set(point, { run, done })
    return done
  }
}

function tasksOf ({ loaded, seed, runs, out, events }: StudyInit, parts: string): RunTask[] {
  return loaded.points.flatMap(({ name, scenario }, point) => Array.from({ length: runs }, (_, run): RunTask => {
    const policyPath = loaded.policyPaths[point]
    // Distributions are drawn for the first points, and for all of which a figure of a paper is asked.
    const isDrawn = point < POINTS_DRAWN || loaded.file.figures.length > 0
    return {
      point, run, pointName: name, seed: seed + run, scenario,
      samplesMax: isDrawn ? Math.min(SAMPLES_MAX, Math.max(1, Math.floor(POINT_SAMPLES_MAX / runs))) : 0,
      ...(out !== undefined && { jobsPath: join(parts, `jobs-${point}-${run}`) }),
      ...(out !== undefined && events && { eventsPath: join(parts, `events-${point}-${run}`) }),
      ...(policyPath !== undefined && { policyPath })
    }
  }))
}

function studyOf ({ loaded, seed, runs }: StudyInit, results: ReadonlyArray<RunDone | undefined>): Study {
  // Tasks are in the order of points, then runs.
  const points = loaded.points.map((point, at) => ({ point, runs: results.slice(at * runs, (at + 1) * runs).flatMap((result) => result === undefined ? [] : [result.digest]) }))
  const { name, title, description, figures, metrics, mode } = loaded.file
  return { file: { name, title, description, figures, metrics, mode, seed, runs }, points }
}

async function manifestOf ({ loaded, added, seed, runs, workers, signal }: StudyInit, study: Study, results: ReadonlyArray<RunDone | undefined>, startedMs: number): Promise<Manifest> {
  const done = results.filter((result) => result !== undefined)
  const wallMs = Date.now() - startedMs
  const events = done.reduce((sum, one) => sum + one.events, 0)
  const runMs = done.reduce((sum, one) => sum + one.wallMs, 0)
  return {
    format: 'plantmesh-sim-results/1',
    scenario: study.file.name,
    title: study.file.title,
    ...await provenance(),
    seed, runs,
    done: done.length,
    of: results.length,
    interrupted: signal?.aborted === true && done.length < results.length,
    set: Object.fromEntries((added.set ?? []).map(({ path, value }) => [path, value])),
    sweep: Object.fromEntries(Object.entries({ ...loaded.file.sweep, ...added.sweep }).map(([path, values]) => [path, [...values]])),
    file: loaded.text,
    files: loaded.files,
    leftOut: loaded.leftOut,
    points: study.points.map(({ point, runs }) => ({
      name: point.name, case: point.case, sweep: Object.fromEntries(point.sweep.map(({ path, value }) => [path, value])),
      configuration: withoutJobs(point.scenario), runs: runs.map(({ seed, traceHash }) => ({ seed, traceHash }))
    })),
    took: { startedAt: new Date(startedMs).toISOString(), wallMs, workers, events, eventsPerS: runMs === 0 ? 0 : Math.round(1_000 * events / runMs) }
  }
}

/** The digest of a trace stands for its jobs. */
function withoutJobs (scenario: Scenario): unknown {
  return { ...scenario, orders: scenario.orders.map((source) => source.kind === 'trace' ? { ...source, jobs: `${source.jobs.length} jobs` } : source) }
}

async function writeResults (init: StudyInit, out: string, study: Study, manifest: Manifest, tasks: readonly RunTask[], results: ReadonlyArray<RunDone | undefined>): Promise<void> {
  const done = tasks.filter((_, i) => results[i] !== undefined)
  await writeFile(join(out, 'runs.csv'), runsCsv(study.points, study.file.seed))
  await gather(join(out, 'jobs.csv'), JOBS_HEADER, done.flatMap(({ jobsPath }) => jobsPath ?? []))
  if (init.events) await gather(join(out, 'events.csv'), EVENTS_HEADER, done.flatMap(({ eventsPath }) => eventsPath ?? []))
  else await rm(join(out, 'events.csv'), { force: true }) // That of an earlier run is not this one's.
  await writeFile(join(out, 'report.html'), reportHtml(study, manifest, drawPlot))
  await writeFile(join(out, 'manifest.json'), JSON.stringify(manifest, null, 2) + '\n')
}

/** A header and the parts in the order of points and runs, whichever was done first. */
async function gather (path: string, header: string, parts: readonly string[]): Promise<void> {
  await writeFile(path, header)
  for (const part of parts) await pipeline(createReadStream(part), createWriteStream(path, { flags: 'a' }))
}
