/**
 * CoDel (RFC 8289) for one flow: when to drop, from how long frames have waited. A queue that is never short for a whole interval stands in the way
 * of all that comes after it; one that empties now and then only takes up a burst. Pure; times are monotonic milliseconds.
 */
import { CODEL_INTERVAL_MS, CODEL_TARGET_MS } from './constants.ts'

/** What a flow's queue hands over: the frame and when it came. */
export interface Waiting { atMs: number }

/** What CoDel is asked over: a queue that gives its head, and says what is left behind it. */
export interface CodelQueue<T extends Waiting> {
  shift (): T | undefined
  /** With no more than this waiting the queue is as short as it can be: a frame of the greatest length, as RFC 8289 has the MTU. */
  isShort (): boolean
  onDrop (dropped: T): void
}

/** The state of one flow: `firstAboveMs` is when it will have been above the target for an interval. */
export class Codel {
  #firstAboveMs: number | undefined
  #dropping = false
  #dropNextMs = 0
  #count = 0
  #lastCount = 0

  /** The next frame to be sent, after dropping what had better not be. */
  next<T extends Waiting> (queue: CodelQueue<T>, nowMs: number): T | undefined {
    let head = queue.shift()
    let late = this.#isLate(queue, head, nowMs)
    if (this.#dropping) {
      if (!late) this.#dropping = false
      while (this.#dropping && head !== undefined && nowMs >= this.#dropNextMs) {
        queue.onDrop(head)
        this.#count++
        head = queue.shift()
        late = this.#isLate(queue, head, nowMs)
        if (late) this.#dropNextMs = controlLaw(this.#dropNextMs, this.#count)
        else this.#dropping = false
      }
      return head
    }
    if (!late || head === undefined) return head
    queue.onDrop(head)
    head = queue.shift()
    this.#isLate(queue, head, nowMs)
    this.#dropping = true
    // Dropping again soon after it ended goes on at the rate that had worked, not from the start.
    const delta = this.#count - this.#lastCount
    this.#count = delta > 1 && nowMs - this.#dropNextMs < 16 * CODEL_INTERVAL_MS ? delta : 1
    this.#lastCount = this.#count
    this.#dropNextMs = controlLaw(nowMs, this.#count)
    return head
  }

  /** Whether the head has waited for longer than the target, as all before it in the last interval have. */
  #isLate (queue: CodelQueue<Waiting>, head: Waiting | undefined, nowMs: number): boolean {
    if (head === undefined || nowMs - head.atMs < CODEL_TARGET_MS || queue.isShort()) {
      this.#firstAboveMs = undefined
      return false
    }
    this.#firstAboveMs ??= nowMs + CODEL_INTERVAL_MS
    return nowMs >= this.#firstAboveMs
  }
}

function controlLaw (fromMs: number, count: number): number {
  return fromMs + CODEL_INTERVAL_MS / Math.sqrt(count)
}
