/**
 * One libp2p stream as bytes (the port ByteStream). What is handed over is held by libp2p until it is sent; the caller keeps to `queuedBytes`.
 * Paused, the peer may send one more window, which libp2p holds.
 */
import type { Stream, StreamMessageEvent } from '@libp2p/interface'
import type { PeerId } from '../../protocols/kit/index.ts'
import type { ByteEvents, ByteStream } from '../../storage/swarm/byte-stream.ts'

export class Libp2pByteStream implements ByteStream {
  readonly peer: PeerId
  readonly #stream: Stream
  readonly #gone = new AbortController()
  #events: ByteEvents | undefined
  #failure: Error | undefined

  constructor (stream: Stream, peer: PeerId) {
    this.peer = peer
    this.#stream = stream
    stream.addEventListener('close', (event) => { this.#end(event.error) })
    // A wire that is half closed is of no use: whatever it would still say, we have nothing to answer.
    stream.addEventListener('remoteCloseWrite', () => { this.abort(new Error('the peer closed the stream')) })
    if (stream.status !== 'open') this.#end(new Error('the stream is closed'))
  }

  /** Aborted when the stream is gone. */
  get signal (): AbortSignal { return this.#gone.signal }

  get queuedBytes (): number { return this.#stream.writeBufferLength }

  listen (events: ByteEvents): void {
    this.#events = events
    if (this.#gone.signal.aborted) {
      // Later, as if it ended just after: the caller is not in the midst of its own construction then.
      queueMicrotask(() => { events.gone(this.#failure) })
      return
    }
    // After `drain` libp2p sends on in a microtask of its own, which was asked for before ours.
    const drained = (): void => { queueMicrotask(() => { if (!this.#gone.signal.aborted) events.drained() }) }
    this.#stream.addEventListener('drain', drained)
    this.#stream.addEventListener('idle', drained)
    this.#stream.addEventListener('message', (event: StreamMessageEvent) => {
      if (event.data instanceof Uint8Array) events.bytes(event.data)
      else for (const piece of event.data) events.bytes(piece)
    })
  }

  send (bytes: Uint8Array): void {
    if (this.#gone.signal.aborted) return
    try {
      this.#stream.send(bytes)
    } catch (error) {
      this.abort(error instanceof Error ? error : new Error(String(error)))
    }
  }

  pause (): void { if (this.#stream.readStatus === 'readable') this.#stream.pause() }

  resume (): void { if (this.#stream.readStatus === 'paused') this.#stream.resume() }

  abort (reason: Error): void {
    this.#end(reason)
    this.#stream.abort(reason)
  }

  #end (reason: Error | undefined): void {
    if (this.#gone.signal.aborted) return
    this.#failure = reason
    this.#gone.abort(reason)
    this.#events?.gone(reason)
  }
}
