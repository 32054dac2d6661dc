/**
 * Randomness from one seed, forked by purpose and entity: the stream of (seed, kind, id) is the same whatever else the program draws, so
 * that runs which differ in one policy stay comparable. Streams are whole numbers of 32 bits (xoshiro128**, Blackman and Vigna, 2018); what is
 * drawn from them uses only operations that are the same to the last bit on every machine (exact-math.ts). Not for keys.
 */
import type { Random } from '../../protocols/kit/index.ts'
import { exactLn, exactSqrt } from './exact-math.ts'

/** A whole number (any safe integer) or a text that names it. */
export type Seed = number | string

/** A stream of chance; also the port of that name, so that the daemon's cores draw from it. */
export class RandomStream implements Random {
  readonly #root: readonly [number, number, number, number]
  #s0: number
  #s1: number
  #s2: number
  #s3: number
  #spareNormal: number | undefined

  /** The stream of these parts in this order; `new RandomStream(seed)` is the root of a run. */
  constructor (...parts: readonly Seed[]) {
    this.#root = hash128(parts)
    ;[this.#s0, this.#s1, this.#s2, this.#s3] = this.#root
    // All zeros is the one state that the generator cannot leave.
    if ((this.#s0 | this.#s1 | this.#s2 | this.#s3) === 0) this.#s0 = 1
  }

  /** The stream for a purpose and an entity: depends on where this one was forked from, not on what was drawn from it. */
  fork (kind: string, id: Seed = 0): RandomStream { return new RandomStream(...this.#root, kind, id) }

  /** A whole number in [0, 2^32). */
  next (): number {
    const s1 = this.#s1
    const result = Math.imul(rotl(Math.imul(s1, 5), 7), 9)
    let s2 = this.#s2 ^ this.#s0
    let s3 = this.#s3 ^ s1
    this.#s1 = s1 ^ s2
    this.#s0 ^= s3
    s2 ^= s1 << 9
    s3 = rotl(s3, 11)
    this.#s2 = s2
    this.#s3 = s3
    return result >>> 0
  }

  /** `count` random bytes. */
  bytes (count: number): Uint8Array {
    const bytes = new Uint8Array(count)
    for (let at = 0; at < count; at += 4) {
      const word = this.next()
      for (let i = 0; i < 4 && at + i < count; i++) bytes[at + i] = word >>> (8 * i)
    }
    return bytes
  }

  /** A whole number in [0, below), each equally likely; `below` up to 2^53. */
  int (below: number): number {
    if (below <= 4_294_967_296) {
      const limit = 4_294_967_296 - 4_294_967_296 % below
      for (;;) {
        const word = this.next()
        if (word < limit) return word % below
      }
    }
    const limit = 9_007_199_254_740_992 - 9_007_199_254_740_992 % below
    for (;;) {
      const word = (this.next() >>> 11) * 4_294_967_296 + this.next()
      if (word < limit) return word % below
    }
  }

  /** In [0, 1), a multiple of 2^-53. */
  fraction (): number {
    return ((this.next() >>> 5) * 67_108_864 + (this.next() >>> 6)) / 9_007_199_254_740_992
  }

  /** True with this probability. */
  chance (probability: number): boolean { return this.fraction() < probability }

  /** Exponential with this mean. Round it to ticks before it becomes a time. */
  exponential (mean: number): number { return -mean * exactLn(1 - this.fraction()) }

  /** Normal with this mean and standard deviation (Marsaglia's polar method). */
  normal (mean: number, deviation: number): number {
    const spare = this.#spareNormal
    if (spare !== undefined) {
      this.#spareNormal = undefined
      return mean + deviation * spare
    }
    for (;;) {
      const u = 2 * this.fraction() - 1
      const v = 2 * this.fraction() - 1
      const s = u * u + v * v
      if (s >= 1 || s === 0) continue
      const factor = exactSqrt(-2 * exactLn(s) / s)
      this.#spareNormal = v * factor
      return mean + deviation * u * factor
    }
  }

  /** One of these; undefined when there is none. */
  pick<T> (items: readonly T[]): T | undefined { return items.length === 0 ? undefined : items[this.int(items.length)] }

  /** The same items in a drawn order (Fisher and Yates); a new array. */
  shuffled<T> (items: readonly T[]): T[] {
    const out = [...items]
    for (let i = out.length - 1; i > 0; i--) {
      const j = this.int(i + 1)
      const held = out[i] as T
      out[i] = out[j] as T
      out[j] = held
    }
    return out
  }
}

/** 128 bits from a list of numbers and texts, by murmur3's finaliser over their words; every part and its place count. */
function hash128 (parts: readonly Seed[]): [number, number, number, number] {
  const lanes: [number, number, number, number] = [0x9e3779b9, 0x243f6a88, 0xb7e15162, 0x6a09e667]
  const take = (word: number): void => {
    for (let lane = 0; lane < 4; lane++) {
      lanes[lane] = mix32((lanes[lane] as number) ^ Math.imul(word ^ (lane * 0x85ebca6b), 0xcc9e2d51) ^ rotl(lanes[(lane + 3) & 3] as number, 13))
    }
  }
  for (const part of parts) {
    if (typeof part === 'number') {
      take(1)
      take(part | 0)
      // The bits above the lowest 32, sign included.
      take(Math.floor(part / 4_294_967_296) | 0)
      continue
    }
    take(2)
    take(part.length)
    for (let i = 0; i < part.length; i++) take(part.charCodeAt(i))
  }
  take(0)
  return lanes
}

/** A well-mixed 32-bit number from one (murmur3's finaliser): a bijection. */
export function mix32 (word: number): number {
  let h = word
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return h ^ (h >>> 16)
}

function rotl (word: number, by: number): number { return (word << by) | (word >>> (32 - by)) }
