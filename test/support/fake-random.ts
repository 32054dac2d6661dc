/** Fake chance: a small generator from a seed (mulberry32), so that a run replays. Not for keys. */
import type { Random } from '../../protocols/kit/index.ts'

export class FakeRandom implements Random {
  #state: number

  constructor (seed: number) { this.#state = seed | 0 }

  bytes (count: number): Uint8Array { return Uint8Array.from({ length: count }, () => this.int(256)) }

  int (below: number): number { return Math.floor(this.fraction() * below) }

  /** In [0, 1). */
  fraction (): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}
