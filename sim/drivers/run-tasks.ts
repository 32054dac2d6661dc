/** Runs tasks on worker threads. What comes out depends on the tasks alone: neither on how many workers there are nor on which is done first. */
import { Worker } from 'node:worker_threads'
import { errorFromReport, PlantError } from '../../protocols/kit/index.ts'
import type { RunDone, RunTask } from './run-one.ts'
import type { WorkerSays } from './run-worker.ts'

/** Memory of a worker's heap: 10^6 plants as typed arrays lie outside of it, jobs and views inside. */
const WORKER_HEAP_MIB = 4_096

export interface TasksInit {
  workers: number
  /** Share of all work that is done: finished runs and what is said of those under way. */
  onProgress?: (share: number, done: number) => void
  /** Each result as it comes; the answer is what is kept of it. */
  keep?: (at: number, done: RunDone) => RunDone
  /** Ends early: runs under way are given up, and those done are the answer. */
  signal?: AbortSignal
}

/** Runs all tasks; the answer has an entry for each task, undefined for those that were not done as it was interrupted. The first failure ends all, and is thrown. */
export async function runTasks (tasks: readonly RunTask[], init: TasksInit): Promise<Array<RunDone | undefined>> {
  const results = Array.from({ length: tasks.length }, (): RunDone | undefined => undefined)
  const shares = new Map<number, number>()
  let next = 0
  let done = 0
  const tell = (): void => {
    let under = 0
    for (const share of shares.values()) under += share
    init.onProgress?.(tasks.length === 0 ? 1 : (done + under) / tasks.length, done)
  }
  const failure = new AbortController()
  const over = init.signal === undefined ? failure.signal : AbortSignal.any([failure.signal, init.signal])
  const thread = async (): Promise<void> => {
    const worker = new RunThread()
    const stop = (): void => { worker.end() }
    over.addEventListener('abort', stop, { once: true })
    try {
      while (!over.aborted && next < tasks.length) {
        const at = next++
        const task = tasks[at]
        if (task === undefined) break
        const result = await worker.run(task, (share) => {
          shares.set(at, share)
          tell()
        })
        shares.delete(at)
        if (result === undefined) return
        results[at] = init.keep?.(at, result) ?? result
        done++
        tell()
      }
    } catch (error) {
      failure.abort(error)
      throw error
    } finally {
      over.removeEventListener('abort', stop)
      worker.end()
    }
  }
  const threads = Array.from({ length: Math.max(1, Math.min(init.workers, tasks.length)) }, thread)
  const outcomes = await Promise.allSettled(threads)
  const failed = outcomes.find((outcome) => outcome.status === 'rejected')
  if (failed !== undefined) throw failed.reason
  return results
}

/** One worker thread. */
class RunThread {
  readonly #worker = new Worker(new URL('./run-worker.ts', import.meta.url), { resourceLimits: { maxOldGenerationSizeMb: WORKER_HEAP_MIB } })
  #settle: { resolve: (done: RunDone | undefined) => void, reject: (error: Error) => void, onProgress: (share: number) => void } | undefined
  #task: RunTask | undefined
  #ended = false

  constructor () {
    this.#worker.on('message', (says: WorkerSays) => {
      switch (says.kind) {
        case 'progress': this.#settle?.onProgress(says.share); break
        case 'done': this.#settle?.resolve(says.done); break
        case 'failed': this.#settle?.reject(new PlantError(errorFromReport(says.error).code, { ...says.error.details, ...this.#where() })); break
      }
    })
    this.#worker.on('error', (cause) => { this.#settle?.reject(new PlantError('INTERNAL', { problem: cause instanceof Error ? cause.message : String(cause), ...this.#where() }, { cause })) })
    this.#worker.on('exit', () => {
      if (this.#ended) this.#settle?.resolve(undefined)
      else this.#settle?.reject(new PlantError('INTERNAL', { problem: 'a worker ended by itself', ...this.#where() }))
    })
  }

  /** Undefined when the thread was ended meanwhile. */
  async run (task: RunTask, onProgress: (share: number) => void): Promise<RunDone | undefined> {
    this.#task = task
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject, onProgress }
      if (this.#ended) resolve(undefined)
      else this.#worker.postMessage(task, [])
    })
  }

  end (): void {
    if (this.#ended) return
    this.#ended = true
    void this.#worker.terminate()
  }

  #where (): Record<string, unknown> {
    return this.#task === undefined ? {} : { point: this.#task.pointName, run: this.#task.run + 1, seed: this.#task.seed }
  }
}
