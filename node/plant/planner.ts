/**
 * The production process planner (VMPlants 3.2, P8): of all golden machines that match an order - those here and those that the mesh has - the one
 * from which it takes the least time to the machine that was ordered, and what is left of the configuration DAG.
 */
import { PlantError, type ActionDigest } from '../../protocols/kit/index.ts'
import type { ActionDone, Golden } from '../../protocols/order/golden.ts'
import { matchActions, orderGraph, type Match, type MatchClause, type OrderGraph } from '../../protocols/order/matching.ts'
import { digestPrefixes, QuickMatcher } from '../../protocols/order/quick-match.ts'
import { isOutputName } from '../../protocols/order/outputs.ts'
import type { Action, Order } from '../../protocols/order/order.ts'
import { whose } from '../../protocols/order/versions.ts'
import { bytesOf } from '../../storage/warehouse/warehouse.ts'
import { FIGURES_AT_FIRST, type Figures } from './cost/learned.ts'
import type { Choice } from './eligible.ts'
import { resolve, type Asker, type TemplateFacts } from './resolve.ts'

/** An action of the order that the golden machine has done already. */
export interface SkippedAction { id: string, digest: ActionDigest, outputs: Record<string, string> }

/** How an order is made here, or the nearest golden machine and the clause it fails. */
export type Plan = Production | { fits: false, refusal: PlanRefusal }

export interface Production {
  fits: true
  golden: Golden
  /** It is on the plant's shelf; else it is fetched first, even if all of its bytes are here as parts of others. */
  here: boolean
  /** Bytes of it that are not here yet. */
  fetchBytes: number
  /** Of these, those that must come before the machine starts. */
  startBytes: number
  /** The golden machine is of another size or was suspended on another production line: its disk is booted once at the order's size first. */
  resize: boolean
  /** In the order in which they were done. */
  skipped: SkippedAction[]
  /** What is left to run, in topological order; `after` may name skipped actions. */
  remainder: Action[]
  /** All outputs that the golden machine's actions left, later ones over earlier ones. */
  outputs: Record<string, string>
}

type NearClause = 'OS' | 'ISA' | 'DISK' | MatchClause
export type PlanClause = 'AMBIGUOUS' | NearClause

/** What the planner goes by besides the order and the plant's own golden machines. */
export interface PlanMore extends Asker {
  /** The plant's instruction set, for orders that name none. */
  hostIsa?: string
  /** Labels, removals and uses, as this plant knows them. */
  templates?: TemplateFacts
  /** What the mesh has; those that are here too are passed over. */
  remote?: readonly Choice[]
  /** How long things take here; what they took before anything was measured, by default. */
  figures?: Pick<Figures, 'actionMs' | 'bootMs' | 'fetchBytesPerMs'>
}

/** A refusal by the nearest golden machine: the one that passes most clauses. JSON-safe. */
export interface PlanRefusal {
  clause: PlanClause
  /** Absent when there is none of this OS. */
  golden?: { goldenId: string, name: string }
  /** The field of the order that the clause is about. */
  field: string
  found: string | number
  wanted: string | number
  /** The smallest change of that field that would fit; absent where no change of the order would. */
  change?: { from: string | number, to: string | number }
}

/** Names of what there is, in a refusal. */
const NAMES_TOLD_MAX = 20
/** Clauses in the order in which they are tested: the further a golden machine gets, the nearer it is. */
const CLAUSES: readonly NearClause[] = ['OS', 'ISA', 'DISK', 'SUBSET', 'PREFIX', 'PARTIAL_ORDER']

/**
 * Plans a checked order. `fingerprint` is the production line's. The answer depends on nothing else, and not on the order of `goldens`. One pass
 * over them: nothing here is quadratic.
 */
