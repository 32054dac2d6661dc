/**
 * What a boot reads of its disk, in the order in which it reads it first: the order in which the same image is fetched ahead for the next
 * machine. Kept as pieces, so that it is short: a boot that makes thousands of reads touches some hundred pieces.
 */
import type { BlockSource } from './block-source.ts'
import { TRACE_PIECES_MAX } from './constants.ts'

/** Notes reads; bounded, and never fails. */
export class BootTrace {
  readonly #pieceBytes: number
  readonly #seen = new Set<number>()

  constructor (pieceBytes: number) { this.#pieceBytes = pieceBytes }

  /** What comes after TRACE_PIECES_MAX pieces is not noted. */
  note (offset: number, length: number): void {
    if (length === 0) return
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

/** Runs of consecutive pieces, as an order is kept: `[first, count]`. */
export function runsOf (order: number[]): Array<[number, number]> {
  const runs: Array<[number, number]> = []
  for (const piece of order) {
    const run = runs.at(-1)
    if (run !== undefined && run[0] + run[1] === piece) run[1]++
    else runs.push([piece, 1])
  }
  return runs
}

/** The order that such runs say, of a file of so many pieces; undefined when they are none. They may come from anywhere. */
export function orderOf (runs: unknown, pieces: number): number[] | undefined {
  if (!Array.isArray(runs) || runs.length > TRACE_PIECES_MAX) return undefined
  const order = new Set<number>()
  let told = 0
  for (const run of runs as unknown[]) {
    if (!Array.isArray(run) || run.length !== 2 || !run.every((value) => Number.isSafeInteger(value))) return undefined
    const [first, count] = run as [number, number]
    told += count
    if (first < 0 || count < 1 || first + count > pieces || told > TRACE_PIECES_MAX) return undefined
    for (let piece = first; piece < first + count; piece++) order.add(piece)
  }
  return [...order]
}
