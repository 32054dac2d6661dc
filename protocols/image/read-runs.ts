/**
 * In which order machines first read a file of an image, as runs of pieces: kept by a plant that served the file, and told to others. Wherever it comes
 * from it is advice: its form and range are checked, and nothing but an order follows from it.
 */
import { POSITIONS_MAX, TRACE_PIECES_MAX } from './constants.ts'
import { VarintReader, VarintWriter } from './varints.ts'

/** Runs of consecutive pieces: `[first, count]`. */
export type ReadRuns = Array<[first: number, count: number]>

/** Of numbers of pieces, in their order. */
export function runsOf (order: readonly number[]): ReadRuns {
  const runs: ReadRuns = []
  for (const piece of order) {
    const run = runs.at(-1)
    if (run !== undefined && run[0] + run[1] === piece) run[1]++
    else runs.push([piece, 1])
  }
  return runs
}

/** The order that such runs say, of a file of so many pieces; undefined when they are none, are too many, leave the file or name a piece twice. They may come from anywhere. */
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
  return order.size === told ? [...order] : undefined
}

/** As they go to another plant: LEB128 numbers `first, count` each. Undefined for what `orderOf` does not take of any file. */
export function encodeRuns (runs: unknown): Uint8Array | undefined {
  const order = orderOf(runs, POSITIONS_MAX)
  if (order === undefined || order.length === 0) return undefined
  const out = new VarintWriter()
  for (const run of runsOf(order)) for (const value of run) out.add(value)
  return out.finish()
}

/** What another plant told of a file of so many pieces; undefined when it is no order of that. */
export function decodeRuns (bytes: Uint8Array, pieces: number): ReadRuns | undefined {
  const reader = new VarintReader(bytes)
  const runs: ReadRuns = []
  while (!reader.ended) {
    const [first, count] = [reader.next(), reader.next()]
    if (first === undefined || count === undefined || runs.length >= TRACE_PIECES_MAX) return undefined
    runs.push([first, count])
  }
  const order = orderOf(runs, pieces)
  return order === undefined || order.length === 0 ? undefined : runsOf(order)
}
