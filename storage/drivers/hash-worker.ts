/** The thread that hashes one file; started by `hash-file.ts` only. Posts the digest as hex, or ends with the file system's error. */
import { createHash } from 'node:crypto'
import { closeSync, openSync, readSync } from 'node:fs'
import { parentPort, workerData } from 'node:worker_threads'

/** Large reads: a sparse file's holes then cost no more than the hashing of zeros. */
const READ_BYTES = 4 * 1024 * 1024

const path: unknown = workerData
if (typeof path !== 'string') throw new TypeError('a path is needed')
const file = openSync(path, 'r')
const hash = createHash('sha256')
const buffer = Buffer.allocUnsafe(READ_BYTES)
for (let count = readSync(file, buffer); count > 0; count = readSync(file, buffer)) hash.update(buffer.subarray(0, count))
closeSync(file)
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port, not a window
parentPort?.postMessage(hash.digest('hex'))
