/** Frames between host and guest as bytes (README.md, Frames). What a guest sends is hostile until it has passed here. */
import { BOOT_MARK, HEAD_BYTES, HELLO_MARK, MESSAGE, NO_SESSION_TOKEN, RESYNC_BYTES_MAX, STALE_BYTES_MAX, TOKEN_BYTES,
  TO_GUEST_PAYLOAD_BYTES_MAX, TO_HOST_PAYLOAD_BYTES_MAX } from './constants.ts'

export interface Frame { type: number, id: number, payload: Buffer }

/** What the reader found in the bytes. */
export type Found =
  /** The guest answered the hello of `expectHello`: frames of its session follow. */
  | { kind: 'in-step' }
  /** The agent has started anew (a boot, or after it had ended): whatever was under way is over, and a new hello is due. */
  | { kind: 'booted', info: string }
  | { kind: 'frame', frame: Frame }
  /** The guest does not keep to the protocol; nothing more is read. */
  | { kind: 'broken', problem: string }

/** A frame to the guest. */
export function encodeFrame (type: number, id: number, payload: Uint8Array, token: Uint8Array): Buffer {
  const frame = Buffer.alloc(HEAD_BYTES + payload.length + TOKEN_BYTES)
  frame.writeUInt8(type, 0)
  frame.writeUInt32BE(id, 1)
  frame.writeUInt16BE(payload.length, 5)
  frame.set(payload, HEAD_BYTES)
  frame.set(token, HEAD_BYTES + payload.length)
  return frame
}

/** The first bytes to a guest: zeros that end whatever frame the guest may be in the middle of, then the hello. */
export function encodeHello (nonce: Uint8Array, token: Uint8Array): Buffer {
  const hello = encodeFrame(MESSAGE.HELLO, 0, Buffer.concat([nonce, token]), NO_SESSION_TOKEN)
  return Buffer.concat([Buffer.alloc(HEAD_BYTES + TO_GUEST_PAYLOAD_BYTES_MAX + TOKEN_BYTES), hello])
}

/**
 * Reads what a guest sends. Holds at most one frame and one piece of what it was given.
 *
 *   waiting --(mark and nonce)--> in step --(frame that does not fit)--> out of step --(boot mark)--> waiting (a new hello is due)
 *   any --(too many bytes that mean nothing)--> broken
 */
export class FrameReader {
  #state: 'waiting' | 'in-step' | 'out-of-step' | 'broken' = 'waiting'
  #buffer: Buffer = Buffer.alloc(0)
  #answer: Buffer | undefined
  #token: Uint8Array = NO_SESSION_TOKEN
  #skippedBytes = 0

  /** From now on only the answer to this hello counts. */
  expectHello (nonce: Uint8Array, token: Uint8Array): void {
    this.#answer = Buffer.concat([HELLO_MARK, nonce])
    this.#token = token
    this.#state = 'waiting'
    this.#skippedBytes = 0
  }

  /** Takes a piece; yields what is in it. A caller that answers a find (by `expectHello`) does so before it asks for the next one. */
  * read (piece: Uint8Array): Generator<Found> {
    if (this.#state === 'broken') return
    this.#buffer = this.#buffer.length === 0 ? Buffer.from(piece) : Buffer.concat([this.#buffer, piece])
    for (let found = this.#next(); found !== undefined; found = this.#next()) {
      yield found
      if (found.kind === 'broken') return
    }
  }

  #next (): Found | undefined {
    if (this.#state === 'broken') return undefined
    return this.#state === 'in-step' ? this.#nextFrame() : this.#seek()
  }

  #nextFrame (): Found | undefined {
    // Zeros between frames mean nothing.
    let start = 0
    while (start < this.#buffer.length && this.#buffer[start] === 0) start++
    this.#buffer = this.#buffer.subarray(start)
    if (this.#buffer.length < HEAD_BYTES) return undefined
    const type = this.#buffer.readUInt8(0)
    const bytes = this.#buffer.readUInt16BE(5)
    if (type < MESSAGE.BOOT || type > MESSAGE.REFUSED || bytes > TO_HOST_PAYLOAD_BYTES_MAX) return this.#loseStep()
    const end = HEAD_BYTES + bytes + TOKEN_BYTES
    if (this.#buffer.length < end) return undefined
    const payload = this.#buffer.subarray(HEAD_BYTES, HEAD_BYTES + bytes)
    const expected = type === MESSAGE.BOOT ? NO_SESSION_TOKEN : this.#token
    if (!this.#buffer.subarray(HEAD_BYTES + bytes, end).equals(expected)) return this.#loseStep()
    if (type === MESSAGE.BOOT) return this.#loseStep()
    const frame = { type, id: this.#buffer.readUInt32BE(1), payload: Buffer.from(payload) }
    this.#buffer = this.#buffer.subarray(end)
    return { kind: 'frame', frame }
  }

  #loseStep (): Found | undefined {
    this.#state = 'out-of-step'
    this.#skippedBytes = 0
    return this.#seek()
  }

  /** Looks for the answer to the hello, or for the word that the agent has started. */
  #seek (): Found | undefined {
    const answerAt = this.#answer === undefined || this.#state === 'out-of-step' ? -1 : this.#buffer.indexOf(this.#answer)
    const bootAt = this.#buffer.indexOf(BOOT_MARK)
    if (answerAt >= 0 && this.#answer !== undefined && (bootAt < 0 || answerAt < bootAt)) {
      this.#buffer = this.#buffer.subarray(answerAt + this.#answer.length)
      this.#state = 'in-step'
      return { kind: 'in-step' }
    }
    if (bootAt >= 0) {
      const end = this.#buffer.indexOf(NO_SESSION_TOKEN, bootAt)
      // The rest of a boot message is short; it has come whole, or comes with the next piece.
      if (end < 0 && this.#buffer.length - bootAt < 512) return undefined
      const info = this.#buffer.toString('latin1', bootAt + BOOT_MARK.length, end < 0 ? bootAt + BOOT_MARK.length : end)
      this.#buffer = this.#buffer.subarray(end < 0 ? bootAt + BOOT_MARK.length : end + NO_SESSION_TOKEN.length)
      this.#state = 'waiting'
      this.#answer = undefined
      return { kind: 'booted', info }
    }
    // A mark may be cut in two by the end of the buffer.
    const keep = Math.min(this.#buffer.length, HELLO_MARK.length + 16)
    this.#skippedBytes += this.#buffer.length - keep
    this.#buffer = this.#buffer.subarray(this.#buffer.length - keep)
    if (this.#skippedBytes <= (this.#state === 'waiting' ? STALE_BYTES_MAX : RESYNC_BYTES_MAX)) return undefined
    this.#state = 'broken'
    this.#buffer = Buffer.alloc(0)
    return { kind: 'broken', problem: 'bytes that are not of the agent\'s protocol' }
  }
}
