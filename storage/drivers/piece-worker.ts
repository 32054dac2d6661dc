/** The thread that works on pieces; started by `piece-jobs.ts` only. Posts the result, or ends with the file system's error. */
import { parentPort, workerData } from 'node:worker_threads'
import { workOn, type PieceJob } from './piece-work.ts'

const job: PieceJob = workerData
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port, not a window
parentPort?.postMessage(workOn(job))
