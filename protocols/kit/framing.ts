/**
 * Messages as frames on a byte stream: a length of four bytes, big-endian, then that many bytes. Fixed width rather than a varint, so that
 * a hostile length costs one comparison and nothing has to be bounded while the length itself is read.
 */
import { PlantError } from './errors.ts'
import type { MessageStream } from './ports.ts'

/** Bytes before each message. */
export const FRAME_HEADER_BYTES = 4

/** Room made for a frame before its bytes have come: a peer that announces much and sends little holds only this. */
const FIRST_ROOM_BYTES = 4096

/** The four bytes that announce a message of this length. */
export function frameHeader (messageBytes: number): Uint8Array {
  const header = new Uint8Array(FRAME_HEADER_BYTES)
  new DataView(header.buffer).setUint32(0, messageBytes)
  return header
}

/** A message as a frame, in one piece. */
export function frame (message: Uint8Array): Uint8Array {
  const framed = new Uint8Array(FRAME_HEADER_BYTES + message.length)
  framed.set(frameHeader(message.length))
  framed.set(message, FRAME_HEADER_BYTES)
  return framed
}

/** Sends one message that lies in pieces, without putting them together where the stream need not have that. */
export async function sendPieces (stream: MessageStream, pieces: readonly Uint8Array[]): Promise<void> {
  if (stream.sendPieces !== undefined) return stream.sendPieces(pieces)
  const message = new Uint8Array(pieces.reduce((bytes, piece) => bytes + piece.length, 0))
  let at = 0
  for (const piece of pieces) {
    message.set(piece, at)
    at += piece.length
  }
  return stream.send(message)
}

/**
 * Takes bytes as they come, gives whole messages. What it holds is what has come and was not taken, at most twice over: the caller stops
 * reading from the network while `heldBytes` is above its mark. Pieces are copied into one buffer, so that a peer that sends a byte at a
 * time does not cost an object a byte.
 */
export class FrameBuffer {
  readonly #messageBytesMax: number
  #buffer: Uint8Array = new Uint8Array(0)
  #start = 0
  #end = 0

  constructor (messageBytesMax: number) {
    this.#messageBytesMax = messageBytesMax
  }

  /** Bytes that have come and were not taken. */
  get heldBytes (): number { return this.#end - this.#start }

  push (piece: Uint8Array): void {
    if (this.#end + piece.length > this.#buffer.length) this.#makeRoom(piece.length)
    this.#buffer.set(piece, this.#end)
    this.#end += piece.length
  }

  /**
   * The next whole message (a copy of its own), or undefined until more bytes have come. Throws PlantError `STREAM_TOO_LONG` as soon as
   * a length above the limit is seen, before anything is allocated for it.
   */
  next (): Uint8Array | undefined {
    const announced = this.announced()
    if (announced === undefined) return undefined
    if (announced > this.#messageBytesMax) throw new PlantError('STREAM_TOO_LONG', { announced, messageBytesMax: this.#messageBytesMax })
    const from = this.#start + FRAME_HEADER_BYTES
    if (this.#end - from < announced) return undefined
    const message = this.#buffer.slice(from, from + announced)
    this.#start = from + announced
    if (this.#start === this.#end) this.#release()
    return message
  }

  /** Length of the message that is under way, or undefined when its header has not come whole. */
  announced (): number | undefined {
    if (this.heldBytes < FRAME_HEADER_BYTES) return undefined
    return new DataView(this.#buffer.buffer, this.#buffer.byteOffset + this.#start).getUint32(0)
  }

  #makeRoom (bytes: number): void {
    const needed = this.heldBytes + bytes
    const roomy = Math.max(FIRST_ROOM_BYTES, needed, needed > this.#buffer.length ? this.#buffer.length * 2 : this.#buffer.length)
    const target = roomy === this.#buffer.length ? this.#buffer : new Uint8Array(roomy)
    target.set(this.#buffer.subarray(this.#start, this.#end))
    this.#buffer = target
    this.#end -= this.#start
    this.#start = 0
  }

  /** An idle stream holds no buffer beyond the first room. */
  #release (): void {
    if (this.#buffer.length > FIRST_ROOM_BYTES) this.#buffer = new Uint8Array(0)
    this.#start = 0
    this.#end = 0
  }
}