export function plan (order: Order, goldens: readonly Golden[], fingerprint: string, more: PlanMore = {}): Plan {
  const all = choicesOf(goldens, more.remote ?? [])
  const may = resolve(order, all, more, more.templates)
  if (may.kind === 'ambiguous') return { fits: false, refusal: ambiguity(order, may.choices) }
  const graph = orderGraph(order.software.actions)
  const quick = new QuickMatcher(graph)
  const isa = order.hardware.isa ?? more.hostIsa
  const figures = more.figures ?? FIGURES_AT_FIRST
  let best: Candidate | undefined
  let near: Near | undefined
  for (const { golden, missingBytes, startBytes = missingBytes, boots = false, here } of may.choices) {
    const clause = unfit(order, golden, isa, may.exact)
    if (clause !== undefined) {
      near = nearer(near, golden, clause, 0)
      continue
    }
    const { cpus, memoryMiB } = golden.hardware
    const resize = cpus !== order.hardware.cpus || memoryMiB !== order.hardware.memoryMiB || golden.lineFingerprint !== fingerprint
    const named = may.exact || isNamed(order, golden)
    // Another size of what was suspended is booted from the whole disk.
    const waitBytes = resize && !boots ? missingBytes : startBytes
    const candidateOf = (nodes: Candidate['nodes'], left: number): Candidate => ({
      golden, here: here === true, resize, nodes, left, missingBytes, startBytes: waitBytes, bytes: bytesOf(golden.files), distanceMs: left * figures.actionMs + waitBytes / figures.fetchBytesPerMs + (resize ? figures.bootMs : 0)
    })
    // If all that it has done counts, it leaves this much; what even then is no better than the best need not be compared.
    if (best !== undefined && compare(candidateOf([], Math.max(0, graph.actions.length - golden.actionsDone.length)), best) > 0) continue
    const verdict = named ? undefined : quick.test(prefixesOf(golden))
    if (verdict?.verdict === 'fails') {
      if (best === undefined) near = nearer(near, golden, verdict.clause, verdict.at)
      continue
    }
    const match = matchActions(graph, golden.actionsDone.map((done) => done.digest), named)
    if (!match.matches) {
      if (best === undefined) near = nearer(near, golden, match.clause, match.at)
      continue
    }
    const candidate = candidateOf(match.nodes, graph.actions.length - match.nodes.filter((node) => node !== undefined).length)
    if (best === undefined || compare(candidate, best) < 0) best = candidate
  }
  return best === undefined ? { fits: false, refusal: refusalOf(order, may.choices.map(({ golden }) => golden), graph, isa, near) } : production(best, graph)
}

function choicesOf (goldens: readonly Golden[], remote: readonly Choice[]): Choice[] {
  const here = goldens.map((golden): Choice => ({ golden, missingBytes: 0, here: true }))
  if (remote.length === 0) return here
  const ids = new Set(goldens.map(({ goldenId }) => goldenId))
  return [...here, ...remote.filter(({ golden }) => !ids.has(golden.goldenId))]
}

/** Descriptions never change once they are on the shelf, so this is worked out once for each. */
const knownPrefixes = new WeakMap<Golden, Uint32Array>()

function prefixesOf (golden: Golden): Uint32Array {
  let prefixes = knownPrefixes.get(golden)
  if (prefixes === undefined) {
    prefixes = digestPrefixes(golden.actionsDone.map((done) => done.digest))
    knownPrefixes.set(golden, prefixes)
  }
  return prefixes
}

interface Candidate {
  golden: Golden
  here: boolean
  resize: boolean
  nodes: (Match & { matches: true })['nodes']
  left: number
  missingBytes: number
  startBytes: number
  bytes: number
  /** What of the time to the machine depends on the choice: fetching, booting once, actions. */
  distanceMs: number
}
interface Near { golden: Golden, clause: NearClause, at: number }

/** `exact`: the order's `software.os` was resolved to this very one. */
function unfit (order: Order, golden: Golden, isa: string | undefined, exact: boolean): NearClause | undefined {
  const { os } = order.software
  if (!exact && os !== golden.name && os !== golden.os) return 'OS'
  if (isa !== undefined && golden.hardware.isa !== isa) return 'ISA'
  return golden.hardware.diskMiB > order.hardware.diskMiB ? 'DISK' : undefined
}

