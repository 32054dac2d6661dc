/**
 * Ethernet frames in a stream of bytes, as a Device: each is a record of u32 big-endian - its length, and in the highest bits what it is - and the bytes. That is
 * what QEMU's `-netdev stream` speaks (no bits set), and what a proxy and its plant speak (README.md, Frames to a proxy).
 */
import type { Duplex } from 'node:stream'
import type { Device, Frame } from '../../protocols/tunnel/types.ts'

/** In front of the frame are the 10 bytes of a `virtio_net_hdr`. */
const OFFLOAD = 0x8000_0000
/** Not a frame: bytes for the other end itself. */
const CONTROL = 0x4000_0000
const LENGTH_BYTES = 4
const OFFLOAD_BYTES = 10
/** A segmented frame is 64 KiB of IP at most, in an Ethernet header with a VLAN tag; a control record is a signed call. More means that the ends are out of step. */
const RECORD_BYTES_MAX = 128 * 1024
/** The shortest Ethernet header. */
const FRAME_BYTES_MIN = 14
/** What may wait for a reader that is behind: 10 ms of a Gbit/s line, and at least a dozen frames of the longest; beyond, frames are dropped. */
const UNSENT_BYTES_MAX = 1024 * 1024

export interface FrameStreamOptions {
  /** Frames with offload may go in; the others cut and sum them before. */
  takesOffload: boolean
  /** Called with each control record; without one they end the stream. */
  onControl?: (bytes: Uint8Array) => void
  /** Nothing is sent before `release`: the stream has other things to say first. Frames until then are dropped. */
  held?: boolean
}

/** Takes over the stream: reads it from now on, ends it, and ends with it. */
export class FrameStream implements Device {
  readonly takesOffload: boolean
  readonly #duplex: Duplex
  readonly #onControl: ((bytes: Uint8Array) => void) | undefined
  readonly #closed = new AbortController()
  #listener: ((frame: Frame) => void) | undefined
  #rest: Buffer = Buffer.alloc(0)
  #corked = false
  #held: boolean
  #dropped = 0

  constructor (duplex: Duplex, options: FrameStreamOptions) {
    this.#duplex = duplex
    this.takesOffload = options.takesOffload
    this.#onControl = options.onControl
    this.#held = options.held ?? false
    duplex.on('error', () => { duplex.destroy() }) // `close` follows.
    duplex.on('data', (piece: Buffer) => { this.#onData(piece) })
    duplex.on('end', () => { duplex.destroy() })
    duplex.on('close', () => { this.#closed.abort(new Error('the stream of frames has ended')) })
    if (duplex.destroyed) this.#closed.abort(new Error('the stream of frames has ended'))
  }

  get closed (): AbortSignal { return this.#closed.signal }

  /** Frames that were dropped because the other end did not read. */
  get dropped (): number { return this.#dropped }

  onFrame (fn: (frame: Frame) => void): void { this.#listener = fn }

  send ({ bytes, offload }: Frame): void {
    if (this.#held || this.#duplex.writableLength > UNSENT_BYTES_MAX || !this.#writable()) {
      this.#dropped++
      return
    }
    if (offload === undefined) this.#write(bytes.length, bytes)
    else this.#write((OFFLOAD | (OFFLOAD_BYTES + bytes.length)) >>> 0, offload, bytes)
  }

  release (): void { this.#held = false }

  /** Sends bytes to the other end itself; never dropped, so only now and then. */
  control (bytes: Uint8Array): void {
    if (this.#writable()) this.#write((CONTROL | bytes.length) >>> 0, bytes)
  }

  close (): void { this.#duplex.destroy() }

  #writable (): boolean { return !this.#duplex.destroyed && !this.#duplex.writableEnded }

  /** What is written in one turn of the event loop leaves in one system call. */
  #write (head: number, ...parts: Uint8Array[]): void {
    if (!this.#corked) {
      this.#corked = true
      this.#duplex.cork()
      process.nextTick(() => {
        this.#corked = false
        this.#duplex.uncork()
      })
    }
    const length = Buffer.allocUnsafe(LENGTH_BYTES)
    length.writeUInt32BE(head)
    this.#duplex.write(length)
    for (const part of parts) this.#duplex.write(part)
  }

  #onData (piece: Buffer): void {
    const bytes = this.#rest.length === 0 ? piece : Buffer.concat([this.#rest, piece])
    let at = 0
    while (bytes.length - at >= LENGTH_BYTES) {
      const head = bytes.readUInt32BE(at)
      const length = head & ~(OFFLOAD | CONTROL)
      if (length > RECORD_BYTES_MAX) return this.close()
      if (bytes.length - at - LENGTH_BYTES < length) break
      const from = at + LENGTH_BYTES
      at = from + length
      if (!this.#onRecord(head, bytes.subarray(from, at))) return this.close()
    }
    // A copy: what is left must not keep a big piece alive, and pieces are small.
    this.#rest = at === bytes.length ? Buffer.alloc(0) : Buffer.from(bytes.subarray(at))
  }

  /** False when the other end is not of our kind. */
  #onRecord (head: number, record: Buffer): boolean {
    if ((head & CONTROL) !== 0) {
      this.#onControl?.(record)
      return this.#onControl !== undefined
    }
    const headBytes = (head & OFFLOAD) === 0 ? 0 : OFFLOAD_BYTES
    // Shorter ones are no frames: dropped, as any card drops them.
    if (record.length < headBytes + FRAME_BYTES_MIN) return true
    this.#listener?.(headBytes === 0 ? { bytes: record } : { bytes: record.subarray(headBytes), offload: record.subarray(0, headBytes) })
    return true
  }
}
