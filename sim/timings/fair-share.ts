/** Something that its users share evenly at every moment: a server's link, a host's processors. Exact as long as the clock is. */
import type { Cancel, Clock } from '../../protocols/kit/index.ts'

interface Use { left: number, done: () => void }

/** What is left of a use below this is rounding: work is in bytes or milliseconds. */
const NOTHING = 1e-6

/**
 * Work is done at `ratePerMs` in all and at `eachPerMs` for one user at most, in equal shares. Uses that end at the same time end in the
 * order in which they began.
 */
export class FairShare {
  readonly #clock: Pick<Clock, 'monotonicMs' | 'after'>
  readonly #ratePerMs: number
  readonly #eachPerMs: number
  #uses: Use[] = []
  #atMs = 0
  #wake: Cancel | undefined

  constructor (clock: Pick<Clock, 'monotonicMs' | 'after'>, init: { ratePerMs: number, eachPerMs: number }) {
    this.#clock = clock
    this.#ratePerMs = init.ratePerMs
    this.#eachPerMs = init.eachPerMs
  }

  /** How many use it now. */
  get users (): number { return this.#uses.length }

  /** Calls `done` once this much work has been done; the returned function gives it up (then `done` is not called). */
  use (work: number, done: () => void): Cancel {
    this.#advance()
    const one = { left: Math.max(0, work), done }
    this.#uses.push(one)
    this.#plan()
    return () => {
      if (!this.#uses.includes(one)) return
      this.#advance()
      this.#uses = this.#uses.filter((other) => other !== one)
      this.#plan()
    }
  }

  #share (): number { return Math.min(this.#eachPerMs, this.#ratePerMs / this.#uses.length) }

  #advance (): void {
    const nowMs = this.#clock.monotonicMs()
    const each = this.#uses.length === 0 ? 0 : (nowMs - this.#atMs) * this.#share()
    for (const one of this.#uses) one.left -= each
    this.#atMs = nowMs
  }

  #plan (): void {
    this.#wake?.()
    this.#wake = undefined
    if (this.#uses.length === 0) return
    const least = this.#uses.reduce((min, { left }) => Math.min(min, left), Infinity)
    this.#wake = this.#clock.after(Math.max(0, least / this.#share()), () => { this.#onWake(least) })
  }

  /** `least` was due: taken as done whatever rounding says, so that a wake always ends a use. */
  #onWake (least: number): void {
    const dueLeft = least + NOTHING
    const due = this.#uses.filter(({ left }) => left <= dueLeft)
    this.#wake = undefined
    this.#advance()
    this.#uses = this.#uses.filter((one) => !due.includes(one))
    this.#plan()
    for (const { done } of due) done()
  }
}
