/** Numbers for people. */
import type { Summary } from '../stats/index.ts'

/** `25.1 ± 0.4 s` from milliseconds. */
export function seconds (summary: Summary): string { return interval(summary, 1_000, 's') }

/** A mean with its interval, in units of `per`; `-` where no run gave the number. */
export function interval ({ count, mean, half }: Summary, per = 1, unit = ''): string {
  if (count === 0) return '-'
  const suffix = unit === '' ? '' : ` ${unit}`
  return Number.isNaN(half) ? `${short(mean / per)}${suffix}` : `${short(mean / per)} ± ${short(half / per)}${suffix}`
}

/** Three to four digits that matter. */
export function short (value: number): string {
  if (!Number.isFinite(value)) return '-'
  if (value === 0) return '0'
  const size = Math.abs(value)
  if (size >= 1e15 || size < 1e-4) return value.toExponential(2)
  if (size >= 1_000) return Math.round(value).toLocaleString('en-US')
  return String(Number(value.toPrecision(size >= 100 ? 4 : 3)))
}
