/**
 * Gossip message by message. Once a period, jittered as the daemon's adverts are, each plant tells one plant drawn from all of itself; after a
 * constant latency that one writes sender and time over a drawn entry of its view. A rumour that starts at one plant rides along.
 */
import { ADVERT_EVERY_MS, ADVERT_JITTER_SHARE } from '../../protocols/capacity/constants.ts'
import { CalendarQueue, NONE, StreamTable, ticksOfMs, type EventQueue, type Seed } from '../kernel/index.ts'

/** Entries of a plant's view: as many as a shop asks for bids. */
export const VIEW_ENTRIES = 16
/** A long way through the Internet. */
export const GOSSIP_LATENCY_MS = 50

/** What the models of gossip are made from; times default to the daemon's constants. */
export interface GossipInit {
  seed: Seed
  plants: number
  periodMs?: number
  /** Each period is drawn within this share of it, up and down. */
  jitterShare?: number
  latencyMs?: number
  /** Entries of a view; VIEW_ENTRIES unless told otherwise. */
  viewEntries?: number
}

/** Bins a period of the curve of who has heard the rumour. */
export const CURVE_BINS_PER_PERIOD = 16

const SEND = 0
const HEAR = 1
const HEAR_RUMOUR = 2

/** Sender and time of an entry lie side by side: hearing touches one cache line of the view. */
const ENTRY_WORDS = 2

/** One run; `runUntil` goes on from where it stopped. Entries start as drawn plants, heard at 0. */
export class MessageGossip {
  readonly #plants: number
  readonly #entries: number
  readonly #queue: EventQueue
  readonly #streams: StreamTable
  readonly #view: Int32Array
  readonly #informed: Uint8Array
  readonly #periodTicks: number
  readonly #jitterTicks: number
  readonly #latencyTicks: number
  #curve = new Float64Array(64)
  #informedCount = 1
  #messages = 0
  #sends = 0

  constructor (init: GossipInit, queue: EventQueue = new CalendarQueue()) {
    const { seed, plants } = init
    this.#plants = plants
    this.#entries = init.viewEntries ?? VIEW_ENTRIES
    this.#queue = queue
    this.#periodTicks = ticksOfMs(init.periodMs ?? ADVERT_EVERY_MS)
    this.#jitterTicks = Math.floor(this.#periodTicks * (init.jitterShare ?? ADVERT_JITTER_SHARE))
    this.#latencyTicks = ticksOfMs(init.latencyMs ?? GOSSIP_LATENCY_MS)
    this.#streams = new StreamTable(seed, 'gossip', plants)
    this.#view = new Int32Array(plants * this.#entries * ENTRY_WORDS)
    this.#informed = new Uint8Array(plants)
    this.#informed[0] = 1
    for (let plant = 0; plant < plants; plant++) {
      for (let entry = 0; entry < this.#entries; entry++) this.#view[(plant * this.#entries + entry) * ENTRY_WORDS] = this.#other(plant)
      queue.push(Math.floor(this.#streams.fraction(plant) * this.#periodTicks), SEND, plant, 0)
    }
  }

  /** Messages that arrived. */
  get messages (): number { return this.#messages }
  /** Events that were handled: sends and arrivals. */
  get events (): number { return this.#messages + this.#sends }
  get informed (): number { return this.#informedCount }
  /** Bytes of all arrays. */
  get bytes (): number { return this.#queue.bytes + this.#streams.bytes + this.#view.byteLength + this.#informed.byteLength + this.#curve.byteLength }

  /** Runs every event up to this time. */
  runUntil (untilMs: number): void {
    const untilTicks = ticksOfMs(untilMs)
    const queue = this.#queue
    const streams = this.#streams
    const view = this.#view
    const informed = this.#informed
    const entries = this.#entries
    const least = this.#periodTicks - this.#jitterTicks
    const spread = 2 * this.#jitterTicks + 1
    for (;;) {
      const kind = queue.pop(untilTicks)
      if (kind === NONE) return
      const plant = queue.a
      const now = queue.nowTicks
      if (kind === SEND) {
        this.#sends++
        const heard = informed[plant] === 1 ? HEAR_RUMOUR : HEAR
        queue.push(now + this.#latencyTicks, heard, this.#other(plant), plant)
        queue.push(now + least + Math.floor(streams.fraction(plant) * spread), SEND, plant, 0)
        continue
      }
      this.#messages++
      const at = (plant * entries + streams.int(plant, entries)) * ENTRY_WORDS
      view[at] = queue.b
      view[at + 1] = Math.floor(now / 1_000)
      if (kind === HEAR_RUMOUR && informed[plant] === 0) {
        informed[plant] = 1
        this.#informedCount++
        this.#onInformed(now)
      }
    }
  }

  /** Share of the plants that have heard the rumour by the end of each bin of 1 / CURVE_BINS_PER_PERIOD periods. */
  curve (): Float64Array {
    const bins = Math.floor(this.#queue.nowTicks / this.#periodTicks * CURVE_BINS_PER_PERIOD)
    const shares = new Float64Array(bins)
    let count = 1
    for (let bin = 0; bin < bins; bin++) {
      count += this.#curve[bin] ?? 0
      shares[bin] = count / this.#plants
    }
    return shares
  }

  /** Ages of all entries of the views of the first `plants` plants, in periods, unordered. */
  ages (plants: number = this.#plants): Float64Array {
    const count = Math.min(plants, this.#plants) * this.#entries
    const nowMs = this.#queue.nowTicks / 1_000
    const periodMs = this.#periodTicks / 1_000
    return Float64Array.from({ length: count }, (_, entry) => (nowMs - (this.#view[entry * ENTRY_WORDS + 1] as number)) / periodMs)
  }

  /** What an entry of a plant's view says: whom, and when it was heard. */
  peerAt (plant: number, entry: number): number { return this.#view[(plant * this.#entries + entry) * ENTRY_WORDS] as number }
  heardMsAt (plant: number, entry: number): number { return this.#view[(plant * this.#entries + entry) * ENTRY_WORDS + 1] as number }

  /** Another plant, each equally likely. */
  #other (plant: number): number {
    const drawn = this.#streams.int(plant, this.#plants - 1)
    return drawn < plant ? drawn : drawn + 1
  }

  #onInformed (nowTicks: number): void {
    const bin = Math.floor(nowTicks / this.#periodTicks * CURVE_BINS_PER_PERIOD)
    if (bin >= this.#curve.length) {
      const longer = new Float64Array(2 * bin)
      longer.set(this.#curve)
      this.#curve = longer
    }
    this.#curve[bin] = (this.#curve[bin] as number) + 1
  }
}
