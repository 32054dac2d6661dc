/** Reads a stream by counts of bytes. */

export class ByteReader {
  readonly #input: AsyncIterator<Uint8Array>
  readonly #short: Error
  #held: Buffer = Buffer.alloc(0)

  /** `short` is thrown when the stream ends before what was asked for. */
  constructor (input: AsyncIterable<Uint8Array>, short: Error) {
    this.#input = input[Symbol.asyncIterator]()
    this.#short = short
  }

  /** So many bytes, fewer only at the stream's end. For small counts: it is one piece of memory. */
  async atMost (bytes: number): Promise<Buffer> {
    const pieces: Buffer[] = []
    let left = bytes
    while (left > 0) {
      const piece = await this.#some(left)
      if (piece === undefined) break
      pieces.push(piece)
      left -= piece.length
    }
    return Buffer.concat(pieces)
  }

  async exactly (bytes: number): Promise<Buffer> {
    const read = await this.atMost(bytes)
    if (read.length < bytes) throw this.#short
    return read
  }

  async skip (bytes: number): Promise<void> {
    await this.part(bytes).skipRest()
  }

  /** The next so many bytes as a stream; what is not read of it is to be passed over before anything else is read. */
  part (bytes: number): { pieces: () => AsyncGenerator<Uint8Array>, skipRest: () => Promise<void> } {
    let left = bytes
    const next = async (): Promise<Buffer> => {
      const piece = await this.#some(left)
      if (piece === undefined) throw this.#short
      left -= piece.length
      return piece
    }
    return {
      async * pieces () { while (left > 0) yield await next() },
      async skipRest () { while (left > 0) await next() }
    }
  }

  async #some (max: number): Promise<Buffer | undefined> {
    while (this.#held.length === 0) {
      const { value, done } = await this.#input.next()
      if (done === true) return undefined
      this.#held = Buffer.from(value.buffer, value.byteOffset, value.byteLength)
    }
    const piece = this.#held.subarray(0, max)
    this.#held = this.#held.subarray(piece.length)
    return piece
  }
}
