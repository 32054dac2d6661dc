/**
 * The order in which things happen to processes: the kernel's agenda, with owners. Between two events all promises that can go on have done so:
 * that is what `Quiet` waits for.
 */
import type { Cancel } from '../../protocols/kit/index.ts'
import { Agenda, TICKS_PER_MS, ticksOfMs } from '../kernel/index.ts'
import type { Life } from './life.ts'

/** Calls `then` once every promise that can go on has done so. Only an edge can know that (`sim/drivers/quiet.ts`). */
export type Quiet = (then: () => void) => void

/** A time or duration in whole microseconds; never negative. */
export function usOf (ms: number): number { return ticksOfMs(Math.max(0, ms)) }

/** True time and what is planned. Two events of one time happen in the order in which they were planned. */
export class Timeline {
  readonly #agenda = new Agenda()
  #nowUs = 0
  #handled = 0
  #happened = false
  #waited = 0

  /** True time since the start, in whole microseconds. */
  get nowUs (): number { return this.#nowUs }
  get nowMs (): number { return this.#nowUs / TICKS_PER_MS }
  /** Events handled so far. */
  get handled (): number { return this.#handled }
  /** Events that waited for a process that stood still. */
  get waited (): number { return this.#waited }
  /** Events that are planned and not called off. */
  get pending (): number { return this.#agenda.size }

  /**
   * Plans `fn` for then, or for now when that has passed. An event of an owner does not happen once that is dead, and waits while it stands
   * still: every input of a process is such an event, so that this is all that stopping one takes.
   */
  at (atUs: number, fn: () => void, owner?: Life): Cancel {
    if (owner === undefined) {
      return this.#agenda.scheduleTicks(Math.max(this.#nowUs, atUs), () => {
        this.#begin()
        fn()
      })
    }
    let over = false
    let unplan: Cancel = () => {}
    const happen = (): void => {
      if (owner.stillUntilUs > this.#agenda.nowTicks && !owner.dead) {
        this.#waited++
        unplan = this.#agenda.scheduleTicks(owner.stillUntilUs, happen)
        return
      }
      over = true
      owner.planned(-1)
      if (owner.dead) return
      this.#begin()
      fn()
    }
    owner.planned(1)
    unplan = this.#agenda.scheduleTicks(Math.max(this.#nowUs, atUs), happen)
    return () => {
      if (over) return
      over = true
      owner.planned(-1)
      unplan()
    }
  }

  after (us: number, fn: () => void, owner?: Life): Cancel { return this.at(this.#nowUs + us, fn, owner) }

  /**
   * Lets events happen, up to and including that time. `settled` is called when all promises are quiet, before the first and after each one, and ends
   * the run by answering false. Rejects with what an event threw.
   */
  async run (untilUs: number, quiet: Quiet, settled: () => boolean = () => true): Promise<void> {
    const untilMs = untilUs / TICKS_PER_MS
    await new Promise<void>((resolve, reject) => {
      const step = (): void => {
        try {
          if (!settled()) return resolve()
          this.#happened = false
          while (!this.#happened) {
            if (this.#agenda.step(untilMs)) continue
            this.#nowUs = Math.max(this.#nowUs, untilUs)
            return resolve()
          }
          quiet(step)
        } catch (error) {
          reject(error)
        }
      }
      quiet(step)
    })
  }

  #begin (): void {
    this.#nowUs = this.#agenda.nowTicks
    this.#happened = true
    this.#handled++
  }
}
