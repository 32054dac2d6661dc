/**
 * Pieces to be asked for, kept by how many peers have them: the rarest first, ties at random. Peers that have everything are not counted,
 * as they change no piece's rank. A piece moves between levels in constant time; what is more common than the last level is all the same.
 */
import type { Random } from '../../protocols/kit/index.ts'
import { PieceSet } from './piece-set.ts'

const LEVELS = 16

/** The pieces that are wanted, by rarity. Pieces beyond its count are ignored. */
export class Rarest {
  readonly #levels: PieceSet[]
  readonly #holders: Uint16Array
  readonly #wanted: PieceSet
  readonly #random: (below: number) => number

  constructor (count: number, random: Random) {
    this.#levels = Array.from({ length: LEVELS }, () => new PieceSet(count))
    this.#holders = new Uint16Array(count)
    this.#wanted = new PieceSet(count)
    this.#random = fastRandom(random)
  }

  /** Pieces that are to be asked for. */
  get size (): number { return this.#wanted.size }

  has (piece: number): boolean { return this.#wanted.has(piece) }

  /** How many peers have it, without those that have all. */
  holders (piece: number): number { return this.#holders[piece] ?? 0 }

  add (piece: number): void {
    if (this.#wanted.add(piece)) this.#levelOf(piece)?.add(piece)
  }

  delete (piece: number): void {
    if (this.#wanted.delete(piece)) this.#levelOf(piece)?.delete(piece)
  }

  clear (): void { for (const piece of this.#wanted) this.delete(piece) }

  gained (piece: number): void { this.#change(piece, 1) }

  lost (piece: number): void { this.#change(piece, -1) }

  /** One of the rarest of those that this peer can be asked for. */
  pick (askable: PieceSet): number | undefined {
    for (const level of this.#levels) {
      const piece = level.size === 0 ? undefined : level.common(askable, this.#random)
      if (piece !== undefined) return piece
    }
    return undefined
  }

  #change (piece: number, by: 1 | -1): void {
    const wanted = this.#wanted.has(piece)
    if (wanted) this.#levelOf(piece)?.delete(piece)
    this.#holders[piece] = Math.max(0, (this.#holders[piece] ?? 0) + by)
    if (wanted) this.#levelOf(piece)?.add(piece)
  }

  #levelOf (piece: number): PieceSet | undefined { return this.#levels[Math.min(LEVELS - 1, this.#holders[piece] ?? 0)] }
}

/** Several draws a pick would be dear from the system's source: a small generator (xorshift), seeded from it once. Not for secrets. */
export function fastRandom (random: Random): (below: number) => number {
  let state = (random.int(0x7fffffff) | 1) >>> 0
  return (below) => {
    state = (state ^ (state << 13)) >>> 0
    state = (state ^ (state >>> 17)) >>> 0
    state = (state ^ (state << 5)) >>> 0
    return state % below
  }
}
