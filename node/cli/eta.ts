/** How long work will still take, from the share of it that is done. */

/** Before that a guess says nothing; what is over by then needs none. */
const GUESS_AFTER_MS = 3_000
/** The first per cents are mostly waiting for something to begin. */
const GUESS_FROM_SHARE = 0.02

/** One piece of work; it begins with the first call. */
export class Eta {
  #startedMs: number | undefined

  /** Text such as `about 40 s left`; '' while nothing can be said. `nowMs` never goes back. */
  at (share: number, nowMs: number): string {
    this.#startedMs ??= nowMs
    const takenMs = nowMs - this.#startedMs
    if (!(share >= GUESS_FROM_SHARE) || share >= 1 || takenMs < GUESS_AFTER_MS) return ''
    return `about ${durationText(takenMs * (1 - share) / share)} left`
  }
}

/** As people say it: no more precise than a guess is. */
function durationText (ms: number): string {
  const seconds = Math.ceil(ms / 1000)
  if (seconds <= 10) return `${seconds} s`
  if (seconds < 120) return `${Math.ceil(seconds / 5) * 5} s`
  return `${Math.ceil(seconds / 60)} min`
}
