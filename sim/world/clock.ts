/** A plant's own clock: it may run fast or slow, and its wall time may be off and may jump. */
import type { Cancel, Clock } from '../../protocols/kit/index.ts'
import type { Life } from './life.ts'
import type { Timeline } from './timeline.ts'
import { TICKS_PER_MS } from '../kernel/index.ts'

/** A timer of the host never fires sooner than this after it was set, as Node's do not. */
const TIMER_US_MIN = 1_000

/** What is told as a jump, and as a drift: more than quartz and rounding make. */
const STEP_MS_LEAST = 1
const DRIFT_SHARE_LEAST = 1e-3

/** The wall clock at true time 0, before any plant's own error: 2026-01-01T00:00:00Z. */
export const START_WALL_MS = 1_767_225_600_000

/** What a host's clocks show; outlives the plant's process. */
export class HostClock {
  readonly #timeline: Timeline
  #rate: number
  /** Of the last change of rate: true time and what the clock showed then, in microseconds. */
  #sinceUs = 0
  #shownUs = 0
  #offsetMs: number
  #read: { wallMs: number, shownUs: number } | undefined
  /** Told when a process reads a wall clock that has jumped since it was last read, and when its timer takes another time than it should. */
  onWrong: ((what: 'clockStep' | 'clockDrift') => void) | undefined

  constructor (timeline: Timeline, init: { offsetMs: number, driftPpm: number }) {
    this.#timeline = timeline
    this.#offsetMs = init.offsetMs
    this.#rate = 1 + init.driftPpm / 1e6
  }

  /** Time by this host since true time 0, in microseconds. */
  get shownUs (): number { return this.#shownUs + (this.#timeline.nowUs - this.#sinceUs) * this.#rate }
  get wallMs (): number { return START_WALL_MS + this.#offsetMs + this.shownUs / TICKS_PER_MS }

  /** True microseconds until this clock has gone on by so many. */
  trueUs (shownUs: number): number {
    const us = Math.ceil(shownUs / this.#rate)
    if (Math.abs(us - shownUs) > shownUs * DRIFT_SHARE_LEAST + 1) this.onWrong?.('clockDrift')
    return us
  }

  /** The wall clock as a process reads it. */
  readWallMs (): number {
    const { wallMs, shownUs } = this
    const before = this.#read
    this.#read = { wallMs, shownUs }
    if (before !== undefined && Math.abs(wallMs - before.wallMs - (shownUs - before.shownUs) / TICKS_PER_MS) > STEP_MS_LEAST) this.onWrong?.('clockStep')
    return wallMs
  }

  drift (ppm: number): void {
    this.#shownUs = this.shownUs
    this.#sinceUs = this.#timeline.nowUs
    this.#rate = 1 + ppm / 1e6
  }

  /** Wall time is made true, and runs at the right rate from now on. */
  setRight (): void {
    this.drift(0)
    this.#offsetMs = (this.#timeline.nowUs - this.shownUs) / TICKS_PER_MS
  }

  /** The wall clock jumps; monotonic time does not notice. */
  step (byMs: number): void { this.#offsetMs += byMs }
}

/** The port Clock of one life of a process. A timer that was set before the clock's rate changed keeps its true time. */
export class SimClock implements Clock {
  readonly #timeline: Timeline
  readonly #host: HostClock
  readonly #life: Life
  readonly #bornUs: number

  constructor (timeline: Timeline, host: HostClock, life: Life) {
    this.#timeline = timeline
    this.#host = host
    this.#life = life
    this.#bornUs = host.shownUs
  }

  nowMs (): number { return Math.floor(this.#host.readWallMs()) }

  monotonicMs (): number { return Math.round(this.#host.shownUs - this.#bornUs) / TICKS_PER_MS }

  after (ms: number, fn: () => void): Cancel {
    if (this.#life.dead) return () => {}
    const us = Number.isFinite(ms) ? Math.max(TIMER_US_MIN, ms * TICKS_PER_MS) : Number.MAX_SAFE_INTEGER / 2
    return this.#timeline.after(this.#host.trueUs(us), fn, this.#life)
  }
}
