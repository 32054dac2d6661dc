/**
 * The configuration DAG of a document, its error sub-graphs included: ids, edges, cycles, and which fields go together. Works on unchecked
 * values and passes over what the schema complains about, so that both kinds of problem are told at once.
 */
import { ATTACH_DISK, ATTACHED_MIB_ALLOWED, attachedMiB } from './attached-disks.ts'
import { ACTIONS_MAX, ERROR_DEPTH_MAX } from './constants.ts'
import { cycles, type GraphNode } from './graph.ts'
import { isReservedParameter, RESERVED_PARAMETERS_ALLOWED } from './outputs.ts'
import { foundText, nearest, type Path, type RawProblem } from './problems.ts'

/** All problems of the graph at `path`. */
export function graphProblems (actions: unknown, path: Path): RawProblem[] {
  const problems: RawProblem[] = []
  const total = checkGraph(actions, path, 0, problems)
  if (total > ACTIONS_MAX) problems.push({ path, found: `${total} actions, error sub-graphs included`, allowed: `at most ${ACTIONS_MAX}`, message: 'there are too many actions' })
  return problems
}

/** Returns how many actions there are, those of sub-graphs included. */
function checkGraph (actions: unknown, path: Path, depth: number, problems: RawProblem[]): number {
  if (!Array.isArray(actions)) return 0
  let total = actions.length
  // Refused for its size alone: what else is wrong with it is not worth the time.
  if (total > ACTIONS_MAX) return total
  const nodes = new Map<string, GraphNode>()
  for (const [index, action] of actions.entries()) {
    if (!isMap(action)) continue
    const { id, after, onError } = action
    if (typeof id === 'string') {
      if (nodes.has(id)) problems.push({ path: [...path, index, 'id'], found: foundText(id), allowed: 'an id that no other action of the graph has', message: 'the id is there twice' })
      else nodes.set(id, { id, after: Array.isArray(after) ? after.filter((item): item is string => typeof item === 'string') : [] })
    }
    checkFields(action, [...path, index], problems)
    if (!isMap(onError)) continue
    const below = [...path, index, 'onError']
    if (depth >= ERROR_DEPTH_MAX) problems.push({ path: below, found: `error sub-graph ${depth + 1} deep`, allowed: `at most ${ERROR_DEPTH_MAX} deep`, message: 'error sub-graphs are nested too deeply' })
    else total += checkGraph(onError['actions'], [...below, 'actions'], depth + 1, problems)
  }
  checkEdges(actions, nodes, path, problems)
  for (const cycle of cycles([...nodes.values()])) {
    const round = [...cycle, cycle[0]].map((id) => JSON.stringify(id)).join(' -> ')
    const index = actions.findIndex((action) => isMap(action) && action['id'] === cycle[0])
    problems.push({ path: [...path, index, 'after'], found: `the cycle ${round}`, allowed: 'a graph without cycles', message: `the actions wait for each other: ${round}` })
  }
  return total
}

function checkEdges (actions: unknown[], nodes: ReadonlyMap<string, GraphNode>, path: Path, problems: RawProblem[]): void {
  const ids = [...nodes.keys()]
  const idsText = ids.length === 0 ? 'no id' : ids.slice(0, 20).join(', ') + (ids.length > 20 ? ', …' : '')
  for (const [index, action] of actions.entries()) {
    if (!isMap(action) || !Array.isArray(action['after'])) continue
    const seen = new Set<string>()
    for (const [place, id] of action['after'].entries()) {
      if (typeof id !== 'string') continue
      const where = [...path, index, 'after', place]
      if (seen.has(id)) problems.push({ path: where, found: foundText(id), allowed: 'each id once', message: 'the id is named twice' })
      seen.add(id)
      if (nodes.has(id)) continue
      const meant = nearest(id, ids)
      problems.push({ path: where, found: foundText(id), allowed: `an id of the same graph: ${idsText}`, message: `no action of this graph has this id${meant === undefined ? '' : `; did you mean ${meant}?`}` })
    }
  }
}

/** A guest action is a script, a host action a built-in of the plant: never a free script on the host. */
function checkFields (action: Record<string, unknown>, path: Path, problems: RawProblem[]): void {
  const host = action['run'] === 'host'
  const forbidden = host ? ['script', 'parameters', 'files'] : ['use', 'with']
  for (const field of forbidden) {
    const value = action[field]
    if (value === undefined || (isMap(value) && Object.keys(value).length === 0)) continue
    const allowed = host ? 'use and with' : action['run'] === undefined ? 'script, parameters and files; or run: host' : 'script, parameters and files'
    problems.push({ path: [...path, field], found: foundText(value), allowed, message: host ? 'a host action names a built-in of the plant and never brings its own' : 'is for host actions only' })
  }
  if (host && action['use'] === undefined) {
    problems.push({ path: [...path, 'use'], found: 'nothing', allowed: 'the name of a built-in of the plant, such as attach-iso', message: 'a host action needs use' })
  }
  const args = action['with']
  if (host && action['use'] === ATTACH_DISK && (args === undefined || isMap(args)) && attachedMiB(args) === undefined) {
    problems.push({ path: [...path, 'with', 'sizeMiB'], found: foundText(args?.['sizeMiB']), allowed: ATTACHED_MIB_ALLOWED, message: 'is no size of a disk' })
  }
  const script = action['script']
  // An action that says `use` without `run: host` has been told so above: one mistake, one problem.
  if (!host && action['use'] === undefined && (script === undefined || (typeof script === 'string' && script.trim() === ''))) {
    problems.push({ path: [...path, 'script'], found: foundText(script), allowed: 'a script, run by sh as root', message: 'a guest action needs a script' })
  }
  if (!isMap(action['parameters'])) return
  for (const key of Object.keys(action['parameters'])) {
    if (isReservedParameter(key)) problems.push({ path: [...path, 'parameters', key], found: `the name ${foundText(key)}`, allowed: RESERVED_PARAMETERS_ALLOWED, message: 'the name is reserved' })
  }
}

function isMap (value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
