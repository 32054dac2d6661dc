/** The kernel for callbacks: what the virtual world schedules. Models at scale use the queue itself, which makes no closure for an event. */
import type { Cancel } from '../../protocols/kit/index.ts'
import { CalendarQueue } from './calendar-queue.ts'
import { NONE, type EventQueue } from './event-queue.ts'
import { msOfTicks, ticksOfMs } from './ticks.ts'

const CALL = 0

/** Callbacks in the order of (time, insertion id). Times are rounded to ticks (a microsecond) when they come in. */
export class Agenda {
  readonly #queue: EventQueue
  readonly #calls: Array<(() => void) | undefined> = []
  readonly #free: number[] = []
  #id = -1

  constructor (queue: EventQueue = new CalendarQueue()) { this.#queue = queue }

  /** The time of the callback that runs, or ran last: what it sees as now. */
  get nowMs (): number { return msOfTicks(this.#queue.nowTicks) }

  /** The same in ticks. */
  get nowTicks (): number { return this.#queue.nowTicks }

  /** Insertion id of the callback that runs, or ran last; with `nowTicks` it names the event in a trace. -1 before the first. */
  get eventId (): number { return this.#id }

  /** Callbacks that are pending and not cancelled. */
  get size (): number { return this.#queue.size }

  /** When the next callback is due; Infinity when none is. */
  get nextMs (): number { return msOfTicks(this.#queue.nextTicks()) }

  /** Runs `fn` at that time; one that is over counts as now. The answer takes it back; late or repeated it does nothing. */
  schedule (atMs: number, fn: () => void): Cancel {
    return this.scheduleTicks(ticksOfMs(Math.max(0, atMs)), fn)
  }

  /** The same in ticks, exactly. */
  scheduleTicks (atTicks: number, fn: () => void): Cancel {
    const queue = this.#queue
    const place = this.#free.pop() ?? this.#calls.length
    this.#calls[place] = fn
    const slot = queue.push(Math.max(queue.nowTicks, atTicks), CALL, place, 0)
    const id = queue.lastId
    return () => {
      if (queue.cancel(slot, id)) this.#release(place)
    }
  }

  /** Runs the next callback due by `untilMs` (forever when absent); false when there is none. What it throws is thrown on, with the event done. */
  step (untilMs: number = Infinity): boolean {
    const queue = this.#queue
    if (queue.pop(untilMs === Infinity ? Infinity : ticksOfMs(untilMs)) === NONE) return false
    this.#id = queue.id
    const place = queue.a
    const fn = this.#calls[place]
    this.#release(place)
    fn?.()
    return true
  }

  #release (place: number): void {
    this.#calls[place] = undefined
    this.#free.push(place)
  }
}