/** The order asks for a published machine by its own name, not for its family: with it for all that was done on it. */
function isNamed (order: Order, golden: Golden): boolean {
  return order.software.os === golden.name && golden.name !== golden.os
}

/**
 * The least time to the machine; then a clone before a resize, which boots; then the least left to do; then the smaller image; then the id, so that
 * every run agrees.
 */
function compare (a: Candidate, b: Candidate): number {
  if (a.distanceMs !== b.distanceMs) return a.distanceMs - b.distanceMs
  if (a.resize !== b.resize) return a.resize ? 1 : -1
  if (a.left !== b.left) return a.left - b.left
  if (a.bytes !== b.bytes) return a.bytes - b.bytes
  return a.golden.goldenId < b.golden.goldenId ? -1 : 1
}

function production (best: Candidate, graph: OrderGraph): Production {
  const skipped: SkippedAction[] = []
  const outputs: Record<string, string> = {}
  const taken = new Set<number>()
  for (const [index, done] of best.golden.actionsDone.entries()) {
    Object.assign(outputs, done.outputs)
    const node = best.nodes[index]
    const action = node === undefined ? undefined : graph.actions[node]
    if (node === undefined || action === undefined) continue
    taken.add(node)
    skipped.push({ id: action.id, digest: done.digest, outputs: done.outputs })
  }
  return { fits: true, golden: best.golden, here: best.here, fetchBytes: best.missingBytes, startBytes: best.startBytes, resize: best.resize, skipped, remainder: graph.actions.filter((_, node) => !taken.has(node)), outputs }
}

/** The order says a name that several have given; only the id, or an order of the owner's domain, says which. */
function ambiguity (order: Order, choices: readonly Choice[]): PlanRefusal {
  const told = choices.map(({ golden }) => golden).sort((a, b) => a.goldenId < b.goldenId ? -1 : 1).slice(0, NAMES_TOLD_MAX)
  const { os } = order.software
  return {
    clause: 'AMBIGUOUS',
    field: 'software.os',
    found: told.map((golden) => `${golden.name} of ${whose(golden)} is ${golden.goldenId}`).join('; '),
    wanted: os,
    change: { from: os, to: `one of ${told.map(({ goldenId }) => goldenId).join(', ')}` }
  }
}

function nearer (near: Near | undefined, golden: Golden, clause: NearClause, at: number): Near {
  if (near === undefined) return { golden, clause, at }
  const further = CLAUSES.indexOf(clause) - CLAUSES.indexOf(near.clause)
  const smaller = clause === 'DISK' ? near.golden.hardware.diskMiB - golden.hardware.diskMiB : 0
  const better = further !== 0 ? further > 0 : smaller !== 0 ? smaller > 0 : golden.goldenId < near.golden.goldenId
  return better ? { golden, clause, at } : near
}

function refusalOf (order: Order, goldens: readonly Golden[], graph: OrderGraph, isa: string | undefined, near: Near | undefined): PlanRefusal {
  if (near === undefined || near.clause === 'OS') {
    const names = [...new Set(goldens.flatMap((golden) => [golden.os, golden.name]))].sort()
    const known = names.slice(0, NAMES_TOLD_MAX).join(', ') + (names.length > NAMES_TOLD_MAX ? ', …' : '')
    const about = { clause: 'OS' as const, field: 'software.os', wanted: order.software.os }
    if (names.length === 0) return { ...about, found: 'no golden machine at all: build one first (plantmesh golden build tiny)' }
    return { ...about, found: known, change: { from: order.software.os, to: names.length === 1 ? known : `one of ${known}` } }
  }
  const { golden, clause } = near
  const about = { clause, golden: { goldenId: golden.goldenId, name: golden.name } }
  if (clause === 'ISA' || clause === 'DISK') {
    const [name, asked] = clause === 'ISA' ? ['isa' as const, order.hardware.isa] : ['diskMiB' as const, order.hardware.diskMiB]
    const found = golden.hardware[name]
    // An order that leaves the instruction set to the plant cannot mend what the plant has not.
    return { ...about, field: `hardware.${name}`, found, wanted: asked ?? isa ?? '', ...(asked !== undefined && { change: { from: asked, to: found } }) }
  }
  return { ...about, ...doneOtherwise(order, golden, graph, clause, near.at) }
}

