/** Checks a topology document whole, and says which orders it stands for. */
import { examine, withoutRepeats } from '../check.ts'
import { issueProblems } from '../issues.ts'
import type { Order } from '../order.ts'
import { plainCopy } from '../plain.ts'
import type { Path, RawProblem } from '../problems.ts'
import { meaningProblems } from './check-meaning.ts'
import { ordersOf } from './orders.ts'
import { TOPOLOGY_FIELDS, topologySchema } from './schema.ts'
import type { Topology, TopologyMachine } from './topology.ts'

/** Fields of an order that the topology says for all of its machines, or in its own way. */
const NOT_A_MACHINES = ['apiVersion', 'kind', 'domain', 'network']

/** True for what means to be a topology, sound or not. */
export function isTopology (value: unknown): boolean {
  return typeof value === 'object' && value !== null && (value as { kind?: unknown }).kind === 'Topology'
}

/** The topology and its machines' orders, in the document's order; or every problem. Checking a checked topology gives an equal one. */
export function examineTopology (value: unknown): { topology: Topology, orders: Order[] } | { topology?: never, problems: RawProblem[] } {
  const problems: RawProblem[] = []
  const plain = plainCopy(value, problems)
  if (plain === undefined) return { problems }
  writeOutCards(plain)
  const parsed = topologySchema.safeParse(plain)
  if (!parsed.success) for (const issue of parsed.error.issues) problems.push(...issueProblems(issue, plain, TOPOLOGY_FIELDS))
  const { machines: written } = (plain ?? {}) as { machines?: unknown }
  const machines = (Array.isArray(written) ? written as unknown[] : []).map((machine, index) => machineOf(machine, ['machines', index], problems))
  if (!parsed.success || problems.length > 0) return { problems: withoutRepeats(problems) }
  const topology: Topology = {
    ...parsed.data,
    machines: parsed.data.machines.map(({ metadata: { name }, router, networks }, index) => {
      const { metadata, hardware, software, requirements, rank } = machines[index] as Order
      return { metadata: { name, labels: metadata.labels }, router, networks: networks as TopologyMachine['networks'], hardware, software, requirements, ...(rank !== undefined && { rank }) }
    })
  }
  const meant = meaningProblems(topology)
  if (meant.length > 0) return { problems: withoutRepeats(meant) }
  const orders: Order[] = []
  for (const [index, order] of ordersOf(topology).entries()) {
    const result = examine(order)
    if (result.order === undefined) problems.push(...moved(result.problems, ['machines', index]))
    else orders.push(result.order)
  }
  return problems.length > 0 ? { problems: withoutRepeats(problems) } : { topology, orders }
}

/** The order that a machine of the document is, less its networks; undefined, with problems added, when it is none. */
function machineOf (machine: unknown, path: Path, problems: RawProblem[]): Order | undefined {
  if (typeof machine !== 'object' || machine === null || Array.isArray(machine)) return undefined // The schema has said so.
  const { router: _router, networks: _networks, ...rest } = machine as Record<string, unknown>
  for (const field of NOT_A_MACHINES) {
    if (rest[field] === undefined) continue
    problems.push({ path: [...path, field], found: `the field ${field}`, allowed: 'metadata, hardware, software, requirements, rank, router, networks', message: 'is said for the whole topology' })
    delete rest[field]
  }
  const result = examine({ ...rest, apiVersion: 'plantmesh/v1', kind: 'Machine' })
  if (result.order === undefined) problems.push(...moved(result.problems, path))
  return result.order
}

function moved (problems: readonly RawProblem[], to: Path): RawProblem[] {
  return problems.map((problem) => ({ ...problem, path: [...to, ...problem.path] }))
}

/** `networks: [lan]` of a machine becomes `networks: [{name: lan}]`. */
function writeOutCards (document: unknown): void {
  const { machines } = (document ?? {}) as { machines?: unknown }
  for (const machine of Array.isArray(machines) ? machines as unknown[] : []) {
    const { networks } = (machine ?? {}) as { networks?: unknown }
    if (Array.isArray(networks)) for (const [index, card] of networks.entries()) if (typeof card === 'string') networks[index] = { name: card }
  }
}
