/** A fake clock: time passes only when told to. */
import type { Cancel, Clock } from '../../protocols/kit/index.ts'

interface Timer { atMs: number, order: number, fn: () => void }

export class FakeClock implements Clock {
  #monotonicMs = 0
  #wallMs: number
  #order = 0
  readonly #timers = new Set<Timer>()

  constructor (wallMs = Date.UTC(2026, 0, 1)) { this.#wallMs = wallMs }

  nowMs (): number { return this.#wallMs }
  monotonicMs (): number { return this.#monotonicMs }
  /** Timers that have not fired yet: a test for leaks. */
  get pending (): number { return this.#timers.size }

  after (ms: number, fn: () => void): Cancel {
    const timer = { atMs: this.#monotonicMs + Math.max(0, ms), order: this.#order++, fn }
    this.#timers.add(timer)
    return () => { this.#timers.delete(timer) }
  }

  /** The wall clock jumps; monotonic time does not notice. */
  jumpWall (ms: number): void { this.#wallMs += ms }

  /** Lets `ms` pass, firing timers in order and letting promises run between them. */
  async advance (ms: number): Promise<void> {
    const untilMs = this.#monotonicMs + ms
    await turn()
    for (let next = this.#next(); next !== undefined && next.atMs <= untilMs; next = this.#next()) {
      this.#fire(next)
      await turn()
    }
    this.#moveTo(untilMs)
  }

  /** Lets time pass, timer by timer, until the promise is settled; throws when it never would be. */
  async settle<T> (promise: Promise<T>): Promise<T> {
    let done = false
    const mark = (): void => { done = true }
    promise.then(mark, mark)
    for (;;) {
      await turn()
      if (done) return promise
      const next = this.#next()
      if (next === undefined) throw new Error('nothing is scheduled that could settle this promise')
      this.#fire(next)
    }
  }

  #next (): Timer | undefined {
    let first: Timer | undefined
    for (const timer of this.#timers) {
      if (first === undefined || timer.atMs < first.atMs || (timer.atMs === first.atMs && timer.order < first.order)) first = timer
    }
    return first
  }

  #fire (timer: Timer): void {
    this.#timers.delete(timer)
    this.#moveTo(timer.atMs)
    timer.fn()
  }

  #moveTo (ms: number): void {
    if (ms <= this.#monotonicMs) return
    this.#wallMs += ms - this.#monotonicMs
    this.#monotonicMs = ms
  }
}

/** One turn of the event loop: all promises that can go on have done so. */
async function turn (): Promise<void> {
  await new Promise<void>((resolve) => { setImmediate(resolve) })
}
