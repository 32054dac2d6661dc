/** A plain, bounded copy of a value from outside: maps, lists, texts, finite numbers, booleans and null, and nothing else. */
import { VALUE_DEPTH_MAX, VALUES_MAX } from './constants.ts'
import { foundText, type Path, type RawProblem } from './problems.ts'

class Stop extends Error {}

/**
 * Copies `value`, adding to `problems` what no order may hold anywhere: texts that are no Unicode or hold NUL (neither a script nor an
 * environment variable can), names that would reach the prototype. Undefined fields are left out. Returns undefined when the value is too
 * deep or too large to go on; shared parts (YAML aliases) count each time they occur.
 */
export function plainCopy (value: unknown, problems: RawProblem[]): unknown {
  let left = VALUES_MAX
  const copy = (value: unknown, path: Path): unknown => {
    if (--left < 0) {
      problems.push({ path: [], found: `more than ${VALUES_MAX} values`, allowed: `at most ${VALUES_MAX} values in a document`, message: 'the document is too large' })
      throw new Stop()
    }
    if (path.length > VALUE_DEPTH_MAX) {
      problems.push({ path: path.slice(0, 8), found: `more than ${VALUE_DEPTH_MAX} levels`, allowed: `at most ${VALUE_DEPTH_MAX} levels`, message: 'is nested too deeply' })
      throw new Stop()
    }
    if (typeof value === 'string') {
      checkText(value, path, 'text', problems)
      return value
    }
    if (value === null || typeof value === 'boolean') return value
    if (typeof value === 'number') {
      if (!Number.isFinite(value)) problems.push({ path, found: foundText(value), allowed: 'a finite number', message: 'is not allowed' })
      return value
    }
    if (Array.isArray(value)) return value.map((item, index) => copy(item, [...path, index]))
    if (typeof value === 'object' && isPlain(value)) return copyMap(value, path)
    problems.push({ path, found: foundText(value), allowed: 'a map, a list, text, a number or a boolean', message: 'is of the wrong type' })
    return null
  }
  const copyMap = (map: object, path: Path): Record<string, unknown> => {
    const result: Record<string, unknown> = {}
    for (const [key, item] of Object.entries(map)) {
      if (item === undefined) continue
      if (key === '__proto__') {
        problems.push({ path: [...path, key], found: `the name ${foundText(key)}`, allowed: 'another name', message: 'the name is not allowed' })
        continue
      }
      checkText(key, [...path, key], 'name', problems)
      result[key] = copy(item, [...path, key])
    }
    return result
  }
  try {
    return copy(value, [])
  } catch (error) {
    if (error instanceof Stop) return undefined
    throw error
  }
}

function isPlain (value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

function checkText (text: string, path: Path, what: string, problems: RawProblem[]): void {
  if (text.includes('\0')) problems.push({ path, found: `${what} with a NUL character`, allowed: `${what} without NUL`, message: 'holds a NUL character' })
  if (!text.isWellFormed()) problems.push({ path, found: `${what} with half a surrogate pair`, allowed: 'Unicode text', message: 'is not Unicode text' })
}
