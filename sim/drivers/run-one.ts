/** One run of one point: simulated, boiled down, its jobs and events written as they come. */
import { plantsOf, type PolicyModule, type RunResult, type Scenario, type SimEvent, type Simulate } from '../scenario/index.ts'
import { jobLine } from '../report/index.ts'
import { digest, type RunDigest } from '../stats/index.ts'
import { csvLine } from '../traces/index.ts'
import { LineFile } from './disk.ts'
import { guardPolicy } from './policy-guard.ts'

/** What a run needs to know; plain data, so that a worker can be sent it. */
export interface RunTask {
  /** Place of the point in the study, and of the run in the point, from 0. */
  point: number
  run: number
  pointName: string
  seed: number
  scenario: Scenario
  /** Creations and clones that its digest keeps for plots. */
  samplesMax: number
  /** Files that its part of jobs.csv and events.csv goes to. */
  jobsPath?: string
  eventsPath?: string
  /** Absolute path of the policy file, when the scenario has one. */
  policyPath?: string
}

export interface RunDone {
  digest: RunDigest
  events: number
  wallMs: number
  stopped: boolean
}

/** Header of events.csv. */
export const EVENTS_HEADER = csvLine(['point', 'run', 'at_ms', 'id', 'plant', 'kind', 'fields'])

/** Runs a task. Throws what the simulation or the disk throws, and SCENARIO_INVALID for a policy file that fails while it runs. */
export async function runOne (task: RunTask, simulate: Simulate, policies: PolicyModule | undefined, onProgress: (share: number) => void, signal?: AbortSignal): Promise<RunDone> {
  const sinceMs = performance.now()
  const events = task.eventsPath === undefined ? undefined : new LineFile(task.eventsPath)
  const abort = new AbortController()
  const guarded = policies === undefined ? undefined : guardPolicy(policies, task.policyPath ?? '', () => { abort.abort() })
  let result: RunResult
  try {
    result = await simulate(task.scenario, task.seed, {
      onProgress,
      signal: signal === undefined ? abort.signal : AbortSignal.any([abort.signal, signal]),
      ...(guarded !== undefined && { policies: guarded.policies }),
      ...(events !== undefined && { onEvent: (event) => { events.write(eventLine(task, event)) } })
    })
  } catch (error) {
    throw guarded?.problem() ?? error
  } finally {
    events?.close()
  }
  const problem = guarded?.problem()
  if (problem !== undefined) throw problem
  const wallMs = performance.now() - sinceMs
  if (task.jobsPath !== undefined) writeJobs(task, task.jobsPath, result)
  return { digest: digest(result, task.scenario, task.samplesMax), events: result.events, wallMs, stopped: result.ended === 'stopped' }
}

function eventLine ({ pointName, run }: RunTask, { atMs, id, plant, kind, ...fields }: SimEvent): string {
  return csvLine([pointName, run + 1, atMs, id, plant, kind, JSON.stringify(fields)])
}

function writeJobs (task: RunTask, path: string, result: RunResult): void {
  const file = new LineFile(path)
  const numbers = new Map<string, number>()
  if (result.jobs.length > 0) for (const { name, index } of plantsOf(task.scenario)) numbers.set(name, index)
  try {
    for (const job of result.jobs) file.write(jobLine(job, { place: task.point + 1, point: task.pointName, run: task.run + 1, seed: task.seed, plantIndex: (name) => numbers.get(name) }))
  } finally {
    file.close()
  }
}
