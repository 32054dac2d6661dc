/** How much of what goes to many a port may send: a token bucket. */
import { STORM_UNIT_BYTES } from './constants.ts'

/** A bucket that holds `burst` tokens and gets `perS` a second. */
export class StormBucket {
  readonly #burst: number
  readonly #perS: number
  #tokens: number
  #filledAtMs = Number.NEGATIVE_INFINITY

  constructor (burst: number, perS: number) {
    this.#burst = burst
    this.#perS = perS
    this.#tokens = burst
  }

  /** Whether a frame of so many bytes may go to many now; takes its tokens when it may. */
  take (nowMs: number, bytes: number): boolean {
    const elapsedMs = nowMs - this.#filledAtMs
    if (elapsedMs > 0) {
      this.#tokens = Math.min(this.#burst, this.#tokens + elapsedMs * this.#perS / 1000)
      this.#filledAtMs = nowMs
    }
    const cost = Math.floor(bytes / STORM_UNIT_BYTES) + 1
    if (this.#tokens < cost) return false
    this.#tokens -= cost
    return true
  }
}