/** What the golden machine has done does not lead to what the order asks for. */
function doneOtherwise (order: Order, golden: Golden, graph: OrderGraph, clause: MatchClause, at: number): Pick<PlanRefusal, 'field' | 'found' | 'wanted' | 'change'> {
  const done = golden.actionsDone[at]
  const what = `action ${JSON.stringify(done?.id ?? '')} (digest ${done?.digest.slice(0, 12) ?? ''}…)`
  if (clause === 'SUBSET') {
    const asked = order.software.actions.map((action) => action.id).join(', ')
    return { field: 'software.actions', found: `${what} was done on it`, wanted: 'nothing done that the order does not ask for', change: { from: asked, to: `that action too, or software.os: ${golden.name}` } }
  }
  const inOrder = done === undefined ? undefined : graph.actions[graph.nodesOf.get(done.digest)?.[0] ?? -1]
  const id = JSON.stringify(inOrder?.id ?? '')
  const after = JSON.stringify(inOrder?.after ?? [])
  const field = `software.actions[${order.software.actions.findIndex((action) => action.id === inOrder?.id)}].after`
  if (clause === 'PREFIX') {
    return { field, found: `${what} was done on it without all that comes before ${id}`, wanted: `all of ${after} done before ${id}`, change: { from: after, to: 'without what was not done on it' } }
  }
  return { field, found: `${what} was done on it before what comes before ${id}`, wanted: `${after} done before ${id}`, change: { from: after, to: 'without what was done later' } }
}

/**
 * What publishing a machine records as done, from the golden machine it was cloned from, the ids of the actions that ran and succeeded (in
 * the order in which they ended) and the machine's attributes.
 *
 * An action that failed and was mended by its error sub-graph has left effects that no digest describes: an image of that machine would
 * pass the subset test for orders that never asked for them. So such a machine is not published: throws VM_STATE naming the actions.
 *
 * Records do not say which action left which output. They are kept with the last action that ran: whoever skips one action of a golden
 * machine skips them all (the subset test), so every order that needs an output gets it.
 */
export function actionsDoneOf (order: Order, base: readonly ActionDone[], actionsRun: readonly string[], attributes: Readonly<Record<string, string | number | boolean>>): ActionDone[] {
  const graph = orderGraph(order.software.actions)
  const nodeOf = new Map(graph.actions.map((action, node) => [action.id, node]))
  const ran = actionsRun.map((id) => nodeOf.get(id)).filter((node) => node !== undefined)
  const skipped = matchActions(graph, base.map((done) => done.digest), true)
  const accounted = new Set([...ran, ...(skipped.matches ? skipped.nodes : [])])
  const mended = graph.actions.filter((_, node) => !accounted.has(node)).map((action) => action.id)
  if (mended.length > 0) {
    throw new PlantError('VM_STATE', { problem: 'actions of this machine failed and were mended by their error sub-graphs: its state is not what any order asks for', actions: mended })
  }
  const inherited = new Map(base.flatMap((done) => Object.entries(done.outputs)))
  const fresh = Object.fromEntries(Object.entries(attributes).filter((entry): entry is [string, string] => typeof entry[1] === 'string' && isOutputName(entry[0]) && inherited.get(entry[0]) !== entry[1]))
  const done: ActionDone[] = ran.map((node) => ({ digest: graph.digests[node] as ActionDigest, id: graph.actions[node]?.id ?? '', outputs: {} }))
  const last = done.at(-1)
  if (last !== undefined) last.outputs = fresh
  return [...base, ...done]
}
