/**
 * The other end of a machine's network card, read whether its user keeps up or not: QEMU 7.2 writes to an accepted `-netdev stream` without
 * O_NONBLOCK, so a peer that does not read stops the whole machine, its monitor included (seen: a guest stood still until the peer let go).
 * What the user has not read is bounded; frames beyond are dropped whole, as any switch drops them.
 */
import { Duplex } from 'node:stream'
import type { Socket } from 'node:net'

/** Half a second of what two emulated guests reach (VMM.md: 1200 Mbit/s) would be 75 MB; this is what a switch port holds, and then some. */
const UNREAD_BYTES_MAX = 1024 * 1024
const LENGTH_BYTES = 4
/** Longest that a card with segmentation offload hands over, and room; more means that we are out of step. */
const FRAME_BYTES_MAX = 128 * 1024

/** Errors of the socket are the port's; it needs no listener for them. */
export class NetworkPort extends Duplex {
  readonly #socket: Socket
  /** Of a length that came in two pieces. */
  #begun: Buffer = Buffer.alloc(0)
  /** What is still to come of the frame under way, and whether it is dropped. */
  #leftBytes = 0
  #dropping = false
  #dropped = 0

  /** Takes over a connected socket: ends with it, and ends it. */
  constructor (socket: Socket) {
    super({ readableHighWaterMark: UNREAD_BYTES_MAX, writableHighWaterMark: UNREAD_BYTES_MAX })
    this.#socket = socket
    socket.on('data', (piece) => { this.#onData(piece) })
    socket.on('error', (error) => { this.destroy(error) })
    socket.on('close', () => {
      this.push(null)
      this.destroy()
    })
    // Whoever uses the port listens as well; nobody has to.
    this.on('error', () => {})
  }

  /** Frames dropped because nobody read them. */
  get dropped (): number { return this.#dropped }

  override _read (): void {} // What comes is pushed as it comes.

  override _write (bytes: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#socket.write(bytes, done)
  }

  override _writev (pieces: Array<{ chunk: Buffer }>, done: (error?: Error | null) => void): void {
    this.#socket.cork()
    for (const [i, { chunk }] of pieces.entries()) {
      if (i === pieces.length - 1) this.#socket.write(chunk, done)
      else this.#socket.write(chunk)
    }
    this.#socket.uncork()
  }

  override _final (done: (error?: Error | null) => void): void {
    this.#socket.end(() => { done() })
  }

  override _destroy (error: Error | null, done: (error?: Error | null) => void): void {
    this.#socket.destroy()
    done(error)
  }

  /** Hands on what is kept in as few pieces as it came in; looks only at where frames begin. */
  #onData (piece: Buffer): void {
    const bytes = this.#begun.length === 0 ? piece : Buffer.concat([this.#begun, piece])
    this.#begun = Buffer.alloc(0)
    let keptFrom = 0
    let at = 0
    while (at < bytes.length) {
      if (this.#leftBytes === 0) {
        if (bytes.length - at < LENGTH_BYTES) {
          this.#begun = Buffer.from(bytes.subarray(at))
          break
        }
        const frameBytes = bytes.readUInt32BE(at)
        if (frameBytes > FRAME_BYTES_MAX) {
          this.destroy(new RangeError(`a frame of ${frameBytes} bytes`))
          return
        }
        const drop = this.readableLength + (at - keptFrom) > UNREAD_BYTES_MAX
        if (drop !== this.#dropping) {
          if (drop) this.#keep(bytes, keptFrom, at)
          keptFrom = at
          this.#dropping = drop
        }
        if (drop) this.#dropped++
        this.#leftBytes = LENGTH_BYTES + frameBytes
      }
      const step = Math.min(this.#leftBytes, bytes.length - at)
      this.#leftBytes -= step
      at += step
    }
    if (!this.#dropping) this.#keep(bytes, keptFrom, at)
  }

  #keep (bytes: Buffer, from: number, to: number): void {
    if (to > from) this.push(bytes.subarray(from, to))
  }
}
