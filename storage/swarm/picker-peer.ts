/** What the picker knows of one peer: what it has, what it has been asked, and how fast it answers. */
import { BLOCKS_PER_PIECE, REFUSALS_MAX, REFUSED_MS, STALL_MS, STALL_MS_MAX } from './constants.ts'
import { PieceSet } from './piece-set.ts'
import { Pipeline } from './pipeline.ts'

/** A long silence is half forgotten after some 35 blocks. */
const GAP_KEPT = 0.98

/** A piece asked of a peer. */
export interface Asked {
  readonly piece: number
  readonly askedAtMs: number
  /** When it should be here, as judged when it was asked for. */
  readonly expectedAtMs: number
  /** Others may be asked for it too: the peer is silent. */
  released: boolean
  /** Blocks that have come. */
  blocks: number
}

/** One peer, as the picker sees it. */
export class PickerPeer {
  readonly id: string
  /** Undefined: it has everything. */
  has: PieceSet
  isSeed = false
  /** What it has, has not refused of late and has not been asked for. */
  readonly askable: PieceSet
  readonly asked = new Map<number, Asked>()
  readonly pipeline = new Pipeline()
  /** Whether it answers requests at all now. */
  choking = true
  stalled = false
  /** Its pipeline is being filled: until it is full, or there is nothing to ask for. */
  filling = true
  /** The last block, or the first request after all had been answered. */
  activeAtMs = 0
  /** The longest silence of late while it was asked for something: what is usual for a peer on a crowded line or a busy host. */
  gapMs = 0
  /** Nothing was found for it when so much had happened; looked for again after that only. */
  emptyAt = -1
  /** Counts its new pieces, for `emptyAt`. */
  gained = 0
  readonly #refused = new Map<number, number>()
  /** How often it refused a block of each piece that it was asked for at once again, as somebody waits for it. */
  readonly #refusals = new Map<number, number>()

  constructor (id: string, count: number) {
    this.id = id
    this.has = new PieceSet(count)
    this.askable = new PieceSet(count)
  }

  /** How long it may be silent before others are asked. */
  get patienceMs (): number { return Math.max(STALL_MS, Math.min(STALL_MS_MAX, this.gapMs * 2)) }

  /** A block has come, or a refusal. */
  active (nowMs: number): void {
    this.gapMs = Math.max(nowMs - this.activeAtMs, this.gapMs * GAP_KEPT)
    this.activeAtMs = nowMs
  }

  /** It does not want to send this piece just now. Refusals end in the order in which they came. */
  refused (piece: number, nowMs: number): void {
    this.#refused.delete(piece)
    this.#refused.set(piece, nowMs + REFUSED_MS)
    this.#refusals.set(piece, (this.#refusals.get(piece) ?? 0) + 1)
    this.askable.delete(piece)
  }

  hasRefused (piece: number): boolean { return this.#refused.has(piece) }

  /** It refuses this piece more often than a seed does that would have others send it: it is waited for like others' refusals. */
  keepsRefusing (piece: number): boolean { return this.#refused.has(piece) && (this.#refusals.get(piece) ?? 0) > BLOCKS_PER_PIECE * REFUSALS_MAX }

  /** Forgets refusals that are old. */
  expireRefusals (nowMs: number): void {
    for (const [piece, untilMs] of this.#refused) {
      if (untilMs > nowMs) return
      this.#refused.delete(piece)
      if (!this.asked.has(piece)) this.#mayBeAsked(piece)
    }
  }

  /** A piece is no longer asked of it. */
  settled (piece: number): void {
    this.asked.delete(piece)
    if (!this.#refused.has(piece)) this.#mayBeAsked(piece)
  }

  /** It has come by this piece. */
  gains (piece: number): boolean {
    if (!this.has.add(piece)) return false
    this.#mayBeAsked(piece)
    return true
  }

  #mayBeAsked (piece: number): void {
    if (this.has.has(piece) && this.askable.add(piece)) this.gained++
  }
}
