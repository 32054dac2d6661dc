/** How often golden machines are used at this plant: uses an hour, in which a use weighs 1/e after an hour. Pure; times are monotonic. */
import type { GoldenId } from '../../protocols/kit/index.ts'

/** What a use weighs falls to 1/e in this: at a steady rate the weights come to the uses in such a time. */
export const USE_MEMORY_MS = 3_600_000
/** Golden machines whose rate is known; the longest unused go first. */
export const USE_RATES_MAX = 4_096

/** See the head of this file. */
export class UseRates {
  /** In the order of their last use. */
  readonly #rates = new Map<GoldenId, { weight: number, atMs: number }>()

  note (goldenId: GoldenId, nowMs: number): void {
    const weight = this.of(goldenId, nowMs) + 1
    this.#rates.delete(goldenId)
    this.#rates.set(goldenId, { weight, atMs: nowMs })
    const oldest = this.#rates.size > USE_RATES_MAX ? this.#rates.keys().next().value : undefined
    if (oldest !== undefined) this.#rates.delete(oldest)
  }

  /** Uses an hour. */
  of (goldenId: GoldenId, nowMs: number): number {
    const rate = this.#rates.get(goldenId)
    return rate === undefined ? 0 : rate.weight * Math.exp(-Math.max(0, nowMs - rate.atMs) / USE_MEMORY_MS)
  }
}
