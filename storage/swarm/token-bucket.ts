/** A cap on a rate: tokens come at the rate, some may be saved, and a debt of one send is allowed so that a piece fits any cap. */
import { BURST_MS } from './constants.ts'

export class TokenBucket {
  readonly #bytesPerS: number
  #tokens = 0
  #atMs: number | undefined

  /** Infinity: no cap. */
  constructor (bytesPerS: number) { this.#bytesPerS = bytesPerS }

  /** Takes so many bytes when there is anything left; what is taken too much is paid before the next. */
  take (bytes: number, nowMs: number): boolean {
    if (this.#bytesPerS === Infinity) return true
    if (this.waitMs(nowMs) > 0) return false
    this.#tokens -= bytes
    return true
  }

  /** Gives back what was taken and not used. */
  giveBack (bytes: number): void { this.#tokens += bytes }

  /** How long until `take` will say yes; 0: now. */
  waitMs (nowMs: number): number {
    if (this.#bytesPerS === Infinity) return 0
    const most = this.#bytesPerS * BURST_MS / 1_000
    const grown = this.#atMs === undefined ? most : (nowMs - this.#atMs) * this.#bytesPerS / 1_000
    this.#tokens = Math.min(most, this.#tokens + grown)
    this.#atMs = nowMs
    return this.#tokens > 0 ? 0 : Math.max(1, -this.#tokens / this.#bytesPerS * 1_000)
  }
}
