/** A random stream for each of very many entities, in eight bytes each: xoroshiro64** (Blackman and Vigna, 2018) over typed arrays. */
import { exactLn } from './exact-math.ts'
import { mix32, RandomStream, type Seed } from './rng.ts'

/** Streams (seed, kind, 0) to (seed, kind, count - 1). Not those of `RandomStream`: smaller states, made without hashing texts for each. */
export class StreamTable {
  readonly #states: Int32Array

  constructor (seed: Seed, kind: string, count: number) {
    const root = new RandomStream(seed, kind, 'table')
    const [k0, k1] = [root.next(), root.next()]
    const states = new Int32Array(2 * count)
    for (let i = 0; i < count; i++) {
      // Two bijections of the number with different keys: no two entities share a state.
      states[2 * i] = mix32(i ^ k0)
      states[2 * i + 1] = mix32(mix32(Math.imul(i, 0x9e3779b1) ^ k1) + k0)
      if (states[2 * i] === 0 && states[2 * i + 1] === 0) states[2 * i] = 1
    }
    this.#states = states
  }

  get bytes (): number { return this.#states.byteLength }

  /** A whole number in [0, 2^32) from the entity's stream. */
  next (entity: number): number {
    const states = this.#states
    const at = entity << 1
    const s0 = states[at] as number
    const s1 = (states[at + 1] as number) ^ s0
    const product = Math.imul(s0, 0x9e3779bb)
    states[at] = ((s0 << 26) | (s0 >>> 6)) ^ s1 ^ (s1 << 9)
    states[at + 1] = (s1 << 13) | (s1 >>> 19)
    return Math.imul((product << 5) | (product >>> 27), 5) >>> 0
  }

  /** A whole number in [0, below), `below` up to 2^21 or a power of two up to 2^32. Shares differ by less than below / 2^32, which no run can see. */
  int (entity: number, below: number): number {
    // The product needs at most 53 bits and so is exact.
    return Math.floor(this.next(entity) * below / 4_294_967_296)
  }

  /** In (0, 1], a multiple of 2^-32. */
  fraction (entity: number): number { return (this.next(entity) + 1) / 4_294_967_296 }

  /** Exponential with this mean, in whole numbers from 0. */
  exponential (entity: number, mean: number): number { return Math.floor(-mean * exactLn(this.fraction(entity)) + 0.5) }
}
