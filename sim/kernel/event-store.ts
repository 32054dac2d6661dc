/**
 * Pending events side by side in one buffer, 32 bytes each: a push or pop touches one cache line. Both queues keep theirs here; what a
 * slot's `next` links is the queue's matter while the event is pending.
 */
import { PlantError } from '../../protocols/kit/index.ts'
import { TICKS_MAX } from './ticks.ts'

/** Bytes of a slot: time and insertion id as doubles; next, kind and two payload integers of 32 bits. */
export const SLOT_BYTES = 32
/** Kinds of slots that hold no event: cancelled and not yet dropped, and free. */
export const CANCELLED = -2
export const FREE = -3

const FIRST_SLOTS = 64
/** Byte positions of slots stay below 2^31 words of 32 bits. */
const SLOTS_MAX = 2 ** 27

/** The slots; arrays are replaced when the store grows, so take them anew after `take`. */
export class EventStore {
  /** By slot * 4: time, insertion id. */
  doubles: Float64Array
  /** By slot * 8 + 4: next, kind, a, b. */
  words: Int32Array
  /** Slots below this have been used. */
  used = 0
  #free = -1
  #slots: number

  constructor (slots: number = FIRST_SLOTS) {
    this.#slots = Math.max(FIRST_SLOTS, slots)
    const buffer = new ArrayBuffer(this.#slots * SLOT_BYTES)
    this.doubles = new Float64Array(buffer)
    this.words = new Int32Array(buffer)
  }

  get bytes (): number { return this.#slots * SLOT_BYTES }

  /** A slot with this event in it; its `next` is left as it is. */
  take (atTicks: number, id: number, kind: number, a: number, b: number): number {
    let slot = this.#free
    if (slot >= 0) this.#free = this.words[(slot << 3) + 4] as number
    else {
      if (this.used === this.#slots) this.#grow()
      slot = this.used++
    }
    const { doubles, words } = this
    doubles[slot << 2] = atTicks
    doubles[(slot << 2) + 1] = id
    const at = (slot << 3) + 5
    words[at] = kind
    words[at + 1] = a
    words[at + 2] = b
    return slot
  }

  /** Gives a slot back; the last to come back is the first to go out, as it is still in the cache. */
  give (slot: number): void {
    const at = slot << 3
    this.words[at + 5] = FREE
    this.words[at + 4] = this.#free
    this.#free = slot
  }

  #grow (): void {
    if (this.#slots >= SLOTS_MAX) throw new PlantError('LIMIT', { bound: 'pending events of a simulation', max: SLOTS_MAX })
    this.#slots = Math.min(SLOTS_MAX, Math.ceil(this.#slots * 1.5))
    const buffer = new ArrayBuffer(this.#slots * SLOT_BYTES)
    const words = new Int32Array(buffer)
    words.set(this.words)
    this.words = words
    this.doubles = new Float64Array(buffer)
  }
}

/** Throws INTERNAL for a time before now, or one that is no whole tick. */
export function assertPushable (atTicks: number, nowTicks: number, kind: number): void {
  if (atTicks >= nowTicks && atTicks <= TICKS_MAX && Math.floor(atTicks) === atTicks && kind >= 0) return
  throw new PlantError('INTERNAL', { problem: 'an event must be a kind from 0 at a whole tick that is not over', atTicks, nowTicks, kind })
}
