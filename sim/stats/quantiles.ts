/**
 * Quantiles of a stream of numbers that are not negative, within 1/256 of their value, in memory that grows with the range and not with the
 * count: buckets are the leading bits of the double itself (as HdrHistogram's), so that no logarithm decides and every machine agrees.
 */
const MANTISSA_BITS = 7
const SHIFT = 52 - MANTISSA_BITS
const view = new DataView(new ArrayBuffer(8))

/** The number of a value's bucket: its exponent and the first bits of its mantissa. */
function bucketOf (value: number): number {
  view.setFloat64(0, value)
  return Number(view.getBigUint64(0) >> BigInt(SHIFT))
}

/** The middle of a bucket. */
function middleOf (bucket: number): number {
  view.setBigUint64(0, (BigInt(bucket) << BigInt(SHIFT)) | (1n << BigInt(SHIFT - 1)))
  return view.getFloat64(0)
}

export class Quantiles {
  readonly #buckets = new Map<number, number>()
  #zeros = 0
  #count = 0
  #min = Infinity
  #max = -Infinity

  /** Values below 0 count as 0. */
  add (value: number): void {
    this.#count++
    if (value < this.#min) this.#min = value
    if (value > this.#max) this.#max = value
    if (value <= 0) {
      this.#zeros++
      return
    }
    const bucket = bucketOf(value)
    this.#buckets.set(bucket, (this.#buckets.get(bucket) ?? 0) + 1)
  }

  get count (): number { return this.#count }
  /** Buckets in use: what the memory is. */
  get size (): number { return this.#buckets.size }

  /** The value below which this share of the stream lies; NaN when there is none. The least and the largest are exact. */
  at (share: number): number {
    if (this.#count === 0) return NaN
    const rank = Math.min(this.#count, Math.max(1, Math.ceil(share * this.#count)))
    if (rank === 1) return this.#min
    if (rank === this.#count) return this.#max
    if (rank <= this.#zeros) return 0
    let seen = this.#zeros
    for (const [bucket, count] of [...this.#buckets].sort(([a], [b]) => a - b)) {
      seen += count
      if (seen >= rank) return Math.min(this.#max, Math.max(this.#min, middleOf(bucket)))
    }
    return this.#max
  }
}
