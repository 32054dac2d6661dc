/**
 * What a boot reads of its disk, in the order in which it reads it first: the order in which the same image is fetched ahead for the next
 * machine. Kept as pieces, so that it is short: a boot that makes thousands of reads touches some hundred pieces.
 */
import { TRACE_PIECES_MAX } from '../../protocols/image/index.ts'
import type { BlockSource } from './block-source.ts'

/** Notes reads; bounded, and never fails. */
export class BootTrace {
  readonly #pieceBytes: number
  readonly #seen = new Set<number>()
  #isWhole = false

  constructor (pieceBytes: number) { this.#pieceBytes = pieceBytes }

  /** The boot is over: what is read from now on is no part of it. */
  end (): void { this.#isWhole = true }

  /** Whether all of a boot was noted. */
  get isWhole (): boolean { return this.#isWhole }

  /** What comes after TRACE_PIECES_MAX pieces, or after the end of the boot, is not noted. */
  note (offset: number, length: number): void {
    if (length === 0 || this.#isWhole) return
    for (let piece = Math.floor(offset / this.#pieceBytes); piece * this.#pieceBytes < offset + length; piece++) {
      if (this.#seen.size >= TRACE_PIECES_MAX) return
      this.#seen.add(piece)
    }
  }

  /** Numbers of pieces, each once, as they were read first. */
  order (): number[] { return [...this.#seen] }
}

/** The same source; its reads are noted as they are asked for. */
export function traced (source: BlockSource, trace: BootTrace): BlockSource {
  return {
    bytes: source.bytes,
    read: async (offset, length, signal) => {
      trace.note(offset, length)
      return await source.read(offset, length, signal)
    }
  }
}
