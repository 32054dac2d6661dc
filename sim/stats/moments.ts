/** Mean, variance and range of a stream of numbers in constant memory (Welford). */
export class Moments {
  #count = 0
  #mean = 0
  #squares = 0
  #min = Infinity
  #max = -Infinity

  add (value: number): void {
    this.#count++
    const delta = value - this.#mean
    this.#mean += delta / this.#count
    this.#squares += delta * (value - this.#mean)
    if (value < this.#min) this.#min = value
    if (value > this.#max) this.#max = value
  }

  get count (): number { return this.#count }
  /** NaN when there is none, as are the others. */
  get mean (): number { return this.#count === 0 ? NaN : this.#mean }
  /** Of the population that the stream is a sample of (n - 1); NaN below two values. */
  get variance (): number { return this.#count < 2 ? NaN : this.#squares / (this.#count - 1) }
  get deviation (): number { return Math.sqrt(this.variance) }
  get min (): number { return this.#count === 0 ? NaN : this.#min }
  get max (): number { return this.#count === 0 ? NaN : this.#max }
}
