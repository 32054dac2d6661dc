/** Who is served now: at most so many peers, the others wait in line; while they wait, a turn ends after a time. Pure. */
import { UNCHOKED_MAX, UNCHOKED_TURN_MS } from './constants.ts'

/** Peers to serve from now on, and those to stop serving. */
export interface Turn<T> { begin: T[], end: T[] }

/** Places for those who are served, and the line before them. */
export class Slots<T> {
  readonly #served = new Map<T, number>()
  readonly #line = new Set<T>()

  /** The peer wants something. True: it is served. */
  enter (peer: T, nowMs: number): boolean {
    if (this.#served.has(peer)) return true
    this.#line.add(peer)
    return this.#admit(nowMs).includes(peer)
  }

  /** The peer wants nothing more, or is gone; returns who is served in its place. */
  leave (peer: T, nowMs: number): T[] {
    this.#line.delete(peer)
    return this.#served.delete(peer) ? this.#admit(nowMs) : []
  }

  /** Ends turns that have lasted, as many as wait. */
  rotate (nowMs: number): Turn<T> {
    const end: T[] = []
    for (const [peer, sinceMs] of this.#served) {
      if (end.length >= this.#line.size || nowMs - sinceMs < UNCHOKED_TURN_MS) break
      end.push(peer)
    }
    for (const peer of end) this.#served.delete(peer)
    const begin = this.#admit(nowMs)
    for (const peer of end) this.#line.add(peer)
    return { begin, end }
  }

  #admit (nowMs: number): T[] {
    const begin: T[] = []
    for (const peer of this.#line) {
      if (this.#served.size >= UNCHOKED_MAX) break
      this.#line.delete(peer)
      this.#served.set(peer, nowMs)
      begin.push(peer)
    }
    return begin
  }
}
