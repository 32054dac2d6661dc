/** A worker thread that runs the tasks that it is sent, one after the other. */
import { parentPort } from 'node:worker_threads'
import { asPlantError, type ErrorReport } from '../../protocols/kit/index.ts'
import { loadPolicy } from './policy-file.ts'
import { runOne, type RunDone, type RunTask } from './run-one.ts'
import { simulateScenario } from './simulate.ts'

export type WorkerSays =
  | { kind: 'progress', share: number }
  | { kind: 'done', done: RunDone }
  | { kind: 'failed', error: ErrorReport }

/** Progress of a run is told at most so often. */
const PROGRESS_EVERY_MS = 100

const port = parentPort
if (port !== null) {
  const say = (what: WorkerSays): void => { port.postMessage(what) }
  port.on('message', (task: RunTask) => {
    let toldMs = 0
    const onProgress = (share: number): void => {
      if (performance.now() - toldMs < PROGRESS_EVERY_MS) return
      toldMs = performance.now()
      say({ kind: 'progress', share })
    }
    const run = async (): Promise<RunDone> => runOne(task, simulateScenario, task.policyPath === undefined ? undefined : await loadPolicy(task.policyPath), onProgress)
    run().then((done) => { say({ kind: 'done', done }) }, (failure: unknown) => {
      const error = asPlantError(failure)
      say({ kind: 'failed', error: { ...error.report(), details: { ...error.details, ...(error.code === 'INTERNAL' && failure instanceof Error && { stack: failure.stack }) } } })
    })
  })
}
