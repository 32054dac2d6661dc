/** Numbers for people. */
import type { Summary } from '../stats/index.ts'

/** `25.1 ± 0.4 s` from milliseconds. */
export function seconds (summary: Summary): string { return interval(summary, 1_000, 's') }

/** A mean with its interval, in units of `per`; `-` where no run gave the number. Both to the second digit of the interval that is not 0. */
export function interval ({ count, mean, half }: Summary, per = 1, unit = ''): string {
  if (count === 0) return '-'
  const suffix = unit === '' ? '' : ` ${unit}`
  if (Number.isNaN(half)) return `${short(mean / per)}${suffix}`
  if (half === 0) return `${short(mean / per)} ± 0${suffix}`
  const digits = Math.min(6, Math.max(0, 1 - Math.floor(Math.log10(half / per))))
  const text = (value: number): string => value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits })
  return `${text(mean / per)} ± ${text(half / per)}${suffix}`
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
