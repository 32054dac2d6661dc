/**
 * The three tests between what a golden machine has done and the DAG of an order (VMPlants 3.2; FEATURES P8):
 *
 * - subset: nothing was done that is not asked for;
 * - prefix: whatever was done, all that the DAG puts before it was done too;
 * - partial order: what was done was done in an order that the DAG allows.
 *
 * Together: the actions done, as they were done, are the beginning of some topological order of the DAG. Actions are compared by digest. Two
 * actions of an order may have one digest (the same script run twice); then each one done answers to one of them, and which one is
 * searched for.
 */
import type { ActionDigest } from '../kit/index.ts'
import { MATCH_STATES_MAX } from './constants.ts'
import { actionDigest } from './digest.ts'
import { topologicalOrder } from './graph.ts'
import type { Action } from './order.ts'

export type MatchClause = 'SUBSET' | 'PREFIX' | 'PARTIAL_ORDER'

/** Made once for an order, compared with every golden machine. Nodes are numbered in topological order. */
export interface OrderGraph {
  readonly actions: readonly Action[]
  readonly digests: readonly ActionDigest[]
  /** Direct predecessors of each node. */
  readonly before: ReadonlyArray<readonly number[]>
  /** Nodes of each digest. */
  readonly nodesOf: ReadonlyMap<ActionDigest, readonly number[]>
  /** True when some digest has several nodes. */
  readonly twins: boolean
}

/** The graph of a checked order's actions; their digests are worked out here, once. */
export function orderGraph (actions: readonly Action[]): OrderGraph {
  const sorted = topologicalOrder(actions)
  const indexOf = new Map(sorted.map((action, index) => [action.id, index]))
  const digests = sorted.map(actionDigest)
  const nodesOf = new Map<ActionDigest, number[]>()
  for (const [node, digest] of digests.entries()) {
    const nodes = nodesOf.get(digest)
    if (nodes === undefined) nodesOf.set(digest, [node])
    else nodes.push(node)
  }
  const before = sorted.map((action) => action.after.map((id) => indexOf.get(id) ?? -1).filter((index) => index >= 0))
  return { actions: sorted, digests, before, nodesOf, twins: nodesOf.size < sorted.length }
}

/** What a golden machine has done answers to the nodes of the graph; `undefined` for what the name asks for beside them. */
export type Match = { matches: true, nodes: Array<number | undefined> } | { matches: false, clause: MatchClause, /** Index into what was done. */ at: number }

/**
 * Compares one golden machine, `done` in the order in which it was done. With `named`, the order asks for this very machine by its name, and
 * so for all that it has done: the subset test then passes for actions that the DAG does not name, and the other two hold for the rest.
 */
export function matchActions (graph: OrderGraph, done: readonly ActionDigest[], named = false): Match {
  const nodes = graph.twins || named ? search(graph, done, named) : greedy(graph, done)
  if (nodes !== undefined) return { matches: true, nodes }
  return { matches: false, ...failedClause(graph, done, named) }
}

/** Every digest has one node at most, so there is nothing to choose: one pass settles all three tests. */
function greedy (graph: OrderGraph, done: readonly ActionDigest[]): number[] | undefined {
  if (done.length > graph.actions.length) return undefined
  const taken = new Uint8Array(graph.actions.length)
  const nodes: number[] = []
  for (const digest of done) {
    const node = graph.nodesOf.get(digest)?.[0]
    if (node === undefined || taken[node] === 1) return undefined
    for (const before of graph.before[node] ?? []) if (taken[before] !== 1) return undefined
    taken[node] = 1
    nodes.push(node)
  }
  return nodes
}

interface State { taken: bigint, matched: number, nodes: { node: number | undefined, previous: State['nodes'] } | undefined }

/**
 * Follows all assignments that differ, at most MATCH_STATES_MAX at once: whether a word is a beginning of a labelled partial order is
 * NP-complete in general. What is dropped beyond costs a match, never a wrong one.
 */
