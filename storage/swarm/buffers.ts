/**
 * Buffers of a piece, used again: one for each piece that came would keep the collector busier than all else (it took a third of the
 * receiver's time).
 */
import { PIECE_BYTES } from './constants.ts'

/** Kept for later: 4 MiB, what is under way at a usual rate. */
const SPARE_MAX = 64

export class PieceBuffers {
  readonly #spare: Uint8Array[] = []

  take (): Uint8Array { return this.#spare.pop() ?? new Uint8Array(PIECE_BYTES) }

  /** Nobody uses it any more. */
  give (buffer: Uint8Array): void { if (this.#spare.length < SPARE_MAX) this.#spare.push(buffer) }
}
