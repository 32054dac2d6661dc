/** Chance from a seed. One stream for each purpose and entity, so that what one draws more or less changes nothing for the others. */
import type { Random } from '../../protocols/kit/index.ts'

/** A stream of chance (sfc32 by Chris Doty-Humphrey, PractRand): integers only, the same on every machine. */
export class Rng implements Random {
  #a: number
  #b: number
  #c: number
  #count = 1

  /** The stream of this name; another name is another stream. */
  constructor (name: string) {
    // FNV-1a over three salts; the first draws stir it further.
    this.#a = hash(name, 0x811c9dc5)
    this.#b = hash(name, 0x9e3779b9)
    this.#c = hash(name, 0x85ebca6b)
    for (let n = 0; n < 12; n++) this.next()
  }

  /** 32 bits. */
  next (): number {
    const sum = (this.#a + this.#b + this.#count++) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0
    return sum >>> 0
  }

  /** In [0, 1), 32 bits of it. */
  fraction (): number { return this.next() / 2 ** 32 }

  int (below: number): number { return Math.floor(this.fraction() * below) }

  /** In [from, to]. */
  between (from: number, to: number): number { return from + this.int(to - from + 1) }

  chance (share: number): boolean { return this.fraction() < share }

  bytes (count: number): Uint8Array {
    const bytes = new Uint8Array(count)
    for (let at = 0; at < count; at++) bytes[at] = this.next() >>> 24
    return bytes
  }

  /** One of them; there must be one. */
  pick<T> (from: readonly T[]): T {
    if (from.length === 0) throw new Error('bug: nothing to pick from')
    return from[this.int(from.length)] as T
  }

  /** In an order of chance. */
  shuffled<T> (all: readonly T[]): T[] {
    const mixed = [...all]
    for (let at = mixed.length - 1; at > 0; at--) {
      const other = this.int(at + 1)
      const one = mixed[at] as T
      mixed[at] = mixed[other] as T
      mixed[other] = one
    }
    return mixed
  }
}

function hash (text: string, salt: number): number {
  let sum = salt | 0
  for (let at = 0; at < text.length; at++) sum = Math.imul(sum ^ text.charCodeAt(at), 0x01000193)
  sum ^= sum >>> 16
  return Math.imul(sum, 0x7feb352d) ^ (sum >>> 15)
}
