/**
 * A swarm as fluid flows: each peer fetches with SLOTS flows at once, each from a drawn peer, and starts the next when one is done. A flow goes over its
 * source's uplink and the fetching peer's downlink; rates are max-min fair (max-min.ts) and constant between events; latency is not modelled.
 */
import { CalendarQueue, mix32, NONE, type EventQueue } from '../kernel/index.ts'
import { MaxMin } from './max-min.ts'

/** Flows that a peer fetches at once. */
export const SLOTS = 4

/** Uplinks in turn, in bytes a microsecond (8 Mbit/s each): homes, offices and servers. A downlink has four times that. */
export const UPLINKS: readonly number[] = [1.25, 2.5, 12.5]
const DOWN_PER_UP = 4
const PIECE_BYTES = 1_048_576

/** What a swarm is made from. */
export interface SwarmInit {
  /** Any whole number of 32 bits. */
  seed: number
  peers: number
  /** Flows that each slot fetches in all, one after the other. */
  flowsPerSlot: number
}

/** One run, until every slot is done. */
export class FluidSwarm {
  readonly #init: SwarmInit
  readonly #rates: MaxMin
  readonly #queue: EventQueue
  readonly #slotFlows: Int32Array
  readonly #leftBytes: Float64Array
  readonly #sinceTicks: Float64Array
  readonly #endTicks: Float64Array
  /** The event that is to end the flow: when, its slot and insertion id. It may be too early: then it looks again. */
  readonly #eventTicks: Float64Array
  readonly #eventSlot: Int32Array
  readonly #eventId: Float64Array
  #flows = 0
  #resolved = 0

  constructor (init: SwarmInit, queue: EventQueue = new CalendarQueue()) {
    const slots = init.peers * SLOTS
    const capacities = Float64Array.from({ length: 2 * init.peers }, (_, link) => (UPLINKS[(link >> 1) % UPLINKS.length] as number) * (link % 2 === 0 ? 1 : DOWN_PER_UP))
    this.#init = init
    this.#rates = new MaxMin(capacities, slots)
    this.#queue = queue
    this.#slotFlows = new Int32Array(slots)
    this.#leftBytes = new Float64Array(slots)
    this.#sinceTicks = new Float64Array(slots)
    this.#endTicks = new Float64Array(slots)
    this.#eventTicks = new Float64Array(slots).fill(Infinity)
    this.#eventSlot = new Int32Array(slots)
    this.#eventId = new Float64Array(slots)
    this.#rates.begin()
    for (let slot = 0; slot < slots; slot++) this.#start(slot)
    this.#settle(0)
  }

  /** Flows that are done. */
  get flows (): number { return this.#flows }
  get nowTicks (): number { return this.#queue.nowTicks }
  /** Flows whose rate was computed anew, over all events: with `flows` it says how local changes are. */
  get resolved (): number { return this.#resolved }
  get bytes (): number {
    return this.#rates.bytes + this.#queue.bytes + [this.#slotFlows, this.#leftBytes, this.#sinceTicks, this.#endTicks, this.#eventTicks, this.#eventSlot, this.#eventId].reduce((sum, array) => sum + array.byteLength, 0)
  }

  /** The rate of a slot's flow now, in bytes a microsecond, and whom it fetches from: for checks. */
  flowOf (slot: number): { source: number, rate: number } | undefined {
    const flow = this.#slotFlows[slot] as number
    return flow > this.#init.flowsPerSlot ? undefined : { source: sourceOf(this.#init, slot, flow), rate: this.#rates.rate(slot) }
  }

  /** Goes on until so many flows more are done; false when all are. */
  run (flows: number = Infinity): boolean {
    const queue = this.#queue
    const until = this.#flows + flows
    while (this.#flows < until) {
      if (queue.pop() === NONE) return false
      const slot = queue.a
      const now = queue.nowTicks
      this.#eventTicks[slot] = Infinity
      if ((this.#endTicks[slot] as number) > now) {
        this.#schedule(slot)
        continue
      }
      this.#flows++
      this.#rates.begin()
      this.#rates.remove(slot)
      this.#start(slot)
      this.#settle(now)
    }
    return true
  }

  #start (slot: number): void {
    const flow = (this.#slotFlows[slot] as number) + 1
    this.#slotFlows[slot] = flow
    if (flow > this.#init.flowsPerSlot) return
    this.#leftBytes[slot] = sizeOf(this.#init, slot, flow)
    this.#sinceTicks[slot] = this.#queue.nowTicks
    this.#rates.add(slot, 2 * sourceOf(this.#init, slot, flow), 2 * Math.floor(slot / SLOTS) + 1)
  }

  /** Rates anew, and for each that has changed when its flow will be done. */
  #settle (nowTicks: number): void {
    const rates = this.#rates
    rates.solve()
    this.#resolved += rates.taken
    for (let i = 0; i < rates.taken; i++) {
      const slot = rates.flow(i)
      const rate = rates.rate(slot)
      const before = rates.rateBefore(slot)
      if (rate === before) continue
      const left = (this.#leftBytes[slot] as number) - before * (nowTicks - (this.#sinceTicks[slot] as number))
      this.#leftBytes[slot] = left
      this.#sinceTicks[slot] = nowTicks
      this.#endTicks[slot] = nowTicks + Math.max(0, Math.ceil(left / rate))
      // An event that comes too early looks again; only one that comes too late must be taken back.
      if ((this.#endTicks[slot] as number) < (this.#eventTicks[slot] as number)) this.#schedule(slot)
    }
  }

  #schedule (slot: number): void {
    const queue = this.#queue
    if (this.#eventTicks[slot] !== Infinity) queue.cancel(this.#eventSlot[slot] as number, this.#eventId[slot] as number)
    this.#eventTicks[slot] = this.#endTicks[slot] as number
    this.#eventSlot[slot] = queue.push(this.#endTicks[slot] as number, 0, slot, 0)
    this.#eventId[slot] = queue.lastId
  }
}

/** Whom a slot's n-th flow comes from: drawn by number alone, so that another program can draw the same (test/bench/simgrid/flows.cpp does). */
export function sourceOf ({ seed, peers }: SwarmInit, slot: number, flow: number): number {
  const peer = Math.floor(slot / SLOTS)
  const drawn = (drawOf(seed, slot, 2 * flow) >>> 0) % (peers - 1)
  return drawn < peer ? drawn : drawn + 1
}

/** Its size in bytes: one to four pieces of a MiB. */
export function sizeOf ({ seed }: SwarmInit, slot: number, flow: number): number {
  return PIECE_BYTES * (1 + ((drawOf(seed, slot, 2 * flow + 1) >>> 0) & 3))
}

function drawOf (seed: number, slot: number, n: number): number {
  return mix32(mix32(Math.imul(slot + 1, 0x9e3779b1) ^ seed) + Math.imul(n, 0x85ebca6b) | 0)
}
