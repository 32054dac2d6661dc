/**
 * Cuts a peer's bytes where BitTorrent messages end, before bittorrent-protocol's Wire sees them: Wire itself takes any announced length (up
 * to 2 GiB, and a negative one as a keep-alive) and copies all it holds with each arrival. Here a length above the bound ends the stream,
 * and a message that comes in parts is copied once.
 */

/** A handshake: one byte with the length of the protocol's name, the name, 48 bytes (BEP 3). */
const HANDSHAKE_BYTES = 68
const LENGTH_BYTES = 4
/** Room for a message that comes in parts; a block's fits. A longer one (a bitfield) gets more while it comes. */
const ROOM_BYTES = 32 * 1024

export class WireFramer {
  readonly #messageBytesMax: number
  /** A message that has begun: its bytes so far, and how many it has in all (undefined: its length has not come whole). */
  #held: Uint8Array = new Uint8Array(ROOM_BYTES)
  #heldBytes = 0
  #needed: number | undefined = HANDSHAKE_BYTES

  constructor (messageBytesMax: number) { this.#messageBytesMax = messageBytesMax }

  /** Hands on whole messages, as few pieces as may be; they are the taker's until it returns. False: a length above the bound. */
  push (bytes: Uint8Array, take: (whole: Uint8Array) => void): boolean {
    let at = 0
    while (this.#heldBytes > 0 || this.#needed !== undefined) {
      at += this.#hold(bytes, at, (this.#needed ?? LENGTH_BYTES) - this.#heldBytes)
      if (this.#heldBytes < (this.#needed ?? LENGTH_BYTES)) return true
      if (this.#needed === undefined) {
        this.#needed = LENGTH_BYTES + lengthAt(this.#held, 0)
        if (this.#needed > this.#messageBytesMax) return false
        continue
      }
      take(this.#held.subarray(0, this.#heldBytes))
      if (this.#held.length > ROOM_BYTES) this.#held = new Uint8Array(ROOM_BYTES)
      this.#heldBytes = 0
      this.#needed = undefined
    }
    return this.#pass(bytes, at, take)
  }

  /** Whole messages go on uncopied, in one piece; what is left begins to be held. */
  #pass (bytes: Uint8Array, from: number, take: (whole: Uint8Array) => void): boolean {
    let end = from
    while (bytes.length - end >= LENGTH_BYTES) {
      const needed = LENGTH_BYTES + lengthAt(bytes, end)
      if (needed > this.#messageBytesMax) return false
      if (bytes.length - end < needed) {
        this.#needed = needed
        break
      }
      end += needed
    }
    if (end > from) take(bytes.subarray(from, end))
    this.#hold(bytes, end, bytes.length - end)
    return true
  }

  #hold (bytes: Uint8Array, from: number, wanted: number): number {
    const taken = Math.max(0, Math.min(wanted, bytes.length - from))
    if (this.#heldBytes + taken > this.#held.length) {
      const roomier = new Uint8Array(Math.max(this.#held.length * 2, this.#heldBytes + taken))
      roomier.set(this.#held.subarray(0, this.#heldBytes))
      this.#held = roomier
    }
    this.#held.set(bytes.subarray(from, from + taken), this.#heldBytes)
    this.#heldBytes += taken
    return taken
  }
}

function lengthAt (bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) * 2 ** 24) + (((bytes[at + 1] ?? 0) << 16) | ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0))
}
