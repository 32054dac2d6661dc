/**
 * Which piece to ask of which peer next. Pure: events in, pieces out.
 *
 * A piece is *wanted* (in `Rarest`) until it is asked of a peer, then *asked* until it is kept, refused, or its peer is gone. What is asked of
 * a peer that falls silent is wanted again and stays asked there too: whoever brings it first settles it. Urgent pieces go first, then the
 * given order, then the rarest. A whole piece comes from one peer, so that a wrong one has one author.
 */
import type { Random } from '../../protocols/kit/index.ts'
import {
  COPIES_IN_FLIGHT_MAX, HEDGE_GAIN_MS, IN_FLIGHT_PIECES_MAX, LAST_GAIN_MS, PIPELINE_PIECES_FIRST, PIPELINE_QUEUE_MS, PIPELINE_QUEUE_URGENT_MS, TICK_MS, URGENT_EXTRA_PIECES
} from './constants.ts'
import { PickerPeer } from './picker-peer.ts'
import type { Asked } from './picker-peer.ts'
import type { PieceSet } from './piece-set.ts'
import { Rarest, fastRandom } from './rarest.ts'

/** A piece to ask for, and peers that are to be told that it is not wanted of them any more. */
export interface Choice { piece: number, instead: PickerPeer[] }

/** Pieces of `order` looked at for one peer; those further on wait until the first are asked for. */
const ORDER_AHEAD = 256
/** Of these, where several fetch at once: eight that follow one order end 4 to 14 % sooner than in strict order, and each has the first 32 pieces as soon (test/swarm/crowd.test.ts). */
const ORDER_AHEAD_CROWD = 64
/** A full pipeline is filled again when it is down to this share. */
const REFILL_BELOW = 0.75
/** Pieces in flight looked at for one that a second peer would bring sooner. */
const LAST_LOOKED_AT = 64
/** After the last urgent piece pipelines stay short for so long: a booting machine reads in bursts. */
const URGENT_KEPT_MS = 3_000

/** The picker of one pack. Peers and pieces that it was not told of are bugs, not failures. */
export class Picker {
  readonly #rarest: Rarest
  readonly #random: (below: number) => number
  #order: readonly number[] = []
  #placeInOrder: ReadonlyMap<number, number> = new Map()
  /** Before this place of the order nothing is wanted. */
  #orderFrom = 0
  readonly #urgent = new Set<number>()
  #urgentAtMs = -Infinity
  #tickedAtMs = -Infinity
  readonly #peers = new Map<string, PickerPeer>()
  /** Peers that each piece is asked of. Insertion order: the oldest are first. */
  readonly #inFlight = new Map<number, PickerPeer[]>()
  /** Pieces that have come whole and are being checked and kept. */
  readonly #checking = new Set<number>()
  /** Counts pieces that became wanted, for peers that nothing was found for. */
  #grown = 0

  constructor (count: number, random: Random) {
    this.#rarest = new Rarest(count, random)
    this.#random = fastRandom(random)
  }

