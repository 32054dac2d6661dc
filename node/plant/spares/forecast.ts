/**
 * How many orders of one golden machine are to be expected, from when the last ones came. Orders are taken for Poisson arrivals at the rate of the last minutes, or of
 * the last half minute where that is more: they come in bursts. Only sums and products are used, which are the same on every engine: the simulator replays them.
 */

/** What was ordered twice within this is expected to be ordered again within this; what was not, is not. */
export const EXPECTED_WITHIN_MS = 600_000
const ORDERS_THAT_MAKE_A_HABIT = 2
/** A burst is seen after its first orders, and forgotten soon. */
export const BURST_MS = 30_000
/** How long a spare may have to wait for its turn to be made: spares are made one at a time, and not while orders need all cores. */
export const TURN_MS = 10_000
/** In so many cases more orders may come than there are spares. */
export const SHORT_SHARE_MAX = 0.05
/** Of one golden machine. */
export const SPARES_MAX = 32
/** Times of orders that are remembered of one golden machine: those of a burst that calls for SPARES_MAX. */
export const ORDERS_REMEMBERED = 64
/** Beyond this expectation SPARES_MAX is too few anyway, and a series of its terms stays far below what a number holds. */
const EXPECTED_MAX = 100

export interface Forecast {
  ordersPerHour: number
  /** Spares that there should be. */
  target: number
  /** useful[k]: the share of cases in which the k+1st spare is taken before another could be made. As many as SPARES_MAX, falling. */
  useful: number[]
}

/** `orderedAtMs` ascending, the last ORDERS_REMEMBERED; `makeMs`: how long making one takes here. */
export function forecast (orderedAtMs: readonly number[], nowMs: number, makeMs: number): Forecast {
  const rates = [EXPECTED_WITHIN_MS, BURST_MS].map((withinMs) => ratePerMs(orderedAtMs, nowMs, withinMs))
  const rate = Math.max(...rates)
  const useful = tails(Math.min(EXPECTED_MAX, rate * (makeMs + TURN_MS)))
  const isHabit = orderedAtMs.filter((atMs) => atMs > nowMs - EXPECTED_WITHIN_MS).length >= ORDERS_THAT_MAKE_A_HABIT
  const target = isHabit ? Math.max(1, useful.filter((share) => share >= SHORT_SHARE_MAX).length) : 0
  return { ordersPerHour: rate * 3_600_000, target, useful }
}

function ratePerMs (orderedAtMs: readonly number[], nowMs: number, withinMs: number): number {
  const recent = orderedAtMs.filter((atMs) => atMs > nowMs - withinMs)
  const oldestMs = recent[0]
  // When not all are remembered, what is remembered tells of a shorter time.
  const overMs = recent.length === ORDERS_REMEMBERED && oldestMs !== undefined ? Math.max(1, nowMs - oldestMs) : withinMs
  return recent.length / overMs
}

/** P(N > k) for k = 0 … SPARES_MAX - 1, N Poisson with this mean: from the series of e^mean, which is the sum of all terms. */
function tails (mean: number): number[] {
  const terms: number[] = [1]
  let all = 1
  for (let k = 1, term = 1; k <= SPARES_MAX || term > all * 1e-12; k++) {
    term = term * mean / k
    terms.push(term)
    all += term
  }
  let upTo = 0
  return Array.from({ length: SPARES_MAX }, (_, k) => {
    upTo += terms[k] ?? 0
    return Math.max(0, 1 - upTo / all)
  })
}
