/** How often each of many may have something: token buckets, bounded in number. Pure; time is an argument. */

export interface RatesInit { perSecond: number, burst: number, keysMax: number }

/** See the head of this file. */
export class Rates {
  readonly #init: RatesInit
  /** In the order in which they were last used. */
  readonly #buckets = new Map<string, { left: number, atMs: number }>()

  constructor (init: RatesInit) { this.#init = init }

  get size (): number { return this.#buckets.size }

  /** Whether this one may have another now. One that was forgotten, as it was quiet for longest among too many, begins anew. */
  take (key: string, nowMs: number): boolean {
    const { perSecond, burst, keysMax } = this.#init
    const bucket = this.#buckets.get(key) ?? { left: burst, atMs: nowMs }
    bucket.left = Math.min(burst, bucket.left + Math.max(0, nowMs - bucket.atMs) * perSecond / 1_000)
    bucket.atMs = nowMs
    this.#buckets.delete(key)
    if (this.#buckets.size >= keysMax) {
      const oldest = this.#buckets.keys().next()
      if (oldest.done !== true) this.#buckets.delete(oldest.value)
    }
    this.#buckets.set(key, bucket)
    if (bucket.left < 1) return false
    bucket.left--
    return true
  }
}
