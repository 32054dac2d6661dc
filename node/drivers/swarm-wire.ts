/**
 * BitTorrent's peer wire protocol by bittorrent-protocol's Wire over a stream of bytes (the port PeerWire). What the library leaves unbounded
 * is bounded here: the length of a message (WireFramer), and reading while what we owe the peer is not sent.
 */
import { createHash } from 'node:crypto'
import Wire from 'bittorrent-protocol'
import type { PeerId } from '../../protocols/kit/index.ts'
import type { ByteStream } from '../../storage/swarm/byte-stream.ts'
import { MESSAGE_BYTES_MAX, WIRE_PAUSE_BYTES } from '../../storage/swarm/constants.ts'
import type { PeerWire, WireEvents } from '../../storage/swarm/peer-wire.ts'
import { WireFramer } from './wire-framer.ts'

/** What we use of the library; its types are of an older version. */
interface LibraryWire {
  /**
   * What a Duplex does with bytes that are written to it, at once: `write` would do so a microtask later, and whole messages of a block each
   * would need a buffer of their own until then (a third of the receiver's time went into collecting those).
   */
  _write (bytes: Uint8Array, done: () => void): void
  destroy (): void
  handshake (infoHash: string, peerId: string, extensions: { fast: boolean }): void
  bitfield (bits: Uint8Array): void
  have (piece: number): void
  choke (): void
  unchoke (): void
  interested (): void
  uninterested (): void
  request (piece: number, offset: number, length: number): void
  cancel (piece: number, offset: number, length: number): void
  setKeepAlive (enable: boolean): void
  on (event: string, fn: (...details: never[]) => void): void
}

/** Sent in one piece: an encrypted record and a muxer's frame each cost as much as some kilobytes. */
const BATCH_BYTES = 128 * 1024

/** Extended handshakes (BEP 10) are sent once, or a few times when something changes; we use no extension. */
const EXTENDED_MAX = 8

const done = (): void => {}

/** A wire over a stream of the mesh; `self` is this plant. */
export class BittorrentWire implements PeerWire {
  readonly peer: PeerId
  readonly #self: PeerId
  readonly #stream: ByteStream
  readonly #wire: LibraryWire
  readonly #framer = new WireFramer(MESSAGE_BYTES_MAX)
  #out: Uint8Array[] = []
  #outBytes = 0
  #flushing = false
  #extended = 0
  #paused = false
  #gone = false
  #events: WireEvents | undefined

  constructor (stream: ByteStream, self: PeerId) {
    this.peer = stream.peer
    this.#self = self
    this.#stream = stream
    this.#wire = new Wire() as unknown as LibraryWire
  }

