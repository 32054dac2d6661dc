/** Checks an order document whole: every problem is listed at once, so that a user mends a file in one go. */
import { parseExpression } from './classad.ts'
import { asPlantError } from '../kit/index.ts'
import { graphProblems } from './check-graph.ts'
import { networkProblems } from './check-networks.ts'
import { networksOf, type Action, type Order, type OrderNetwork } from './order.ts'
import { issueProblems, type Fields } from './issues.ts'
import { plainCopy } from './plain.ts'
import { foundText, orderInvalid, pathText, type Problem, type RawProblem } from './problems.ts'
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
  if (!parsed.success) for (const issue of parsed.error.issues) problems.push(...issueProblems(issue, plain, FIELDS))
  const fields = asMap(plain)
  problems.push(...graphProblems(asMap(fields?.['software'])?.['actions'], ['software', 'actions']))
  problems.push(...networkProblems(fields))
  problems.push(...expressionProblems(fields?.['requirements'], 'requirements'), ...expressionProblems(fields?.['rank'], 'rank'))
  if (!parsed.success || problems.length > 0) return { problems: withoutRepeats(problems) }
  const order: Order = parsed.data
  for (const action of order.software.actions) dropEmptyWith(action)
  for (const network of networksOf(order)) dropUnsaid(network)
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

/** No router, no way out, and no routes: said or not, it is the same order. */
function dropUnsaid (network: OrderNetwork): void {
  if (network.router === false) delete network.router
  if (network.egress === false) delete network.egress
  if (network.routes?.length === 0) delete network.routes
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

const FIELDS: Fields = [
  [/(^|\.)onError$/, ['actions', 'then']],
  [/actions\[\d+\]$/, ['id', 'after', 'run', 'script', 'parameters', 'files', 'use', 'with', 'timeoutMs', 'onError']],
  [/^metadata$/, ['name', 'labels']],
  [/^hardware$/, ['isa', 'cpus', 'memoryMiB', 'diskMiB']],
  [/^network$|^networks\[\d+\]$/, ['name', 'address', 'proxy', 'addressing', 'router', 'egress', 'routes']],
  [/^network(?:s\[\d+\])?\.routes\[\d+\]$/, ['to', 'via']],
  [/^software$/, ['os', 'channel', 'actions']],
  [/^$/, ['apiVersion', 'kind', 'metadata', 'domain', 'hardware', 'network', 'networks', 'software', 'requirements', 'rank']]
]

function asMap (value: unknown): Record<string, unknown> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value as Record<string, unknown> : undefined
}

/** The problems, each told once. */
export function withoutRepeats (problems: RawProblem[]): RawProblem[] {
  const seen = new Set<string>()
  return problems.filter((problem) => {
    const key = `${pathText(problem.path)}\n${problem.message}`
    if (seen.has(key)) return false
    seen.add(key)
    return true
  })
}