function search (graph: OrderGraph, done: readonly ActionDigest[], named: boolean): Array<number | undefined> | undefined {
  const surplus = surplusOf(graph, done)
  if (!named && [...surplus.values()].some((count) => count > 0)) return undefined
  const beforeMask = graph.before.map((nodes) => nodes.reduce((mask, node) => mask | 1n << BigInt(node), 0n))
  const seen = new Map<ActionDigest, number>()
  let states: State[] = [{ taken: 0n, matched: 0, nodes: undefined }]
  for (const digest of done) {
    const candidates = graph.nodesOf.get(digest) ?? []
    const earlier = seen.get(digest) ?? 0
    seen.set(digest, earlier + 1)
    const next = new Map<bigint, State>()
    const add = (state: State): void => { if (!next.has(state.taken) && next.size < MATCH_STATES_MAX) next.set(state.taken, state) }
    for (const state of states) {
      for (const node of candidates) {
        const bit = 1n << BigInt(node)
        const needs = beforeMask[node] ?? 0n
        if ((state.taken & bit) === 0n && (state.taken & needs) === needs) add({ taken: state.taken | bit, matched: state.matched + 1, nodes: { node, previous: state.nodes } })
      }
      const matchedSame = candidates.filter((node) => (state.taken >> BigInt(node) & 1n) === 1n).length
      if (earlier - matchedSame < (surplus.get(digest) ?? 0)) add({ ...state, nodes: { node: undefined, previous: state.nodes } })
    }
    states = [...next.values()]
  }
  const best = states.reduce<State | undefined>((a, b) => a === undefined || b.matched > a.matched ? b : a, undefined)
  if (best === undefined) return undefined
  const nodes: Array<number | undefined> = []
  for (let link = best.nodes; link !== undefined; link = link.previous) nodes.push(link.node)
  return nodes.reverse()
}

/** How often each digest was done beyond how often the order asks for it. */
function surplusOf (graph: OrderGraph, done: readonly ActionDigest[]): Map<ActionDigest, number> {
  const surplus = new Map<ActionDigest, number>()
  for (const digest of done) surplus.set(digest, (surplus.get(digest) ?? -(graph.nodesOf.get(digest)?.length ?? 0)) + 1)
  return surplus
}

/** Which test failed, the first in the paper's order, and where. Only for telling: with twins the latter two are told apart greedily. */
function failedClause (graph: OrderGraph, done: readonly ActionDigest[], named: boolean): { clause: MatchClause, at: number } {
  const left = new Map<ActionDigest, number>()
  for (const [at, digest] of done.entries()) {
    const count = (left.get(digest) ?? 0) + 1
    if (count > (graph.nodesOf.get(digest)?.length ?? 0)) {
      if (!named) return { clause: 'SUBSET', at }
    } else left.set(digest, count)
  }
  const reached = new Set<number>()
  for (const [node, digest] of graph.digests.entries()) {
    const count = left.get(digest) ?? 0
    if (count === 0 || !(graph.before[node] ?? []).every((before) => reached.has(before))) continue
    reached.add(node)
    left.set(digest, count - 1)
  }
  const short = done.findIndex((digest) => (left.get(digest) ?? 0) > 0)
  return short >= 0 ? { clause: 'PREFIX', at: short } : { clause: 'PARTIAL_ORDER', at: firstOutOfOrder(graph, done) }
}

function firstOutOfOrder (graph: OrderGraph, done: readonly ActionDigest[]): number {
  const taken = new Set<number>()
  for (const [at, digest] of done.entries()) {
    const nodes = graph.nodesOf.get(digest)
    if (nodes === undefined) continue
    const node = nodes.find((candidate) => !taken.has(candidate) && (graph.before[candidate] ?? []).every((before) => taken.has(before)))
    if (node === undefined) return at
    taken.add(node)
  }
  return done.length - 1
}
