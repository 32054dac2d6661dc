/** A file at the other end of a link, in pieces: so many bits a second, a delay for each request, urgent ones before others. What came once stays here. */
import type { BlockSource } from '../../storage/nbd/block-source.ts'

/** As in a golden machine's manifest. */
export const PIECE_BYTES = 65_536

export interface LinkInit {
  source: BlockSource
  bitsPerS: number
  /** Between a request and the first byte of its answer. */
  delayMs: number
}

interface Waiting { urgent: boolean, begin: () => void }

export class SlowLink {
  /** Pieces of zeros are never shipped. */
  fetchedBytes = 0
  misses = 0
  readonly pieces: number
  readonly #init: LinkInit
  readonly #here = new Map<number, Promise<Uint8Array>>()
  readonly #queue = new Map<number, Waiting>()
  /** When the link is through with what it was given, by performance.now(). */
  #freeAtMs = 0
  #turn: NodeJS.Timeout | undefined

  constructor (init: LinkInit) {
    this.#init = init
    this.pieces = Math.ceil(init.source.bytes / PIECE_BYTES)
  }

  /** The file, with what is not here fetched first. */
  get source (): BlockSource {
    const { bytes } = this.#init.source
    return {
      bytes,
      read: async (offset, length) => {
        const first = Math.floor(offset / PIECE_BYTES)
        const count = Math.ceil((offset + length) / PIECE_BYTES) - first
        const pieces = await Promise.all(Array.from({ length: count }, async (_, i) => await this.fetch(first + i, true)))
        const from = offset - first * PIECE_BYTES
        return Buffer.concat(pieces).subarray(from, from + length)
      }
    }
  }

  /** A piece; one that is on its way already is waited for, and becomes urgent when it is now. */
  async fetch (index: number, urgent: boolean): Promise<Uint8Array> {
    const waiting = this.#queue.get(index)
    if (waiting !== undefined && urgent) waiting.urgent = true
    let piece = this.#here.get(index)
    if (piece === undefined) {
      if (urgent) this.misses++
      piece = this.#transfer(index, urgent)
      this.#here.set(index, piece)
    }
    return await piece
  }

  async #transfer (index: number, urgent: boolean): Promise<Uint8Array> {
    const { source, delayMs, bitsPerS } = this.#init
    const offset = index * PIECE_BYTES
    const bytes = await source.read(offset, Math.min(PIECE_BYTES, source.bytes - offset), new AbortController().signal)
    if (bytes.every((byte) => byte === 0)) return bytes
    await new Promise<void>((begin) => {
      this.#queue.set(index, { urgent, begin })
      this.#next()
    })
    // The link sends one piece after the other; the delays of several overlap.
    this.#freeAtMs = Math.max(performance.now(), this.#freeAtMs) + PIECE_BYTES * 8 * 1000 / bitsPerS
    this.fetchedBytes += PIECE_BYTES
    const hereAtMs = this.#freeAtMs + delayMs
    this.#next()
    await new Promise((resolve) => { setTimeout(resolve, Math.max(0, hereAtMs - performance.now())) })
    return bytes
  }

  /** Begins the next piece when the link is about to be free: urgent ones first, then in the order in which they were asked for. */
  #next (): void {
    if (this.#turn !== undefined || this.#queue.size === 0) return
    this.#turn = setTimeout(() => {
      this.#turn = undefined
      const [index, waiting] = [...this.#queue].find(([, { urgent }]) => urgent) ?? [...this.#queue][0] ?? []
      if (index === undefined || waiting === undefined) return
      this.#queue.delete(index)
      waiting.begin()
    }, Math.max(0, this.#freeAtMs - performance.now()))
  }
}
