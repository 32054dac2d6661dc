/**
 * The order in which things happen: one queue of events, by (time, insertion id). Times are whole microseconds, so that no sum of floats
 * decides who is first. Between two events all promises that can go on have done so: that is what `Quiet` waits for.
 */
import type { Cancel } from '../../protocols/kit/index.ts'
import type { Life } from './life.ts'

/** Calls `then` once every promise that can go on has done so. Only an edge can know that (`sim/drivers/quiet.ts`). */
export type Quiet = (then: () => void) => void

/** Microseconds in a millisecond. */
export const US_PER_MS = 1_000

/** A time or duration in whole microseconds; never negative. */
export function usOf (ms: number): number { return Math.max(0, Math.round(ms * US_PER_MS)) }

interface Happening {
  atUs: number
  id: number
  owner: Life | undefined
  fn: (() => void) | undefined
}

/** Two events of one time happen in the order in which they were planned. */
export class Timeline {
  #heap: Happening[] = []
  #nowUs = 0
  #planned = 0
  #handled = 0
  #pending = 0

  /** True time since the start, in whole microseconds. */
  get nowUs (): number { return this.#nowUs }
  get nowMs (): number { return this.#nowUs / US_PER_MS }
  /** Events handled so far. */
  get handled (): number { return this.#handled }
  /** Events that are planned and not called off. */
  get pending (): number { return this.#pending }

  /**
   * Plans `fn` for then, or for now when that has passed. An event of an owner does not happen once that is dead, and waits while it stands
   * still: every input of a process is such an event, so that this is all that stopping one takes.
   */
  at (atUs: number, fn: () => void, owner?: Life): Cancel {
    const happening: Happening = { atUs: Math.max(atUs, this.#nowUs), id: this.#planned++, owner, fn }
    this.#push(happening)
    this.#pending++
    owner?.planned(1)
    return () => {
      if (happening.fn === undefined) return
      happening.fn = undefined
      this.#pending--
      owner?.planned(-1)
    }
  }

  after (us: number, fn: () => void, owner?: Life): Cancel { return this.at(this.#nowUs + us, fn, owner) }

  /**
   * Lets events happen, up to and including that time. `settled` is called when all promises are quiet after each one, and ends the run by
   * answering false. Rejects with what an event threw.
   */
  async run (untilUs: number, quiet: Quiet, settled: () => boolean = () => true): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      let first = true
      const step = (): void => {
        try {
          if (!first && !settled()) return resolve()
          first = false
          const next = this.#next(untilUs)
          if (next === undefined) {
            this.#nowUs = Math.max(this.#nowUs, untilUs)
            return resolve()
          }
          next()
          quiet(step)
        } catch (error) {
          reject(error)
        }
      }
      quiet(step)
    })
  }

  /** Moves time on to the next event and hands out what is to happen. */
  #next (untilUs: number): (() => void) | undefined {
    for (let head = this.#heap[0]; head !== undefined && head.atUs <= untilUs; head = this.#heap[0]) {
      this.#pop()
      const { fn, owner } = head
      if (fn === undefined) continue
      if (owner !== undefined && owner.stillUntilUs > head.atUs && !owner.dead) {
        head.atUs = owner.stillUntilUs
        head.id = this.#planned++
        this.#push(head)
        continue
      }
      head.fn = undefined
      this.#pending--
      owner?.planned(-1)
      if (owner?.dead === true) continue
      this.#nowUs = head.atUs
      this.#handled++
      return fn
    }
    return undefined
  }

  #push (happening: Happening): void {
    const heap = this.#heap
    let at = heap.length
    heap.push(happening)
    while (at > 0) {
      const up = (at - 1) >> 2
      const parent = heap[up]
      if (parent === undefined || !isBefore(happening, parent)) break
      heap[at] = parent
      at = up
    }
    heap[at] = happening
  }

  #pop (): void {
    const heap = this.#heap
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return
    let at = 0
    for (;;) {
      let least = -1
      let leastOne: Happening = last
      for (let child = 4 * at + 1; child <= 4 * at + 4; child++) {
        const one = heap[child]
        if (one === undefined) break
        if (!isBefore(one, leastOne)) continue
        least = child
        leastOne = one
      }
      if (least < 0) break
      heap[at] = leastOne
      at = least
    }
    heap[at] = last
  }
}

function isBefore (a: Happening, b: Happening): boolean { return a.atUs < b.atUs || (a.atUs === b.atUs && a.id < b.id) }
