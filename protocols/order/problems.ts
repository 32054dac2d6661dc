/** What is wrong with an order, told so that a user can mend it: where, what was found, what is allowed. */
import { PlantError } from '../kit/index.ts'
import { FOUND_CHARS_MAX, PROBLEMS_MAX } from './constants.ts'

export type Path = ReadonlyArray<string | number>

export interface Problem {
  /** `software.actions[1].timeoutMs`; empty for the document as a whole. */
  path: string
  found: string
  allowed: string
  message: string
  /** Which document of the file, from 0; absent where there is no file. */
  document?: number
  /** Line in the file, from 1, where known. */
  line?: number
}

/** A problem with its path still in parts, so that a form can find its line. */
export interface RawProblem { path: Path, found: string, allowed: string, message: string, line?: number }

/** `['software', 'actions', 1, 'timeoutMs']` as `software.actions[1].timeoutMs`; names that are no plain word are quoted. */
export function pathText (path: Path): string {
  let text = ''
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`
    else if (/^[A-Za-z_][A-Za-z0-9_-]*$/.test(part)) text += text === '' ? part : `.${part}`
    else text += `[${JSON.stringify(clip(part))}]`
  }
  return text
}

/** Any value as short text: what kind it is, and its beginning. */
export function foundText (value: unknown): string {
  if (value === undefined) return 'nothing'
  if (value === null) return 'null'
  if (Array.isArray(value)) return `a list of ${value.length}`
  if (typeof value === 'object') return `a map of ${Object.keys(value).length}`
  if (typeof value === 'string') return JSON.stringify(clip(value))
  if (typeof value === 'number' || typeof value === 'boolean' || typeof value === 'bigint') return `${typeof value} ${String(value)}`
  return typeof value
}

function clip (text: string): string {
  return text.length <= FOUND_CHARS_MAX ? text : `${text.slice(0, FOUND_CHARS_MAX)}…`
}

/** `ORDER_INVALID` with all problems, at most PROBLEMS_MAX of them listed. */
export function orderInvalid (problems: Problem[], cause?: unknown): PlantError {
  const details: Record<string, unknown> = { problems: problems.slice(0, PROBLEMS_MAX) }
  if (problems.length > PROBLEMS_MAX) details['more'] = problems.length - PROBLEMS_MAX
  return new PlantError('ORDER_INVALID', details, cause === undefined ? undefined : { cause })
}

/** The candidate nearest to a misspelt word, when it is near enough to be meant. */
export function nearest (word: string, candidates: readonly string[]): string | undefined {
  if (word.length > 64) return undefined
  let best: string | undefined
  let bestDistance = Math.floor(word.length / 3) + 1
  for (const candidate of candidates) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase(), bestDistance)
    if (distance < bestDistance) {
      best = candidate
      bestDistance = distance
    }
  }
  return best
}

/** Edits (insert, delete, replace, swap of neighbours) between two short words; `stop` or more means "far". */
function editDistance (a: string, b: string, stop: number): number {
  if (Math.abs(a.length - b.length) >= stop) return stop
  let before: number[] = []
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const current = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      let cost = Math.min(replaced, (previous[j] ?? 0) + 1, (current[j - 1] ?? 0) + 1)
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) cost = Math.min(cost, (before[j - 2] ?? 0) + 1)
      current.push(cost)
    }
    before = previous
    previous = current
  }
  return previous[b.length] ?? stop
}
