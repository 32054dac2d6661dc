/** Whole numbers from 0 in as few bytes as they need (LEB128): extents and places come by the hundred thousand. */

/** Numbers one after the other. */
export class VarintWriter {
  #bytes = new Uint8Array(1_024)
  #length = 0

  /** Adds a whole number from 0 to 2^53 - 1. */
  add (value: number): void {
    if (this.#length + 8 > this.#bytes.length) {
      const larger = new Uint8Array(this.#bytes.length * 2)
      larger.set(this.#bytes)
      this.#bytes = larger
    }
    let rest = value
    for (; rest > 0x7f; rest = Math.floor(rest / 128)) this.#bytes[this.#length++] = (rest % 128) | 0x80
    this.#bytes[this.#length++] = rest
  }

  finish (): Uint8Array { return this.#bytes.slice(0, this.#length) }
}

/** Reads what VarintWriter wrote; undefined at the end, or where there is no number in its shortest form. */
export class VarintReader {
  readonly #bytes: Uint8Array
  #at = 0

  constructor (bytes: Uint8Array) { this.#bytes = bytes }

  get ended (): boolean { return this.#at === this.#bytes.length }

  next (): number | undefined {
    let value = 0
    for (let factor = 1; factor < 2 ** 53; factor *= 128) {
      const byte = this.#bytes[this.#at++]
      if (byte === undefined) return undefined
      value += (byte & 0x7f) * factor
      if (value > Number.MAX_SAFE_INTEGER) return undefined
      if (byte < 0x80) return byte === 0 && factor > 1 ? undefined : value
    }
    return undefined
  }
}
