/**
 * What a plant knows of how its pieces of one pack have spread: how often it sent each, and which nobody else has yet. Counts are kept as
 * things happen, so that asking is free.
 */
import { PieceSet } from './piece-set.ts'
import type { Spread } from './uploader.ts'

/** Peers that want pieces, from which on a seed spreads: with one there is nobody else to ask. */
const SPREAD_PEERS_MIN = 2

export class PackSpread implements Spread {
  readonly #sent: Uint16Array
  /** Peers without all that have each piece. */
  readonly #holders: Uint16Array
  readonly #novel: PieceSet
  /** Peers that lack something, and whether this plant has all. */
  #leechers = 0
  isSeed = false

  constructor (count: number) {
    this.#sent = new Uint16Array(count)
    this.#holders = new Uint16Array(count)
    this.#novel = PieceSet.full(count)
  }

  sent (piece: number): number { return this.#sent[piece] ?? 0 }

  isNovel (piece: number): boolean { return this.#novel.has(piece) }

  novelLeft (): number { return this.isSeed && this.#leechers >= SPREAD_PEERS_MIN ? this.#novel.size : 0 }

  /** A piece was sent to someone. */
  send (piece: number): void {
    this.#sent[piece] = Math.min(0xffff, this.sent(piece) + 1)
    this.#novel.delete(piece)
  }

  /** A peer that lacks something has come. */
  join (): void { this.#leechers++ }

  /** It lacks nothing any more. */
  completed (): void { this.#leechers-- }

  /** A peer that lacks something has this piece. */
  gained (piece: number): void {
    this.#holders[piece] = (this.#holders[piece] ?? 0) + 1
    this.#novel.delete(piece)
  }

  /** It is gone, with all that it had gained. */
  leave (had: Iterable<number>): void {
    for (const piece of had) {
      this.#holders[piece] = Math.max(0, (this.#holders[piece] ?? 0) - 1)
      if (this.#holders[piece] === 0 && this.sent(piece) === 0) this.#novel.add(piece)
    }
  }
}
