/** Work in a thread of its own: hashing and copying without holding up the event loop. A thread takes some 40 ms to start. */
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import { limiter, type Limiter } from '../../protocols/kit/index.ts'
import { HASHERS_MAX, HASHES_WAITING_MAX } from './warehouse-limits.ts'

/** Threads and files hashed where we are, together. */
export const hashing: Limiter = limiter(Math.min(HASHERS_MAX, availableParallelism()), HASHES_WAITING_MAX)

/** The one message that the script posts; throws what it throws (the file system's errors keep their code), or the signal's reason. */
export async function inThread (script: URL, data: unknown, signal?: AbortSignal): Promise<unknown> {
  signal?.throwIfAborted()
  const worker = new Worker(script, { workerData: data })
  return new Promise<unknown>((resolve, reject) => {
    const onAbort = (): void => {
      reject(signal?.reason)
      void worker.terminate()
    }
    signal?.addEventListener('abort', onAbort, { once: true })
    worker.once('message', resolve)
    worker.once('error', reject)
    worker.once('exit', () => {
      signal?.removeEventListener('abort', onAbort)
      // After a message or an error this does nothing.
      reject(new Error('the thread ended early'))
    })
  })
}
