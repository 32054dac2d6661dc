/**
 * A set of pieces as bits, with a summary (one bit a word) above them: finding a member common to two sets looks at 1,024 pieces a step,
 * so that picking among a million pieces costs microseconds. Internal order: bit i of word i >>> 5.
 */

export class PieceSet {
  readonly count: number
  readonly #words: Uint32Array
  readonly #summary: Uint32Array
  #size = 0

  constructor (count: number) {
    this.count = count
    this.#words = new Uint32Array(Math.ceil(count / 32))
    this.#summary = new Uint32Array(Math.ceil(this.#words.length / 32))
  }

  /** From BitTorrent's bitfield (highest bit first); undefined when its length is wrong or a spare bit is set (BEP 3). */
  static fromBitfield (bits: Uint8Array, count: number): PieceSet | undefined {
    if (bits.length !== Math.ceil(count / 8)) return undefined
    const spare = bits.length * 8 - count
    if (spare > 0 && ((bits.at(-1) ?? 0) & ((1 << spare) - 1)) !== 0) return undefined
    const set = new PieceSet(count)
    bits.forEach((byte, i) => {
      for (let bit = 0; byte !== 0 && bit < 8; bit++) if ((byte & (0x80 >>> bit)) !== 0) set.add(i * 8 + bit)
    })
    return set
  }

  static full (count: number): PieceSet {
    const set = new PieceSet(count)
    for (let i = 0; i < count; i++) set.add(i)
    return set
  }

  get size (): number { return this.#size }

  has (piece: number): boolean { return ((this.#words[piece >>> 5] ?? 0) & (1 << (piece & 31))) !== 0 }

  /** True when it was not in. */
  add (piece: number): boolean {
    const word = piece >>> 5
    const before = this.#words[word] ?? 0
    const after = (before | (1 << (piece & 31))) >>> 0
    if (after === before || piece >= this.count) return false
    this.#words[word] = after
    this.#summary[word >>> 5] = ((this.#summary[word >>> 5] ?? 0) | (1 << (word & 31))) >>> 0
    this.#size++
    return true
  }

  /** True when it was in. */
  delete (piece: number): boolean {
    if (!this.has(piece)) return false
    const word = piece >>> 5
    const after = ((this.#words[word] ?? 0) & ~(1 << (piece & 31))) >>> 0
    this.#words[word] = after
    if (after === 0) this.#summary[word >>> 5] = ((this.#summary[word >>> 5] ?? 0) & ~(1 << (word & 31))) >>> 0
    this.#size--
    return true
  }

  /** Members in ascending order. The set may lose members while this runs. */
  * [Symbol.iterator] (): Generator<number> {
    for (let word = 0; word < this.#words.length; word++) {
      for (let left = this.#words[word] ?? 0; left !== 0; left = (left & (left - 1)) >>> 0) yield word * 32 + lowest(left)
    }
  }

  /** A member of both sets, found from a place that `random` (an integer below its argument) picks; undefined when there is none. */
  common (other: PieceSet, random: (below: number) => number): number | undefined {
    const blocks = this.#summary.length
    if (this.#size === 0 || other.#size === 0) return undefined
    const first = random(blocks)
    for (let step = 0; step < blocks; step++) {
      const block = first + step < blocks ? first + step : first + step - blocks
      const words = ((this.#summary[block] ?? 0) & (other.#summary[block] ?? 0)) >>> 0
      if (words === 0) continue
      const found = this.#commonIn(block, words, other, random)
      if (found !== undefined) return found
    }
    return undefined
  }

  #commonIn (block: number, words: number, other: PieceSet, random: (below: number) => number): number | undefined {
    const turn = random(32)
    for (let left = rotate(words, turn); left !== 0; left = (left & (left - 1)) >>> 0) {
      const word = block * 32 + ((lowest(left) + turn) & 31)
      const both = ((this.#words[word] ?? 0) & (other.#words[word] ?? 0)) >>> 0
      if (both === 0) continue
      const bitTurn = random(32)
      return word * 32 + ((lowest(rotate(both, bitTurn)) + bitTurn) & 31)
    }
    return undefined
  }
}

/** Turned right, so that the search begins at bit `by`. */
function rotate (bits: number, by: number): number {
  return by === 0 ? bits >>> 0 : ((bits >>> by) | (bits << (32 - by))) >>> 0
}

function lowest (bits: number): number { return 31 - Math.clz32(bits & -bits) }
