/**
 * The kernel's event queue: a calendar (Brown, CACM 31(10), 1988) whose days are unsorted lists, with two 4-ary heaps to fall back on.
 *
 *   push ──this day or before──> today (heap) ──pop──>
 *     ├──within the year──> its day's list ──the day comes──> today
 *     └──beyond──> far (heap) ──its day comes──> today
 *
 * A day is 2^k ticks, a year as many days as there are lists. Both tune themselves: a day is to hold about DAY_EVENTS events (counted over
 * what was popped, so that a pop skips less than one empty day on average), a year most of what is pending. However badly they fit (every
 * event at one tick, or all of them years apart) what is left is a 4-ary heap.
 */
import { NONE, type EventQueue } from './event-queue.ts'
import { assertPushable, CANCELLED, EventStore } from './event-store.ts'
import { KeyHeap } from './key-heap.ts'
import { TICKS_MAX } from './ticks.ts'

/** Measured on gossip at 10^3 to 10^6 plants: 1 and 4 are a little slower, 8 clearly. */
const DAY_EVENTS = 2
const DAYS_MIN = 64
/** Lists of 4 bytes each: with two for an event the heads take a quarter of what the events take. */
const DAYS_MAX = 2 ** 24
/** Pops between two looks at the tuning, at least. */
const TUNE_POPS_MIN = 1_024

/** See EventQueue. */
export class CalendarQueue implements EventQueue {
  readonly #store = new EventStore()
  readonly #today = new KeyHeap()
  readonly #far = new KeyHeap()
  #heads = new Int32Array(DAYS_MIN).fill(-1)
  #mask = DAYS_MIN - 1
  /** Times this is the day: a power of two, so that the product is exact. */
  #perTick = 1 / TUNE_POPS_MIN
  #day = 0
  /** Events in days' lists, cancelled ones included. */
  #listed = 0
  #size = 0
  #cancelled = 0
  #pushed = 0
  #popsLeft = 1
  #tunedTicks = 0
  #tunePops = 0
  nowTicks = 0
  id = -1
  a = 0
  b = 0

