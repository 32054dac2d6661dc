/** What the schemas find wrong, told in the words of `problems.ts`. */
import type { z } from 'zod'
import { PROBLEMS_MAX } from './constants.ts'
import { foundText, nearest, pathText, type Path, type RawProblem } from './problems.ts'

/** The fields that maps may have, by where they stand. */
export type Fields = ReadonlyArray<[RegExp, string[]]>

/** Zod's issues in our words. */
export function issueProblems (issue: z.core.$ZodIssue, root: unknown, fields: Fields): RawProblem[] {
  const path: Path = issue.path.map((part) => typeof part === 'number' ? part : String(part))
  const value = at(root, path)
  if (issue.code === 'unrecognized_keys') {
    const allowed = fieldsAt(path, fields)
    return issue.keys.map((key, index) => {
      const meant = index < PROBLEMS_MAX ? nearest(key, allowed) : undefined
      return { path: [...path, key], found: `the field ${foundText(key)}`, allowed: allowed.join(', '), message: `unknown field${meant === undefined ? '' : `; did you mean ${meant}?`}` }
    })
  }
  if (issue.code === 'invalid_key') {
    const key = String(path.at(-1) ?? '')
    return [{ path, found: `the name ${foundText(key)}`, allowed: issue.issues[0]?.message ?? 'another name', message: 'the name is not allowed' }]
  }
  const found = typeof value === 'string' && issue.code === 'too_big' ? `${value.length} characters` : foundText(value)
  const allowed = allowedText(issue)
  return [{ path, found, allowed, message: value === undefined ? 'is missing' : messageText(issue, value) }]
}

function messageText (issue: z.core.$ZodIssue, value: unknown): string {
  if (issue.code === 'invalid_type' && issue.expected === 'string' && (typeof value === 'number' || typeof value === 'boolean')) return 'must be text: put it in quotes'
  if (issue.code === 'invalid_type') return 'is of the wrong type'
  if (issue.code === 'too_big') return 'is too large'
  if (issue.code === 'too_small') return 'is too small'
  return 'is not allowed'
}

const TYPE_WORDS: Record<string, string> = { string: 'text', boolean: 'true or false', number: 'a number', int: 'a whole number', object: 'a map', record: 'a map', array: 'a list' }

function allowedText (issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type': return TYPE_WORDS[issue.expected] ?? issue.expected
    case 'invalid_value': return issue.values.map(String).join(' or ')
    case 'too_big': return `at most ${String(issue.maximum)}${unit(issue.origin)}`
    case 'too_small': return `at least ${String(issue.minimum)}${unit(issue.origin)}`
    default: return issue.message
  }
}

function unit (origin: string): string {
  return origin === 'string' ? ' characters' : origin === 'array' ? ' items' : ''
}

function fieldsAt (path: Path, fields: Fields): string[] {
  const text = pathText(path)
  return fields.find(([pattern]) => pattern.test(text))?.[1] ?? []
}

function at (root: unknown, path: Path): unknown {
  let value = root
  for (const part of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined
    value = (value as Record<string | number, unknown>)[part]
  }
  return value
}
