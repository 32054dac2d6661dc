/** The configuration DAG (VMPlants 3.1): order, readiness, what comes before what. Start and end nodes are implied. */

/** What of an action makes the graph. */
export interface GraphNode { id: string, after: readonly string[] }

/**
 * The nodes in an order in which each comes after all it names; of those that are free, the first in the document goes first, so that the
 * same document always gives the same order. Nodes on or behind a cycle are left out (a checked order has none); unknown ids are ignored.
 */
export function topologicalOrder<N extends GraphNode> (nodes: readonly N[]): N[] {
  const indexOf = new Map(nodes.map((node, index) => [node.id, index]))
  const waits = nodes.map((node) => new Set(node.after.filter((id) => indexOf.has(id))).size)
  const followers: number[][] = nodes.map(() => [])
  for (const [index, node] of nodes.entries()) {
    for (const id of new Set(node.after)) {
      const before = indexOf.get(id)
      if (before !== undefined) followers[before]?.push(index)
    }
  }
  const free = new MinHeap()
  for (const [index, count] of waits.entries()) if (count === 0) free.push(index)
  const sorted: N[] = []
  for (let index = free.pop(); index !== undefined; index = free.pop()) {
    const node = nodes[index]
    if (node !== undefined) sorted.push(node)
    for (const follower of followers[index] ?? []) {
      const left = (waits[follower] ?? 0) - 1
      waits[follower] = left
      if (left === 0) free.push(follower)
    }
  }
  return sorted
}

/** Nodes that may run now: not done, and all that they come after done. In document order. */
export function readyNodes<N extends GraphNode> (nodes: readonly N[], done: ReadonlySet<string>): N[] {
  return nodes.filter((node) => !done.has(node.id) && node.after.every((id) => done.has(id)))
}

/** For each id all ids that must have been done before it, directly or through others. */
export function transitivePredecessors (nodes: readonly GraphNode[]): Map<string, Set<string>> {
  const all = new Map<string, Set<string>>()
  for (const node of topologicalOrder(nodes)) {
    const before = new Set<string>()
    for (const id of node.after) {
      const theirs = all.get(id)
      if (theirs === undefined) continue
      before.add(id)
      for (const further of theirs) before.add(further)
    }
    all.set(node.id, before)
  }
  return all
}

/** Cycles that have no node in common, one at least for each knot in the graph: each as ids, every one `after` the one before it. */
export function cycles (nodes: readonly GraphNode[]): string[][] {
  const found: string[][] = []
  let rest = withoutFree(nodes)
  while (rest.length > 0) {
    // Every node left waits for another one left: walking back must come round.
    const byId = new Map(rest.map((node) => [node.id, node]))
    const seen: string[] = []
    const seenAt = new Map<string, number>()
    let at = rest[0]
    while (at !== undefined && !seenAt.has(at.id)) {
      seenAt.set(at.id, seen.length)
      seen.push(at.id)
      const before: string | undefined = at.after.find((id) => byId.has(id))
      at = before === undefined ? undefined : byId.get(before)
    }
    if (at === undefined) break
    const cycle = seen.slice(seenAt.get(at.id)).reverse()
    found.push(cycle)
    const broken = new Set(cycle)
    rest = withoutFree(rest.filter((node) => !broken.has(node.id)))
  }
  return found
}

/** What a topological order cannot reach: nodes on a cycle or behind one. */
function withoutFree (nodes: readonly GraphNode[]): GraphNode[] {
  const reached = new Set(topologicalOrder(nodes).map((node) => node.id))
  return nodes.filter((node) => !reached.has(node.id))
}

/** A binary heap of numbers, so that choosing the first free node is never a walk over all. */
class MinHeap {
  readonly #items: number[] = []

  push (item: number): void {
    const items = this.#items
    let at = items.push(item) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if ((items[parent] ?? 0) <= item) break
      items[at] = items[parent] ?? 0
      at = parent
    }
    items[at] = item
  }

  pop (): number | undefined {
    const items = this.#items
    const top = items[0]
    const last = items.pop()
    if (top === undefined || last === undefined || items.length === 0) return top
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= items.length) break
      if (child + 1 < items.length && (items[child + 1] ?? 0) < (items[child] ?? 0)) child++
      if ((items[child] ?? 0) >= last) break
      items[at] = items[child] ?? 0
      at = child
    }
    items[at] = last
    return top
  }
}