  get queuedBytes (): number { return this.#outBytes + this.#stream.queuedBytes }

  listen (events: WireEvents): void {
    this.#events = events
    this.#wire.on('data', (bytes: Uint8Array) => { this.#send(bytes) })
    this.#wire.on('error', (error: Error) => { this.abort(error) })
    this.#wire.on('close', () => { this.abort(new Error('the peer does not speak BitTorrent')) })
    this.#hear(events)
    this.#wire.setKeepAlive(true)
    this.#stream.listen({
      bytes: (piece) => { this.#receive(piece) },
      drained: () => { this.#drained() },
      gone: (reason) => { this.#end(reason) }
    })
  }

  handshake (infoHash: string): void { this.#wire.handshake(infoHash, bittorrentIdOf(this.#self), { fast: true }) }

  bitfield (bits: Uint8Array): void { this.#wire.bitfield(bits) }

  have (piece: number): void { this.#wire.have(piece) }

  choke (choke: boolean): void {
    if (choke) this.#wire.choke()
    else this.#wire.unchoke()
  }

  interested (interested: boolean): void {
    if (interested) this.#wire.interested()
    else this.#wire.uninterested()
  }

  request (piece: number, offset: number, length: number): void { this.#wire.request(piece, offset, length) }

  cancel (piece: number, offset: number, length: number): void { this.#wire.cancel(piece, offset, length) }

  abort (reason: Error): void {
    if (this.#gone) return
    this.#stream.abort(reason)
    this.#end(reason)
  }

  #hear (events: WireEvents): void {
    const on = (event: string, fn: (...details: never[]) => void): void => {
      this.#wire.on(event, (...details: never[]) => { if (!this.#gone) fn(...details) })
    }
    on('handshake', (infoHash: string, _peerId: string, extensions: { fast: boolean }) => {
      if (extensions.fast) events.handshake(infoHash)
      else this.abort(new Error('the peer lacks the fast extension (BEP 6)'))
    })
    on('bitfield', (field: { buffer: Uint8Array }) => {
      // The library keeps the bytes it was given, which are the framer's.
      field.buffer = field.buffer.slice()
      events.bitfield(field.buffer)
    })
    on('have-all', () => { events.bitfield('all') })
    on('have', (piece: number) => { events.have(piece >>> 0) })
    on('choke', () => { events.choked(true) })
    on('unchoke', () => { events.choked(false) })
    on('interested', () => { events.interested(true) })
    on('uninterested', () => { events.interested(false) })
    on('request', (piece: number, offset: number, length: number, respond: (error: Error | null, bytes?: Uint8Array) => void) => {
      events.request(piece >>> 0, { offset, length, answer: (bytes) => { respond(bytes === undefined ? new Error('refused') : null, bytes) } })
    })
    on('cancel', (piece: number, offset: number) => { events.cancel(piece >>> 0, offset) })
    on('piece', (piece: number, offset: number, bytes: Uint8Array) => { events.block(piece >>> 0, offset, bytes) })
    // The library keeps every name that a peer's extended handshakes ever held.
    on('extended', () => { if (++this.#extended > EXTENDED_MAX) this.abort(new Error('too many extended messages')) })
    on('reject', (piece: number) => { events.refused(piece >>> 0) })
  }

  #receive (bytes: Uint8Array): void {
    if (this.#gone) return
    try {
      if (!this.#framer.push(bytes, (whole) => { this.#wire._write(whole, done) })) this.abort(new Error('a message above the bound'))
    } catch (error) {
      // The library trusts what it decodes.
      this.abort(error instanceof Error ? error : new Error(String(error)))
    }
  }

  #send (bytes: Uint8Array): void {
    if (this.#gone) return
    this.#out.push(bytes)
    this.#outBytes += bytes.length
    if (this.#outBytes >= BATCH_BYTES) {
      this.#flush()
    } else if (!this.#flushing) {
      this.#flushing = true
      setImmediate(() => {
        this.#flushing = false
        this.#flush()
      })
    }
    if (!this.#paused && this.queuedBytes > WIRE_PAUSE_BYTES) {
      this.#paused = true
      this.#stream.pause()
    }
  }

  #flush (): void {
    if (this.#gone || this.#outBytes === 0) return
    const [only] = this.#out
    const bytes = this.#out.length === 1 && only !== undefined ? only : Buffer.concat(this.#out, this.#outBytes)
    this.#out = []
    this.#outBytes = 0
    this.#stream.send(bytes)
  }

  #drained (): void {
    if (this.#gone) return
    if (this.#paused && this.queuedBytes < WIRE_PAUSE_BYTES / 2) {
      this.#paused = false
      this.#stream.resume()
    }
    this.#events?.drained()
  }

  #end (reason: Error | undefined): void {
    if (this.#gone) return
    this.#gone = true
    this.#out = []
    this.#outBytes = 0
    this.#wire.setKeepAlive(false)
    this.#wire.destroy()
    this.#events?.gone(reason)
  }
}

/** The 20 bytes of a BitTorrent peer id, as hex: a client's prefix and a digest. Nobody relies on it, as the stream says who it is. */
function bittorrentIdOf (peer: PeerId): string {
  return Buffer.concat([Buffer.from('-PM0001-'), createHash('sha256').update(peer).digest().subarray(0, 12)]).toString('hex')
}