  /** Pieces that are asked for now. */
  get inFlight (): number { return this.#inFlight.size }

  /** Pieces that are wanted and not asked of anyone. */
  get unasked (): number { return this.#rarest.size }

  /** Pieces that have come and are not kept yet. */
  get checking (): number { return this.#checking.size }

  peer (id: string): PickerPeer | undefined { return this.#peers.get(id) }

  /** How many peers have this piece, without those that have all. */
  holders (piece: number): number { return this.#rarest.holders(piece) }

  join (id: string, count: number): PickerPeer {
    const peer = new PickerPeer(id, count)
    this.#peers.set(id, peer)
    return peer
  }

  /** A peer says all that it has; it says so once. */
  hasAll (peer: PickerPeer, pieces: PieceSet): void {
    peer.isSeed = pieces.size === pieces.count
    for (const piece of pieces) if (peer.gains(piece) && !peer.isSeed) this.#rarest.gained(piece)
  }

  gains (peer: PickerPeer, piece: number): void {
    if (peer.gains(piece)) this.#rarest.gained(piece)
  }

  /** The peer is gone, or not asked any more: what it was asked is wanted again. */
  leave (peer: PickerPeer): void {
    this.#peers.delete(peer.id)
    for (const piece of peer.asked.keys()) this.#unask(peer, piece)
    if (!peer.isSeed) for (const piece of peer.has) this.#rarest.lost(piece)
  }

  /** These pieces come before the rarest, in this order (the reads of a recorded boot). */
  follow (order: readonly number[]): void {
    this.#order = order
    this.#placeInOrder = new Map(order.map((piece, place) => [piece, place]))
    this.#orderFrom = 0
  }

  /** Nothing is wanted any more; what peers were asked may still come, unasked. */
  wantNothing (): void {
    this.#urgent.clear()
    this.#checking.clear()
    for (const [piece, peers] of this.#inFlight) for (const peer of peers) peer.settled(piece)
    this.#inFlight.clear()
    this.#rarest.clear()
    this.follow([])
  }

  want (piece: number): void {
    if (this.#inFlight.has(piece) || this.#checking.has(piece) || this.#rarest.has(piece)) return
    this.#rarest.add(piece)
    this.#grown++
    this.#orderFrom = Math.min(this.#orderFrom, this.#placeInOrder.get(piece) ?? Infinity)
  }

  /** A machine waits for this piece. */
  urgent (piece: number, nowMs: number): void {
    this.#urgentAtMs = nowMs
    this.#urgent.add(piece)
    this.want(piece)
  }

  /** The next piece to ask of this peer, noted as asked; undefined when it is to be asked nothing now. */
  next (peer: PickerPeer, nowMs: number): Choice | undefined {
    if (peer.choking || this.#inFlight.size >= IN_FLIGHT_PIECES_MAX) return undefined
    const queueMs = nowMs - this.#urgentAtMs < URGENT_KEPT_MS ? PIPELINE_QUEUE_URGENT_MS : PIPELINE_QUEUE_MS
    const depth = peer.stalled ? 1 : Math.min(peer.pipeline.depth(queueMs), this.#shareOfRest())
    // Asked for by the handful: a message for each piece costs both sides more than the piece's bytes.
    peer.filling = peer.asked.size < (peer.filling ? depth : depth * REFILL_BELOW)
    const room = peer.filling
    if (!room && (this.#urgent.size === 0 || peer.asked.size >= depth + URGENT_EXTRA_PIECES)) return undefined
    const piece = this.#nextUrgent(peer, nowMs) ?? (room ? this.#nextOther(peer, nowMs) : undefined)
    if (piece === undefined) return undefined
    return { piece, instead: this.#ask(peer, piece, nowMs) }
  }

  /** A block of a piece has come, or one that nobody asked for any more (`asked` undefined). */
  received (peer: PickerPeer, asked: Asked | undefined, bytes: number, nowMs: number): void {
    if (asked !== undefined) {
      if (asked.blocks === 0 && peer.asked.size === 1) peer.pipeline.answered(nowMs - asked.askedAtMs, nowMs)
      asked.blocks++
    }
    peer.active(nowMs)
    peer.pipeline.received(bytes, nowMs)
    if (!peer.stalled) return
    peer.stalled = false
    for (const one of peer.asked.values()) this.#unrelease(one)
  }

  /** All blocks of a piece have come from this peer, to be checked: nobody is asked for it now. Others that were are returned, to be told. */
  arrived (peer: PickerPeer, piece: number): PickerPeer[] {
    const others = (this.#inFlight.get(piece) ?? []).filter((one) => one !== peer)
    for (const other of others) other.settled(piece)
    peer.settled(piece)
    this.#inFlight.delete(piece)
    this.#rarest.delete(piece)
    this.#checking.add(piece)
    return others
  }

  /** The piece is kept: nobody waits for it any more. */
  kept (piece: number): void {
    this.#checking.delete(piece)
    this.#urgent.delete(piece)
    this.#rarest.delete(piece)
  }

  /** What came was not the piece. */
  wrong (piece: number): void {
    this.#checking.delete(piece)
    this.want(piece)
  }

  /** The peer will not send this piece now. */
  refused (peer: PickerPeer, piece: number, nowMs: number): void {
    if (!peer.asked.has(piece)) return
    peer.refused(piece, nowMs)
    peer.active(nowMs)
    this.#unask(peer, piece)
  }

  /** The peer choked us: what it was asked it will not answer. */
  choked (peer: PickerPeer): void {
    peer.choking = true
    for (const piece of peer.asked.keys()) this.#unask(peer, piece)
  }

  /** Once each TICK_MS: finds who has fallen silent. True when there is something new to ask of others. */
  tick (nowMs: number): boolean {
    let any = this.#urgent.size > 0
    // When this plant itself was late, what peers sent meanwhile waits to be read.
    const lateMs = Math.max(0, nowMs - this.#tickedAtMs - 2 * TICK_MS)
    this.#tickedAtMs = nowMs
    if (lateMs > 0 && lateMs < Infinity) for (const peer of this.#peers.values()) peer.activeAtMs = Math.min(nowMs, peer.activeAtMs + lateMs)
    for (const peer of this.#peers.values()) {
      peer.expireRefusals(nowMs)
      if (peer.asked.size === 0 || peer.stalled || nowMs - peer.activeAtMs < peer.patienceMs) continue
      peer.stalled = true
      for (const one of peer.asked.values()) any = this.#release(one) || any
    }
    return any || this.#rarest.size > 0 || this.#inFlight.size > 0
  }

  /** Peers in the order in which they would bring an urgent piece. */
  soonest (nowMs: number): PickerPeer[] {
    const eta = (peer: PickerPeer): number => peer.pipeline.expectedMs(peer.asked.size, nowMs) + (peer.stalled ? 60_000 : 0)
    return [...this.#peers.values()].sort((a, b) => eta(a) - eta(b))
  }

  /** Towards the end no peer is asked for more than half its share of what is left: who is fast can then take from who is slow. */
  #shareOfRest (): number {
    const left = this.#rarest.size + this.#inFlight.size
    return Math.max(PIPELINE_PIECES_FIRST, Math.ceil(left / (2 * this.#peers.size)))
  }

  #nextUrgent (peer: PickerPeer, nowMs: number): number | undefined {
    if (peer.stalled) return undefined
    for (const piece of this.#urgent) {
      if (!peer.has.has(piece) || peer.asked.has(piece) || peer.keepsRefusing(piece)) continue
      // Who has refused is asked again at once when nobody else is to be asked: a seed refuses but a few times, and whoever waits for this does not wait for its spreading.
      if (peer.hasRefused(piece) && this.#othersMayHelp(peer, piece)) continue
      if (this.#rarest.has(piece)) return piece
      if (this.#inFlight.has(piece) && this.#wouldHelp(peer, piece, nowMs)) return piece
    }
    return undefined
  }

  #othersMayHelp (than: PickerPeer, piece: number): boolean {
    for (const peer of this.#peers.values()) if (peer !== than && !peer.choking && !peer.stalled && peer.has.has(piece) && !peer.hasRefused(piece)) return true
    return false
  }

  #nextOther (peer: PickerPeer, nowMs: number): number | undefined {
    const seen = this.#grown + peer.gained
    if (peer.emptyAt !== seen) {
      const piece = this.#nextInOrder(peer) ?? this.#rarest.pick(peer.askable)
      if (piece !== undefined) return piece
      peer.emptyAt = seen
    }
    return this.#rarest.size === 0 ? this.#nextOfLast(peer, nowMs) : undefined
  }

  /**
   * The next of the order; where others fetch too, which may follow the same one, the rarest of its next ones: who has what the others have has nothing for
   * them.
   */
  #nextInOrder (peer: PickerPeer): number | undefined {
    const order = this.#order
    while (this.#orderFrom < order.length && !this.#rarest.has(order[this.#orderFrom] ?? -1)) this.#orderFrom++
    const isCrowd = this.#inCrowd()
    const ahead = Math.min(isCrowd ? ORDER_AHEAD_CROWD : ORDER_AHEAD, order.length - this.#orderFrom)
    if (ahead === 0) return undefined
    const first = isCrowd ? this.#random(ahead) : 0
    let best: number | undefined
    let fewest = Infinity
    for (let step = 0; step < ahead && fewest > 0; step++) {
      const piece = order[this.#orderFrom + (first + step) % ahead] ?? -1
      if (!this.#rarest.has(piece) || !peer.askable.has(piece)) continue
      const holders = this.#rarest.holders(piece)
      if (holders < fewest) [best, fewest] = [piece, holders]
    }
    return best
  }

  /** Whether a peer lacks something, as this plant does. */
  #inCrowd (): boolean {
    for (const peer of this.#peers.values()) if (!peer.isSeed) return true
    return false
  }

  /** Nothing is left that nobody was asked for: one of those in flight that this peer would bring sooner. */
  #nextOfLast (peer: PickerPeer, nowMs: number): number | undefined {
    if (peer.stalled) return undefined
    let looked = 0
    for (const piece of this.#inFlight.keys()) {
      if (looked++ >= LAST_LOOKED_AT) return undefined
      if (peer.askable.has(piece) && this.#wouldHelp(peer, piece, nowMs)) return piece
    }
    return undefined
  }

  #wouldHelp (peer: PickerPeer, piece: number, nowMs: number): boolean {
    const asked = this.#inFlight.get(piece) ?? []
    if (asked.length >= COPIES_IN_FLIGHT_MAX) return false
    // What has begun to come is asked for twice only when someone waits for it, or when it has come to a halt.
    if (!this.#urgent.has(piece) && asked.some((one) => !one.stalled && (one.asked.get(piece)?.blocks ?? 0) > 0)) return false
    const byThemMs = Math.min(...asked.map((one) => dueMs(one, piece, nowMs)))
    return peer.pipeline.expectedMs(peer.asked.size, nowMs) + (this.#urgent.has(piece) ? HEDGE_GAIN_MS : LAST_GAIN_MS) < byThemMs
  }

  /** Notes it as asked; returns peers that were asked before, have not begun to send it and need not any more. */
  #ask (peer: PickerPeer, piece: number, nowMs: number): PickerPeer[] {
    const others = this.#inFlight.get(piece) ?? []
    // Who waits for an urgent piece takes it from whoever is first.
    const instead = this.#urgent.has(piece) ? [] : others.filter((one) => one.asked.get(piece)?.blocks === 0)
    for (const one of instead) one.settled(piece)
    if (peer.asked.size === 0) {
      peer.activeAtMs = nowMs
      peer.pipeline.begun(nowMs)
    }
    peer.asked.set(piece, { piece, askedAtMs: nowMs, expectedAtMs: peer.pipeline.expectedMs(peer.asked.size, nowMs), released: false, blocks: 0 })
    peer.askable.delete(piece)
    this.#rarest.delete(piece)
    this.#inFlight.set(piece, [...others.filter((one) => !instead.includes(one)), peer])
    return instead
  }

  #unask (peer: PickerPeer, piece: number): void {
    peer.settled(piece)
    const left = (this.#inFlight.get(piece) ?? []).filter((one) => one !== peer)
    if (left.length > 0) {
      this.#inFlight.set(piece, left)
      for (const one of left) if (one.stalled) this.#release(one.asked.get(piece))
      return
    }
    this.#inFlight.delete(piece)
    this.want(piece)
  }

  #release (asked: Asked | undefined): boolean {
    if (asked === undefined || (this.#inFlight.get(asked.piece)?.length ?? 0) >= COPIES_IN_FLIGHT_MAX) return false
    asked.released = true
    this.#rarest.add(asked.piece)
    this.#grown++
    this.#orderFrom = Math.min(this.#orderFrom, this.#placeInOrder.get(asked.piece) ?? Infinity)
    return true
  }

  #unrelease (asked: Asked): void {
    if (!asked.released) return
    asked.released = false
    this.#rarest.delete(asked.piece)
  }
}

/** When a peer should bring a piece that it was asked for: never, when it is silent; later than it should have, when it is late. */
function dueMs (peer: PickerPeer, piece: number, nowMs: number): number {
  const asked = peer.asked.get(piece)
  if (asked === undefined || peer.stalled) return Infinity
  const lateMs = nowMs - asked.expectedAtMs
  return lateMs > 0 ? nowMs + lateMs : asked.expectedAtMs
}
