/** The real clock: wall time from the system, durations from the monotonic clock. */
import { performance } from 'node:perf_hooks'
import type { Cancel, Clock } from '../../protocols/kit/index.ts'

/** setTimeout counts in a signed 32-bit number of milliseconds and fires at once above it. */
const TIMER_MS_MAX = 2 ** 31 - 1

export class SystemClock implements Clock {
  nowMs (): number { return Date.now() }

  monotonicMs (): number { return performance.now() }

  after (ms: number, fn: () => void): Cancel {
    const untilMs = performance.now() + ms
    let timer: NodeJS.Timeout
    const arm = (): void => {
      const leftMs = Math.max(0, untilMs - performance.now())
      timer = leftMs > TIMER_MS_MAX ? setTimeout(arm, TIMER_MS_MAX) : setTimeout(fn, leftMs)
    }
    arm()
    return () => clearTimeout(timer)
  }
}
