/** Fetching ahead in a recorded order: a few pieces at a time, so that what a machine waits for is not behind many that it does not. */
export interface PrefetchInit {
  order: number[]
  /** Fetched at the same time. More hides more of the link's latency, and makes a miss wait for as many. */
  parallel: number
  /** Fetches a piece, at less than the urgency of a miss; done at once when it is there. One that fails is left to be fetched when it is read. */
  fetch: (index: number, signal: AbortSignal) => Promise<unknown>
  /** Called off: what is under way is, and no more is begun. */
  signal: AbortSignal
}

/** Resolves when all have been fetched, have failed, or were called off; how many failed. */
export async function prefetch ({ order, parallel, fetch, signal }: PrefetchInit): Promise<{ failed: number }> {
  let at = 0
  let failed = 0
  await Promise.all(Array.from({ length: Math.min(parallel, order.length) }, async () => {
    while (at < order.length && !signal.aborted) {
      const piece = order[at++] as number
      await fetch(piece, signal).catch(() => { failed++ })
    }
  }))
  return { failed }
}
