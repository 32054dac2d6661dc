/** One run of one point: simulated, boiled down, its jobs and events written as they come. */
import { closeSync, openSync, writeSync } from 'node:fs'
import { plantsOf, type PolicyModule, type RunResult, type Scenario, type SimEvent, type Simulate } from '../scenario/index.ts'
import { jobLine } from '../report/index.ts'
import { digest, type RunDigest } from '../stats/index.ts'
import { csvLine } from '../traces/index.ts'

/** What a run needs to know; plain data, so that a worker can be sent it. */
export interface RunTask {
  /** Place of the point in the study, and of the run in the point, from 0. */
  point: number
  run: number
  pointName: string
  seed: number
  scenario: Scenario
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

/** Bytes that are gathered before they are written. */
const BUFFER_CHARS = 1 << 16

/** Header of events.csv. */
export const EVENTS_HEADER = csvLine(['point', 'run', 'at_ms', 'id', 'plant', 'kind', 'fields'])

/** Runs a task. Throws what the simulation or the disk throws. */
export async function runOne (task: RunTask, simulate: Simulate, policies: PolicyModule | undefined, onProgress: (share: number) => void, signal?: AbortSignal): Promise<RunDone> {
  const sinceMs = performance.now()
  const events = task.eventsPath === undefined ? undefined : new LineFile(task.eventsPath)
  let result: RunResult
  try {
    result = await simulate(task.scenario, task.seed, {
      onProgress,
      ...(signal !== undefined && { signal }),
      ...(policies !== undefined && { policies }),
      ...(events !== undefined && { onEvent: (event) => { events.write(eventLine(task, event)) } })
    })
  } finally {
    events?.close()
  }
  const wallMs = performance.now() - sinceMs
  if (task.jobsPath !== undefined) writeJobs(task, task.jobsPath, result)
  return { digest: digest(result, task.scenario), events: result.events, wallMs, stopped: result.ended === 'stopped' }
}

function eventLine ({ pointName, run }: RunTask, { atMs, id, plant, kind, ...fields }: SimEvent): string {
  return csvLine([pointName, run + 1, atMs, id, plant, kind, JSON.stringify(fields)])
}

function writeJobs (task: RunTask, path: string, result: RunResult): void {
  const file = new LineFile(path)
  const numbers = new Map<string, number>()
  if (result.jobs.length > 0) for (const { name, index } of plantsOf(task.scenario)) numbers.set(name, index)
  try {
    for (const job of result.jobs) file.write(jobLine(job, { point: task.pointName, run: task.run + 1, seed: task.seed, runEndedMs: result.endedMs, plantIndex: (name) => numbers.get(name) }))
  } finally {
    file.close()
  }
}

/** A file that grows line by line; written at once, as a simulation does not wait for disks. */
class LineFile {
  readonly #fd: number
  #text = ''

  constructor (path: string) { this.#fd = openSync(path, 'w') }

  write (line: string): void {
    this.#text += line
    if (this.#text.length >= BUFFER_CHARS) this.#flush()
  }

  close (): void {
    this.#flush()
    closeSync(this.#fd)
  }

  #flush (): void {
    if (this.#text !== '') writeSync(this.#fd, this.#text)
    this.#text = ''
  }
}
