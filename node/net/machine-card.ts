/**
 * A machine's card as a Device: the stream that a production line hands out (`LiveMachine.network()`), each frame after its length in four bytes. What
 * comes is bounded there (it is read whether we keep up or not); what goes is bounded here, in whole frames: the stream must never be cut within one.
 */
import type { Duplex } from 'node:stream'
import type { Device, Frame } from '../../protocols/tunnel/types.ts'

export interface MachineCardCounts { received: number, sent: number, dropped: number }

export interface MachineCard extends Device {
  readonly counts: Readonly<MachineCardCounts>
}

/** What waits for a guest that does not read: 2 ms at a Gbit/s, 200 ms at what an emulated guest of 10 Mbit/s takes. Its socket holds as much again. */
const UNREAD_BYTES_MAX = 256 * 1024
const LENGTH_BYTES = 4
const ETHERNET_BYTES = 14
/** What QEMU's stream takes of one frame (NET_BUFSIZE), and more than any card without offloads gives. */
const FRAME_BYTES_MAX = 68 * 1024

/** Takes over the stream: ends with it, and ends it. */
export function machineCard (stream: Duplex): MachineCard { return new StreamCard(stream) }

class StreamCard implements MachineCard {
  readonly takesOffload = false
  readonly counts: MachineCardCounts = { received: 0, sent: 0, dropped: 0 }
  readonly #stream: Duplex
  readonly #gone = new AbortController()
  /** Of a frame that came in pieces, with its length. */
  #begun: Buffer[] = []
  #begunBytes = 0
  /** What the frame begun will have, with its length; unknown until its length is whole. */
  #wholeBytes: number | undefined
  #listener: ((frame: Frame) => void) | undefined

  constructor (stream: Duplex) {
    this.#stream = stream
    stream.on('data', (piece: Buffer) => { this.#onData(piece) })
    stream.on('error', (error) => { this.#end(error) })
    stream.on('end', () => { this.#end(new Error('the machine\'s card has gone')) })
    stream.on('close', () => { this.#end(new Error('the machine\'s card has gone')) })
    if (stream.destroyed) this.#end(new Error('the machine\'s card has gone'))
  }

  get closed (): AbortSignal { return this.#gone.signal }

  onFrame (fn: (frame: Frame) => void): void { this.#listener = fn }

  send ({ bytes, offload }: Frame): void {
    if (this.#gone.signal.aborted || offload !== undefined || bytes.length < ETHERNET_BYTES || bytes.length > FRAME_BYTES_MAX ||
      this.#stream.writableLength + LENGTH_BYTES + bytes.length > UNREAD_BYTES_MAX) {
      this.counts.dropped++
      return
    }
    const out = Buffer.allocUnsafe(LENGTH_BYTES + bytes.length)
    out.writeUInt32BE(bytes.length)
    out.set(bytes, LENGTH_BYTES)
    this.#stream.write(out)
    this.counts.sent++
  }

  close (): void { this.#end(new Error('the machine\'s card was closed')) }

  #end (reason: Error): void {
    if (this.#gone.signal.aborted) return
    this.#begun = []
    this.#gone.abort(reason)
    this.#stream.destroy()
  }

  /** Frames that lie whole in one piece are handed on without being copied. */
  #onData (piece: Buffer): void {
    let rest = piece
    while (rest.length > 0 && !this.#gone.signal.aborted) {
      if (this.#begunBytes === 0 && rest.length >= LENGTH_BYTES) {
        const wholeBytes = LENGTH_BYTES + rest.readUInt32BE(0)
        if (wholeBytes <= rest.length) {
          this.#onWhole(rest.subarray(LENGTH_BYTES, wholeBytes))
          rest = rest.subarray(wholeBytes)
          continue
        }
      }
      rest = this.#gather(rest)
    }
  }

  /** Adds to the frame begun what belongs to it; returns what does not. */
  #gather (piece: Buffer): Buffer {
    const wanted = (this.#wholeBytes ?? LENGTH_BYTES) - this.#begunBytes
    const taken = piece.subarray(0, wanted)
    this.#begun.push(taken)
    this.#begunBytes += taken.length
    if (taken.length === wanted) {
      if (this.#wholeBytes === undefined) {
        this.#wholeBytes = LENGTH_BYTES + Buffer.concat(this.#begun).readUInt32BE(0)
        if (this.#wholeBytes > LENGTH_BYTES + FRAME_BYTES_MAX) this.#outOfStep(this.#wholeBytes - LENGTH_BYTES)
        return piece.subarray(wanted)
      }
      const whole = Buffer.concat(this.#begun)
      this.#begun = []
      this.#begunBytes = 0
      this.#wholeBytes = undefined
      this.#onWhole(whole.subarray(LENGTH_BYTES))
    }
    return piece.subarray(wanted)
  }

  #onWhole (bytes: Buffer): void {
    if (bytes.length > FRAME_BYTES_MAX) {
      this.#outOfStep(bytes.length)
    } else if (bytes.length < ETHERNET_BYTES) {
      this.counts.dropped++
    } else {
      this.counts.received++
      this.#listener?.({ bytes })
    }
  }

  /** No card gives such a frame, so that this is no length: where frames begin is not known any more. */
  #outOfStep (frameBytes: number): void { this.#end(new RangeError(`a frame of ${frameBytes} bytes`)) }
}
