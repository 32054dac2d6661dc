/** The face of the kernel's queues: events of integers, ordered by (time, insertion id). */

/** What `pop` answers when no event is due. */
export const NONE = -1

/**
 * Events in the order of (time, insertion id), exactly: two at one time come out in the order in which they were pushed. An event is a
 * kind (a whole number from 0) and two integers of 32 bits whose meaning the model knows; what is bigger lies in the model's own arrays.
 * `pop` puts the event in `nowTicks`, `id`, `a` and `b`, so that no object is made for one.
 */
export interface EventQueue {
  /** Events that are pending and not cancelled. */
  readonly size: number
  /** Time of the event that was popped last: it never goes backwards. */
  readonly nowTicks: number
  /** Insertion id and payload of the event that was popped last. */
  readonly id: number
  readonly a: number
  readonly b: number
  /** The insertion id of the event that was pushed last; ids count up from 0. */
  readonly lastId: number
  /** Bytes of the arrays that hold the queue. */
  readonly bytes: number
  /** Puts an event in and names its slot, which with its insertion id cancels it. Throws INTERNAL for the past and for what is no tick. */
  push (atTicks: number, kind: number, a: number, b: number): number
  /** Takes an event out; false when it has been popped or cancelled before. */
  cancel (slot: number, id: number): boolean
  /** The kind of the next event, or NONE when none is due by `untilTicks` (forever when absent). */
  pop (untilTicks?: number): number
  /** Time of the next event; Infinity when there is none. */
  nextTicks (): number
}