  get size (): number { return this.#size }
  get lastId (): number { return this.#pushed - 1 }
  get bytes (): number { return this.#store.bytes + this.#today.bytes + this.#far.bytes + this.#heads.byteLength }
  /** How the calendar is tuned now: for tests and benchmarks. */
  get tuning (): { dayTicks: number, days: number } { return { dayTicks: 1 / this.#perTick, days: this.#mask + 1 } }

  push (atTicks: number, kind: number, a: number, b: number): number {
    assertPushable(atTicks, this.nowTicks, kind)
    const id = this.#pushed++
    const slot = this.#store.take(atTicks, id, kind, a, b)
    this.#size++
    this.#place(slot, atTicks, id)
    return slot
  }

  cancel (slot: number, id: number): boolean {
    const { doubles, words } = this.#store
    if (slot < 0 || slot >= this.#store.used || doubles[(slot << 2) + 1] !== id || (words[(slot << 3) + 5] as number) < 0) return false
    words[(slot << 3) + 5] = CANCELLED
    this.#size--
    if (++this.#cancelled > this.#size + DAYS_MIN) this.#rebuild()
    return true
  }

  pop (untilTicks: number = Infinity): number {
    if (this.#popsLeft === 0) this.#tune()
    const today = this.#today
    const store = this.#store
    for (;;) {
      if (today.size === 0 && !this.#nextDay(untilTicks)) return NONE
      if (today.firstTicks > untilTicks) return NONE
      const slot = today.pop()
      const at = slot << 3
      const kind = store.words[at + 5] as number
      if (kind < 0) {
        store.give(slot)
        this.#cancelled--
        continue
      }
      this.nowTicks = store.doubles[slot << 2] as number
      this.id = store.doubles[(slot << 2) + 1] as number
      this.a = store.words[at + 6] as number
      this.b = store.words[at + 7] as number
      store.give(slot)
      this.#size--
      this.#popsLeft--
      return kind
    }
  }

  nextTicks (): number {
    const today = this.#today
    for (;;) {
      if (today.size === 0 && !this.#nextDay(Infinity)) return Infinity
      if (today.size > 0 && (this.#store.words[(today.firstSlot() << 3) + 5] as number) >= 0) return today.firstTicks
      this.#store.give(today.pop())
      this.#cancelled--
    }
  }

  #place (slot: number, atTicks: number, id: number): void {
    const day = Math.floor(atTicks * this.#perTick)
    if (day <= this.#day) this.#today.push(atTicks, id, slot)
    else if (day <= this.#day + this.#mask) {
      const list = day & this.#mask
      this.#store.words[(slot << 3) + 4] = this.#heads[list] as number
      this.#heads[list] = slot
      this.#listed++
    } else this.#far.push(atTicks, id, slot)
  }

  /** Goes to the next day that has events; false, and no further than the day of `untilTicks`, when there is none by then. */
  #nextDay (untilTicks: number): boolean {
    const heads = this.#heads
    const mask = this.#mask
    const farDay = Math.floor(this.#far.firstTicks * this.#perTick)
    const lastDay = Math.min(farDay, Math.floor(untilTicks * this.#perTick))
    let day = this.#day
    if (this.#listed === 0) {
      if (farDay > lastDay || farDay === Infinity) return false
      day = farDay
    } else {
      if (day >= lastDay) return false
      do day++
      while (day < lastDay && heads[day & mask] === -1)
    }
    this.#day = day
    this.#gather(day & mask)
    while (this.#far.size > 0 && Math.floor(this.#far.firstTicks * this.#perTick) <= day) {
      const ticks = this.#far.firstTicks
      const slot = this.#far.pop()
      this.#today.push(ticks, this.#store.doubles[(slot << 2) + 1] as number, slot)
    }
    return this.#today.size > 0
  }

  #gather (list: number): void {
    const { doubles, words } = this.#store
    let slot = this.#heads[list] as number
    if (slot === -1) return
    this.#heads[list] = -1
    while (slot !== -1) {
      const next = words[(slot << 3) + 4] as number
      this.#today.push(doubles[slot << 2] as number, doubles[(slot << 2) + 1] as number, slot)
      this.#listed--
      slot = next
    }
  }

  /** Looks whether days and year still fit, and makes them anew when they are off by more than a factor of two. */
  #tune (): void {
    const popped = this.#tunePops
    const gapTicks = popped === 0 ? 0 : (this.nowTicks - this.#tunedTicks) / popped
    this.#tunedTicks = this.nowTicks
    this.#popsLeft = this.#tunePops = Math.max(TUNE_POPS_MIN, Math.min(this.#size, popped * 2))
    const dayTicks = popped === 0 ? this.#guessDayTicks() : powerOfTwoNear(gapTicks * DAY_EVENTS)
    const days = daysFor(this.#size)
    const dayRatio = dayTicks * this.#perTick
    const daysRatio = days / (this.#mask + 1)
    if (dayRatio > 2 || dayRatio < 0.5 || daysRatio > 2 || daysRatio < 0.25) this.#rebuild(dayTicks, days)
  }

  /** Before anything was popped: as if what is pending were spread evenly. */
  #guessDayTicks (): number {
    const { doubles, words, used } = this.#store
    let least = TICKS_MAX
    let most = 0
    for (let slot = 0; slot < used; slot++) {
      if ((words[(slot << 3) + 5] as number) < 0) continue
      const ticks = doubles[slot << 2] as number
      if (ticks < least) least = ticks
      if (ticks > most) most = ticks
    }
    return most <= least ? 1 / this.#perTick : powerOfTwoNear((most - least) / this.#size * DAY_EVENTS)
  }

  /** Puts every event where it belongs by these days, and drops the cancelled. */
  #rebuild (dayTicks: number = 1 / this.#perTick, days: number = this.#mask + 1): void {
    if (days === this.#mask + 1) this.#heads.fill(-1)
    else this.#heads = new Int32Array(days).fill(-1)
    this.#mask = days - 1
    this.#perTick = 1 / dayTicks
    this.#day = Math.floor(this.nowTicks * this.#perTick)
    this.#listed = 0
    this.#cancelled = 0
    this.#today.clear()
    this.#far.clear()
    const { doubles, words, used } = this.#store
    for (let slot = 0; slot < used; slot++) {
      const kind = words[(slot << 3) + 5] as number
      if (kind >= 0) this.#place(slot, doubles[slot << 2] as number, doubles[(slot << 2) + 1] as number)
      else if (kind === CANCELLED) this.#store.give(slot)
    }
  }
}

/** Two to four days for an event that is pending: with DAY_EVENTS a day, a year is at least four times the mean wait of an event (Little's law). */
function daysFor (size: number): number {
  let days = DAYS_MIN
  while (days < size * 2 && days < DAYS_MAX) days *= 2
  return days
}

/** The power of two from 1 up that is at or just above this. */
function powerOfTwoNear (ticks: number): number {
  let power = 1
  while (power < ticks && power < TICKS_MAX / 2) power *= 2
  return power
}
