/**
 * How much to ask of one peer at once. It doubles while that makes the peer faster; after that it is what the peer sends in its round trip
 * and a little more: enough to keep it busy, little enough that what becomes urgent does not wait long behind it.
 */
import { BLOCKS_PER_PIECE, PIECE_BYTES, PIPELINE_PIECES_FIRST, PIPELINE_PIECES_MAX } from './constants.ts'

/** The rate is judged over so long, or over so many blocks when they come faster. */
const WINDOW_MS = 100
const WINDOW_BLOCKS_MIN = BLOCKS_PER_PIECE
/** Faster by this much: worth asking for more yet. */
const FASTER = 1.1
/** Round trips are forgotten after so long, so that a path that has changed is measured again. */
const ROUND_TRIP_KEPT_MS = 10_000

export class Pipeline {
  #bytesPerS = 0
  #growing = true
  #depth = PIPELINE_PIECES_FIRST
  #windowFromMs = 0
  #windowBytes = 0
  #windowBlocks = 0
  #roundTripMs = 0
  #roundTripAtMs = -Infinity

  /** As measured; 0 until a first window has passed. */
  get bytesPerS (): number { return this.#bytesPerS }

  get roundTripMs (): number { return this.#roundTripMs }

  /** Pieces that may be asked of the peer at once, when so much may be queued there beyond a round trip. */
  depth (queueMs: number): number {
    if (this.#growing) return this.#depth
    const held = this.#bytesPerS * (this.#roundTripMs + queueMs) / 1_000
    return Math.min(PIPELINE_PIECES_MAX, Math.max(PIPELINE_PIECES_FIRST, Math.ceil(held / PIECE_BYTES) + 1))
  }

  /** When a piece asked for now should be here, with so many pieces asked before it. */
  expectedMs (asked: number, nowMs: number): number {
    if (this.#bytesPerS === 0) return nowMs + this.#roundTripMs + 200 * (asked + 1)
    return nowMs + this.#roundTripMs + (asked + 1) * PIECE_BYTES / this.#bytesPerS * 1_000
  }

  /** The peer had nothing to do and has been asked: the next window begins. */
  begun (nowMs: number): void {
    this.#windowFromMs = nowMs
    this.#windowBytes = 0
    this.#windowBlocks = 0
  }

  /** The first block of a piece that was asked for when nothing else was. */
  answered (afterMs: number, nowMs: number): void {
    if (afterMs > this.#roundTripMs && nowMs - this.#roundTripAtMs < ROUND_TRIP_KEPT_MS) return
    this.#roundTripMs = afterMs
    this.#roundTripAtMs = nowMs
  }

  received (bytes: number, nowMs: number): void {
    this.#windowBytes += bytes
    this.#windowBlocks++
    const tookMs = nowMs - this.#windowFromMs
    if (tookMs < WINDOW_MS || this.#windowBlocks < WINDOW_BLOCKS_MIN) return
    const bytesPerS = this.#windowBytes / tookMs * 1_000
    if (this.#growing) {
      this.#growing = bytesPerS > this.#bytesPerS * FASTER && this.#depth < PIPELINE_PIECES_MAX
      this.#depth = Math.min(PIPELINE_PIECES_MAX, this.#depth * 2)
      this.#bytesPerS = bytesPerS
    } else {
      this.#bytesPerS = this.#bytesPerS * 0.7 + bytesPerS * 0.3
    }
    this.begun(nowMs)
  }
}
