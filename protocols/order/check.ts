/** Checks an order document whole: every problem is listed at once, so that a user mends a file in one go. */
import type { z } from 'zod'
import { parseExpression } from './classad.ts'
import { asPlantError } from '../kit/index.ts'
import { PROBLEMS_MAX } from './constants.ts'
import { graphProblems } from './check-graph.ts'
import type { Action, Order } from './order.ts'
import { plainCopy } from './plain.ts'
import { foundText, nearest, orderInvalid, pathText, type Path, type Problem, type RawProblem } from './problems.ts'
import { orderSchema } from './schema.ts'

/**
 * The order in a document: checked, with all defaults filled in. Throws ORDER_INVALID with every problem. For anything that comes from
 * outside: files, the API, the wire. Checking a checked order gives an equal one.
 */
export function checkOrder (value: unknown): Order {
  const result = examine(value)
  if (result.order !== undefined) return result.order
  throw orderInvalid(result.problems.map(tell))
}

/** As `checkOrder`, with the problems as data: what the forms use to add documents and lines. */
export function examine (value: unknown): { order: Order } | { order?: never, problems: RawProblem[] } {
  const problems: RawProblem[] = []
  const plain = plainCopy(value, problems)
  if (plain === undefined) return { problems }
  const parsed = orderSchema.safeParse(plain)
  if (!parsed.success) for (const issue of parsed.error.issues) problems.push(...issueProblems(issue, plain))
  const fields = asMap(plain)
  problems.push(...graphProblems(asMap(fields?.['software'])?.['actions'], ['software', 'actions']))
  problems.push(...expressionProblems(fields?.['requirements'], 'requirements'), ...expressionProblems(fields?.['rank'], 'rank'))
  if (!parsed.success || problems.length > 0) return { problems: withoutRepeats(problems) }
  const order: Order = parsed.data
  for (const action of order.software.actions) dropEmptyWith(action)
  return { order }
}

/** A problem as it is printed. */
export function tell (problem: RawProblem): Problem {
  const { path, ...rest } = problem
  return { path: pathText(path), ...rest }
}

/** No arguments and an empty list of them are the same action, so they get the same form and digest. */
function dropEmptyWith (action: Action): void {
  if (action.with !== undefined && Object.keys(action.with).length === 0) delete action.with
  for (const sub of action.onError?.actions ?? []) dropEmptyWith(sub)
}

function expressionProblems (source: unknown, field: string): RawProblem[] {
  if (typeof source !== 'string') return []
  try {
    parseExpression(source)
    return []
  } catch (cause) {
    const error = asPlantError(cause)
    const { line, column, problem } = error.details
    const where = line === undefined ? '' : ` (line ${String(line)}, column ${String(column)} of the expression)`
    const why = typeof problem === 'string' ? `: ${problem}` : ''
    return [{ path: [field], found: foundText(source), allowed: 'a ClassAd expression', message: `does not parse as a ClassAd expression${where}${why}` }]
  }
}

/** Zod's issues in our words. */
function issueProblems (issue: z.core.$ZodIssue, root: unknown): RawProblem[] {
  const path: Path = issue.path.map((part) => typeof part === 'number' ? part : String(part))
  const value = at(root, path)
  if (issue.code === 'unrecognized_keys') {
    const allowed = fieldsAt(path)
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

const TYPE_WORDS: Record<string, string> = { string: 'text', number: 'a number', int: 'a whole number', object: 'a map', record: 'a map', array: 'a list' }

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

const FIELDS: ReadonlyArray<[RegExp, string[]]> = [
  [/(^|\.)onError$/, ['actions', 'then']],
  [/actions\[\d+\]$/, ['id', 'after', 'run', 'script', 'parameters', 'files', 'use', 'with', 'timeoutMs', 'onError']],
  [/^metadata$/, ['name', 'labels']],
  [/^hardware$/, ['isa', 'cpus', 'memoryMiB', 'diskMiB']],
  [/^network$/, ['name', 'address', 'proxy', 'addressing']],
  [/^software$/, ['os', 'channel', 'actions']],
  [/^$/, ['apiVersion', 'kind', 'metadata', 'domain', 'hardware', 'network', 'software', 'requirements', 'rank']]
]

/** The fields that a map of the document may have. */
function fieldsAt (path: Path): string[] {
  const text = pathText(path)
  return FIELDS.find(([pattern]) => pattern.test(text))?.[1] ?? []
}

function at (root: unknown, path: Path): unknown {
  let value = root
  for (const part of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined
    value = (value as Record<string | number, unknown>)[part]
  }
  return value
}

function asMap (value: unknown): Record<string, unknown> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value as Record<string, unknown> : undefined
}

function withoutRepeats (problems: RawProblem[]): RawProblem[] {
  const seen = new Set<string>()
  return problems.filter((problem) => {
    const key = `${pathText(problem.path)}\n${problem.message}`
    if (seen.has(key)) return false
    seen.add(key)
    return true
  })
}
