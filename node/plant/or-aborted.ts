/** Waiting that a signal may cut short. */

/** Waits for a promise; throws the signal's reason when that comes first, or has come. What is waited for goes on; no listener is left. */
export async function orAborted<T> (promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const stopped = Promise.withResolvers<never>()
  const onAbort = (): void => { stopped.reject(signal.reason) }
  if (signal.aborted) onAbort()
  else signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await Promise.race([stopped.promise, promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
