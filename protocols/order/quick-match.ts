/**
 * Passes over most golden machines in a few hundred nanoseconds each, so that a large warehouse is planned within milliseconds. Works on the
 * first 32 bits of digests; whoever is chosen is compared in full by `matchActions`, so that two digests which begin alike cost time and
 * never a wrong match.
 */
import type { ActionDigest } from '../kit/index.ts'
import type { MatchClause, OrderGraph } from './matching.ts'

/** The first 32 bits of each digest, in the order in which the actions were done: made once for a golden machine. */
export function digestPrefixes (done: readonly ActionDigest[]): Uint32Array {
  return Uint32Array.from(done, (digest) => Number.parseInt(digest.slice(0, 8), 16))
}

/** `unsure`: only `matchActions` can tell. */
export type QuickVerdict = { verdict: 'likely' | 'unsure' } | { verdict: 'fails', clause: MatchClause, at: number }

const LIKELY: QuickVerdict = { verdict: 'likely' }
const UNSURE: QuickVerdict = { verdict: 'unsure' }

/** Passes over golden machines that cannot match, before the full tests. */
export class QuickMatcher {
  // An open hash table from prefix to class of nodes with that prefix: at most a quarter full, so that probes are short.
  readonly #mask: number
  readonly #keys: Uint32Array
  readonly #classes: Int32Array
  /** The nodes of class c are #members[#memberStart[c]] up to #memberStart[c + 1], in topological order. */
  readonly #members: Int32Array
  readonly #memberStart: Int32Array
  readonly #before: readonly Int32Array[]
  readonly #twins: boolean
  // Scratch, marked with the number of the comparison so that nothing is cleared in between.
  readonly #asked: Int32Array
  readonly #count: Int32Array
  readonly #taken: Int32Array
  #round = 0

  constructor (graph: OrderGraph) {
    const byPrefix = new Map<number, number[]>()
    for (const [node, prefix] of digestPrefixes(graph.digests).entries()) {
      const nodes = byPrefix.get(prefix)
      if (nodes === undefined) byPrefix.set(prefix, [node])
      else nodes.push(node)
    }
    const size = 2 ** Math.ceil(Math.log2(Math.max(4, byPrefix.size * 4)))
    this.#mask = size - 1
    this.#keys = new Uint32Array(size)
    this.#classes = new Int32Array(size).fill(-1)
    this.#members = Int32Array.from([...byPrefix.values()].flat())
    this.#memberStart = new Int32Array(byPrefix.size + 1)
    let index = 0
    for (const [prefix, nodes] of byPrefix) {
      let slot = prefix & this.#mask
      while (this.#classes[slot] !== -1) slot = (slot + 1) & this.#mask
      this.#keys[slot] = prefix
      this.#classes[slot] = index
      this.#memberStart[index + 1] = (this.#memberStart[index] ?? 0) + nodes.length
      index++
    }
    this.#before = graph.before.map((nodes) => Int32Array.from(nodes))
    this.#twins = byPrefix.size < graph.digests.length
    this.#asked = new Int32Array(byPrefix.size)
    this.#count = new Int32Array(byPrefix.size)
    this.#taken = new Int32Array(graph.digests.length)
  }

  /** Compares a golden machine that is not asked for by name. A failure is certain; without twins its clause and place are too. */
  test (done: Uint32Array): QuickVerdict {
    this.#round++
    for (let at = 0; at < done.length; at++) {
      const index = this.#classOf(done[at] ?? 0)
      if (index < 0) return { verdict: 'fails', clause: 'SUBSET', at }
      const count = this.#asked[index] === this.#round ? (this.#count[index] ?? 0) + 1 : 1
      this.#asked[index] = this.#round
      this.#count[index] = count
      if (count > (this.#memberStart[index + 1] ?? 0) - (this.#memberStart[index] ?? 0)) return { verdict: 'fails', clause: 'SUBSET', at }
    }
    const stuck = this.#walk(done)
    if (stuck < 0) return LIKELY
    if (this.#twins) return UNSURE // Another of the twins might have been the right one.
    return this.#prefixFailure(done) ?? { verdict: 'fails', clause: 'PARTIAL_ORDER', at: stuck }
  }

  /** Follows what was done, always taking the first node that is free; returns where it is stuck, or -1. */
  #walk (done: Uint32Array): number {
    for (let at = 0; at < done.length; at++) {
      const index = this.#classOf(done[at] ?? 0)
      const end = this.#memberStart[index + 1] ?? 0
      let member = this.#memberStart[index] ?? 0
      for (; member < end; member++) {
        const node = this.#members[member] ?? 0
        if (this.#taken[node] === this.#round || !this.#allTaken(node)) continue
        this.#taken[node] = this.#round
        break
      }
      if (member === end) return at
    }
    return -1
  }

  #allTaken (node: number): boolean {
    const before = this.#before[node]
    if (before === undefined) return true
    for (let i = 0; i < before.length; i++) if (this.#taken[before[i] ?? 0] !== this.#round) return false
    return true
  }

  /** Without twins: the first action whose predecessors were not all done, early or late; undefined when they were. */
  #prefixFailure (done: Uint32Array): QuickVerdict | undefined {
    this.#round++
    for (let at = 0; at < done.length; at++) this.#taken[this.#nodeOf(done[at] ?? 0)] = this.#round
    for (let at = 0; at < done.length; at++) if (!this.#allTaken(this.#nodeOf(done[at] ?? 0))) return { verdict: 'fails', clause: 'PREFIX', at }
    return undefined
  }

  #nodeOf (prefix: number): number {
    return this.#members[this.#memberStart[this.#classOf(prefix)] ?? 0] ?? 0
  }

  #classOf (prefix: number): number {
    for (let slot = prefix & this.#mask; ; slot = (slot + 1) & this.#mask) {
      const index = this.#classes[slot] ?? -1
      if (index < 0 || this.#keys[slot] === prefix) return index
    }
  }
}
