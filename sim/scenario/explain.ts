/** What the schema finds wrong with a scenario, in words for the person who wrote it: path, what was found, what is allowed. */
import type { z } from 'zod'
import { foundText, nearest, type Path, type RawProblem } from '../../protocols/order/problems.ts'

/** One issue of zod as problems. `schema` and `root` are the whole of what was checked. */
export function explain (issue: z.core.$ZodIssue, schema: z.core.$ZodType, root: unknown): RawProblem[] {
  const path: Path = issue.path.map((part) => typeof part === 'number' ? part : String(part))
  const value = valueAt(root, path)
  if (issue.code === 'unrecognized_keys') {
    const allowed = fieldsAt(schema, root, path)
    return issue.keys.slice(0, 20).map((key) => {
      const meant = nearest(key, allowed)
      return { path: [...path, key], found: `the field ${foundText(key)}`, allowed: allowed.join(', '), message: `unknown field${meant === undefined ? '' : `; did you mean ${meant}?`}` }
    })
  }
  if (issue.code === 'invalid_key') return [{ path, found: `the name ${foundText(String(path.at(-1) ?? ''))}`, allowed: issue.issues[0]?.message ?? 'another name', message: 'the name is not allowed' }]
  const found = typeof value === 'string' && issue.code === 'too_big' ? `${value.length} characters` : foundText(value)
  return [{ path, found, allowed: allowedText(issue), message: value === undefined ? 'is missing' : issue.code === 'invalid_type' ? 'is of the wrong type' : 'is not allowed' }]
}

/** The value at a path, or undefined where there is none. */
export function valueAt (root: unknown, path: Path): unknown {
  let value = root
  for (const part of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined
    value = (value as Record<string | number, unknown>)[part]
  }
  return value
}

const TYPE_WORDS: Record<string, string> = { string: 'text', number: 'a number', int: 'a whole number', object: 'a map', record: 'a map', array: 'a list', boolean: 'true or false' }

function allowedText (issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type': return TYPE_WORDS[issue.expected] ?? issue.expected
    case 'invalid_value': return issue.values.map(String).join(' or ')
    case 'too_big': return `${issue.inclusive === false ? 'less than' : 'at most'} ${String(issue.maximum)}${unit(issue.origin)}`
    case 'too_small': return `${issue.inclusive === false ? 'more than' : 'at least'} ${String(issue.minimum)}${unit(issue.origin)}`
    case 'invalid_union': {
      const options: unknown = Reflect.get(issue, 'options')
      return Array.isArray(options) ? options.map(String).join(', ') : issue.message
    }
    default: return issue.message
  }
}

function unit (origin: string): string {
  return origin === 'string' ? ' characters' : origin === 'array' ? ' items' : ''
}

/** As much of zod's description of a schema as a walk along a path needs. */
interface Def {
  type: string
  innerType?: { def: Def }
  element?: { def: Def }
  valueType?: { def: Def }
  shape?: Record<string, { def: Def }>
  options?: Array<{ def: Def }>
  values?: unknown[]
}

/** The fields that the map at `path` may have; of a choice by `kind`, those of the kind that is there. */
function fieldsAt (schema: z.core.$ZodType, root: unknown, path: Path): string[] {
  let def = unwrap(schema._zod.def as unknown as Def, root)
  let value = root
  for (const part of path) {
    value = valueAt(value, [part])
    const next = def?.shape?.[String(part)] ?? (typeof part === 'number' ? def?.element : def?.valueType)
    def = next === undefined ? undefined : unwrap(next.def, value)
  }
  return Object.keys(def?.shape ?? {})
}

function unwrap (def: Def, value: unknown): Def | undefined {
  if (def.options !== undefined) {
    const option = def.options.find(({ def }) => def.shape?.['kind']?.def.values?.includes(valueAt(value, ['kind'])) === true)
    return option === undefined ? undefined : unwrap(option.def, value)
  }
  return def.innerType === undefined ? def : unwrap(def.innerType.def, value)
}
