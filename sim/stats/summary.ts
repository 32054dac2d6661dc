/** What several runs say of one number: mean and interval. */
import { Moments } from './moments.ts'
import { studentT } from './student.ts'

/** How sure intervals are. */
export const CONFIDENCE = 0.95

export interface Summary {
  /** How many runs gave the number. */
  count: number
  mean: number
  /** Half of the 95 % interval of the mean (Student t over runs); NaN with one run. */
  half: number
  deviation: number
  min: number
  max: number
}

/** Mean and 95 % interval over runs, which are independent as their seeds differ. Values that are not finite (the run did not give the number) are left out. */
export function summarise (values: Iterable<number>): Summary {
  const moments = new Moments()
  for (const value of values) if (Number.isFinite(value)) moments.add(value)
  const { count, mean, deviation, min, max } = moments
  const half = count < 2 ? NaN : studentT(CONFIDENCE, count - 1) * deviation / Math.sqrt(count)
  return { count, mean, half, deviation, min, max }
}

/** The difference of two policies over runs of the same seeds: what the seeds have in common cancels. Pairs of which one is missing are left out. */
export function pairedDifference (a: readonly number[], b: readonly number[]): Summary {
  return summarise(Array.from({ length: Math.min(a.length, b.length) }, (_, i) => (b[i] ?? NaN) - (a[i] ?? NaN)))
}

/** The difference of two means of runs that have nothing in common, with Welch's interval: variances may differ, and so may the numbers of runs. */
export function welchDifference (a: readonly number[], b: readonly number[]): Summary {
  const [left, right] = [summarise(a), summarise(b)]
  const count = Math.min(left.count, right.count)
  const mean = count === 0 ? NaN : right.mean - left.mean
  if (count < 2) return { count, mean, half: NaN, deviation: NaN, min: NaN, max: NaN }
  const [u, v] = [left.deviation ** 2 / left.count, right.deviation ** 2 / right.count]
  const freedom = (u + v) ** 2 / (u ** 2 / (left.count - 1) + v ** 2 / (right.count - 1))
  return { count, mean, half: u + v === 0 ? 0 : studentT(CONFIDENCE, freedom) * Math.sqrt(u + v), deviation: NaN, min: NaN, max: NaN }
}

/** Counts of values by bins of one width; bin i holds [from + i width, from + (i + 1) width). */
export interface Bins { from: number, width: number, counts: number[] }

/** At most `binsMax` bins over the values, of this width or the next wider of 1, 2, 5 times a power of ten. */
export function binned (values: readonly number[], width: number, binsMax = 200): Bins {
  const finite = values.filter(Number.isFinite)
  if (finite.length === 0) return { from: 0, width, counts: [] }
  const low = finite.reduce((min, value) => Math.min(min, value), Infinity)
  const high = finite.reduce((max, value) => Math.max(max, value), -Infinity)
  let wide = width
  for (const step of niceSteps(width)) {
    wide = step
    if ((Math.floor(high / wide) - Math.floor(low / wide)) < binsMax) break
  }
  const first = Math.floor(low / wide)
  const counts = Array.from({ length: Math.floor(high / wide) - first + 1 }, () => 0)
  for (const value of finite) {
    const index = Math.floor(value / wide) - first
    counts[index] = (counts[index] ?? 0) + 1
  }
  return { from: first * wide, width: wide, counts }
}

function * niceSteps (width: number): Generator<number> {
  yield width
  for (let power = 10 ** Math.floor(Math.log10(width)); ; power *= 10) {
    for (const digit of [1, 2, 5]) if (digit * power > width) yield digit * power
  }
}

/** A width that makes some `count` bins of the values: 1, 2 or 5 times a power of ten. */
export function niceWidth (values: readonly number[], count: number): number {
  const finite = values.filter(Number.isFinite)
  const range = finite.reduce((max, value) => Math.max(max, value), -Infinity) - finite.reduce((min, value) => Math.min(min, value), Infinity)
  if (!(range > 0)) return 1
  const power = 10 ** Math.floor(Math.log10(range / count))
  return [1, 2, 5, 10].map((digit) => digit * power).find((step) => range / step <= count) ?? 10 * power
}
