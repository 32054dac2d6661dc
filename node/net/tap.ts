/**
 * A TAP as a Device. Frames come and go with virtio-net headers, so that one system call moves up to 64 KiB of a flow (NETWORKS.md: 0.98 of the bare link,
 * against 0.37 without). All reads are of one descriptor in one thread: frames stay in the order in which the kernel queued them.
 */
import type { Device, Frame } from '../../protocols/tunnel/types.ts'
import { NET_HEADER_BYTES, isSound, needsOffload } from '../../protocols/tunnel/offload.ts'
import { libc } from './libc.ts'
import type { Libc } from './libc.ts'
import { loopReader } from './loop-reader.ts'
import type { LoopReader } from './loop-reader.ts'
import { openTapDevice } from './tap-open.ts'
import type { OpenTap, TapInit } from './tap-open.ts'

/** Frames and bytes since it was opened; `sent` went into the host, `dropped` could not. */
export interface TapCounts { received: number, receivedBytes: number, sent: number, sentBytes: number, dropped: number }

export interface Tap extends Device {
  /** The interface's name, as the kernel gave it. */
  readonly name: string
  /** The interface's own MAC, lower case. */
  readonly mac: string
  readonly mtu: number
  readonly counts: Readonly<TapCounts>
}

/** An IP packet of 65,535 bytes, its Ethernet header with a VLAN tag, and the virtio-net header. */
const READ_BYTES_MAX = NET_HEADER_BYTES + 18 + 65_535
/** Frames are read into pieces of memory of this size and stay there: four of the longest. */
const SLAB_BYTES = 4 * READ_BYTES_MAX
/** Shorter frames are copied into memory of their own: one that waits in a queue would hold the whole slab. */
const COPIED_BYTES_MAX = 2_048
/** Reads before the event loop gets its turn: some 0.3 ms when all are of 64 KiB. */
const READS_PER_TURN_MAX = 32
const ETHERNET_BYTES = 14
const NO_OFFLOAD = new Uint8Array(NET_HEADER_BYTES)

/** Opens or makes a TAP, up at once. Throws TAP_UNAVAILABLE (`details.mend` says what to type) and CONFIG_INVALID. */
export function openTap (init: TapInit = {}): Tap {
  const opened = openTapDevice(init)
  const c = libc()
  if ('problem' in c) throw new Error(`bug: a TAP without a C library: ${c.problem}`)
  return new TapDevice(c.libc, opened)
}

class TapDevice implements Tap {
  readonly takesOffload = true
  readonly name: string
  readonly mac: string
  readonly mtu: number
  readonly counts: TapCounts = { received: 0, receivedBytes: 0, sent: 0, sentBytes: 0, dropped: 0 }
  readonly #c: Libc
  readonly #reader: LoopReader
  readonly #gone = new AbortController()
  readonly #out = new Uint8Array(READ_BYTES_MAX)
  #slab = Buffer.allocUnsafeSlow(SLAB_BYTES)
  #slabAt = 0
  #listener: ((frame: Frame) => void) | undefined

  constructor (c: Libc, opened: OpenTap) {
    this.#c = c
    this.name = opened.name
    this.mac = opened.mac
    this.mtu = opened.mtu
    this.#reader = loopReader(c, opened.fd, READ_BYTES_MAX, {
      bytes: (bytes) => { this.#onFirst(bytes) },
      gone: (error) => { this.#gone.abort(error ?? new Error('the TAP was closed')) }
    })
  }

  get closed (): AbortSignal { return this.#gone.signal }

  onFrame (fn: (frame: Frame) => void): void { this.#listener = fn }

  send ({ bytes, offload = NO_OFFLOAD }: Frame): void {
    if (this.#gone.signal.aborted || bytes.length < ETHERNET_BYTES || NET_HEADER_BYTES + bytes.length > READ_BYTES_MAX || !isSound(bytes, offload)) {
      this.counts.dropped++
      return
    }
    const count = NET_HEADER_BYTES + bytes.length
    const taken = this.#c.write(this.#reader.fd, this.#inOne(bytes, offload), count)
    // EAGAIN: it is behind. EIO: it is down. Otherwise it is gone, which its reader is told.
    if (taken !== count) {
      this.counts.dropped++
      return
    }
    this.counts.sent++
    this.counts.sentBytes += bytes.length
  }

  close (): void {
    if (this.#gone.signal.aborted) return
    this.#gone.abort(new Error('the TAP was closed'))
    this.#reader.close()
  }

  /** Header and frame side by side, as one read of another TAP left them, or copied. */
  #inOne (bytes: Uint8Array, offload: Uint8Array): Uint8Array {
    if (offload.buffer === bytes.buffer && offload.byteOffset + NET_HEADER_BYTES === bytes.byteOffset) {
      return new Uint8Array(bytes.buffer, offload.byteOffset, NET_HEADER_BYTES + bytes.length)
    }
    this.#out.set(offload)
    this.#out.set(bytes, NET_HEADER_BYTES)
    return this.#out
  }

  /** libuv read one frame; the others that are there are read at once, so that they can go out together. */
  #onFirst (first: Uint8Array): void {
    this.#slabFor(first.length).set(first)
    this.#take(first.length)
    for (let i = 1; i < READS_PER_TURN_MAX && !this.#gone.signal.aborted; i++) {
      const count = this.#c.read(this.#reader.fd, this.#slabFor(READ_BYTES_MAX), READ_BYTES_MAX)
      if (count <= 0) return // Nothing more; whatever went wrong is met again by libuv's next read.
      this.#take(count)
    }
  }

  #slabFor (bytes: number): Uint8Array {
    if (this.#slab.length - this.#slabAt < bytes) {
      this.#slab = Buffer.allocUnsafeSlow(SLAB_BYTES)
      this.#slabAt = 0
    }
    return this.#slab.subarray(this.#slabAt, this.#slabAt + bytes)
  }

  /** Hands on what was just read to where the slab stands. */
  #take (count: number): void {
    if (count < NET_HEADER_BYTES + ETHERNET_BYTES) return
    let read = this.#slab.subarray(this.#slabAt, this.#slabAt + count)
    if (count <= COPIED_BYTES_MAX) read = Buffer.from(read)
    else this.#slabAt += count
    const offload = read.subarray(0, NET_HEADER_BYTES)
    const bytes = read.subarray(NET_HEADER_BYTES)
    this.counts.received++
    this.counts.receivedBytes += bytes.length
    this.#listener?.(needsOffload(offload) ? { bytes, offload } : { bytes })
  }
}
