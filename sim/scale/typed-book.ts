/**
 * The books of bids of all plants in typed arrays: what protocols/bid/core.ts decides about which bids stand. All bids stand equally long, so one
 * ring holds them in the order in which they end, 24 bytes each, and making one writes where the last was written. Each names the
 * plant's bid before it; that list is walked only when so many bids were made lately that a bound may be reached.
 */
import { REASON_BITS, type BookBounds } from './bid-market.ts'
import { BID_WINDOW, BIDS_BEFORE, BIDS_NOW, LAST_BID, PLANT_WORDS } from './typed-plants.ts'

/** Words of a bid: the peer it was made to, the plant's bid before it (the low bits of its number), the key of whoever asked (-1: gone). */
const BID_WORDS = 4
const FROM = 0
const BEFORE = 1
const KEY = 2
const GONE = -1

/** Numbers of bids are kept to so many values: more than can stand at once. */
const LOW_BITS = 0x7fffffff
const FIRST_BIDS = 1_024

/** Bids are numbered from 1 as they are made, by all plants together. */
export class TypedBook {
  readonly #plants: Int32Array
  readonly #bounds: BookBounds
  readonly #boundMin: number
  #ring = new Int32Array(FIRST_BIDS * BID_WORDS)
  #endsMs = new Float64Array(FIRST_BIDS)
  #mask = FIRST_BIDS - 1
  /** Bids from here on may stand. */
  #first = 1
  #next = 1

  /** `plants`: the words of TypedPlants. */
  constructor (plants: Int32Array, bounds: BookBounds) {
    this.#plants = plants
    this.#bounds = bounds
    this.#boundMin = Math.min(bounds.bidsMax, bounds.bidsPerPeerMax)
  }

  get bytes (): number { return this.#ring.byteLength + this.#endsMs.byteLength }

  /** The bits of why no bid can be made to this peer now; 0 when one can. */
  onCall (plant: number, from: number, nowMs: number): number {
    // What stands was made in this window of a bid's time or in the one before.
    const plants = this.#plants
    const at = plant * PLANT_WORDS
    const window = Math.floor(nowMs / this.#bounds.bidTtlMs) | 0
    if (plants[at + BID_WINDOW] !== window) {
      plants[at + BIDS_BEFORE] = plants[at + BID_WINDOW] === window - 1 ? plants[at + BIDS_NOW] as number : 0
      plants[at + BIDS_NOW] = 0
      plants[at + BID_WINDOW] = window
    }
    if ((plants[at + BIDS_NOW] as number) + (plants[at + BIDS_BEFORE] as number) < this.#boundMin) return 0
    return this.#full(plant, from, nowMs) ? REASON_BITS.LIMIT : 0
  }

  /** A bid stands from now on; answers the low bits of its number. After `onCall` at the same time. */
  add (plant: number, from: number, key: number, nowMs: number): number {
    while (this.#first < this.#next && (this.#endsMs[this.#first & this.#mask] as number) <= nowMs) this.#first++
    if (this.#next - this.#first > this.#mask) this.#grow()
    const plants = this.#plants
    const of = plant * PLANT_WORDS
    const low = this.#next & LOW_BITS
    const slot = this.#next & this.#mask
    const at = slot * BID_WORDS
    this.#ring[at + FROM] = from
    this.#ring[at + BEFORE] = plants[of + LAST_BID] as number
    this.#ring[at + KEY] = key
    this.#endsMs[slot] = nowMs + this.#bounds.bidTtlMs
    plants[of + LAST_BID] = low
    plants[of + BIDS_NOW] = (plants[of + BIDS_NOW] as number) + 1
    this.#next++
    return low
  }

  /** The bid (its low bits) is awarded: from here on it is gone. False when it was before, by its end. `key` as when it was made. */
  onAward (low: number, key: number, nowMs: number): boolean {
    const bid = this.#number(low)
    if (!this.#stands(bid, nowMs)) return false
    const at = (bid & this.#mask) * BID_WORDS + KEY
    if (this.#ring[at] !== key) return false
    this.#ring[at] = GONE
    return true
  }

  /** Counts what stands at this plant, of all and of this peer. */
  #full (plant: number, from: number, nowMs: number): boolean {
    const { bidsMax, bidsPerPeerMax } = this.#bounds
    let all = 0
    let ofPeer = 0
    let bid = this.#number(this.#plants[plant * PLANT_WORDS + LAST_BID] as number)
    while (this.#stands(bid, nowMs)) {
      const at = (bid & this.#mask) * BID_WORDS
      if (this.#ring[at + KEY] !== GONE) {
        all++
        if (this.#ring[at + FROM] === from) ofPeer++
      }
      bid = this.#number(this.#ring[at + BEFORE] as number)
    }
    return all >= bidsMax || ofPeer >= bidsPerPeerMax
  }

  /** The youngest bid with these low bits; 0, which never stands, for 0. */
  #number (low: number): number { return low === 0 ? 0 : this.#next - ((this.#next - low) & LOW_BITS) }

  #stands (bid: number, nowMs: number): boolean { return bid >= this.#first && (this.#endsMs[bid & this.#mask] as number) > nowMs }

  #grow (): void {
    const length = (this.#mask + 1) * 2
    const ring = new Int32Array(length * BID_WORDS)
    const endsMs = new Float64Array(length)
    for (let bid = this.#first; bid < this.#next; bid++) {
      const from = bid & this.#mask
      const to = bid & (length - 1)
      endsMs[to] = this.#endsMs[from] as number
      for (let word = 0; word < BID_WORDS; word++) ring[to * BID_WORDS + word] = this.#ring[from * BID_WORDS + word] as number
    }
    this.#ring = ring
    this.#endsMs = endsMs
    this.#mask = length - 1
  }
}
