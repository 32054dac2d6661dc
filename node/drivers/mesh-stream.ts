/**
 * One libp2p stream as whole messages (the port MessageStream). libp2p's own helpers are not used: its `onDrain` resolves at once from the
 * second call on, and its iterators read without bound (DEPENDENCIES.md). Here bytes go into one bounded buffer, the stream is paused above
 * a mark, and every wait has an end.
 */
import type { Stream, StreamCloseEvent, StreamMessageEvent } from '@libp2p/interface'
import { Uint8ArrayList } from 'uint8arraylist'
import { FRAME_HEADER_BYTES, FrameBuffer, PlantError, frameHeader } from '../../protocols/kit/index.ts'
import type { Cancel, Clock, MessageStream, PeerId, StreamLimits } from '../../protocols/kit/index.ts'
import { MESSAGE_BASE_MS, MESSAGE_BYTES_PER_S_MIN, READ_AHEAD_BYTES, SEND_MARK_BYTES } from './mesh-limits.ts'

export class Libp2pMessageStream implements MessageStream {
  readonly peer: PeerId
  readonly protocol: string
  readonly #stream: Stream
  readonly #limits: StreamLimits
  readonly #relayed: boolean
  readonly #clock: Clock
  readonly #frames: FrameBuffer
  readonly #holdBytesMax: number
  readonly #gone = new AbortController()
  #failure: Error | undefined
  /** We ended it: what came before is not to be had any more. After the peer's reset, whole messages still are. */
  #aborted = false
  /** When the message that is under way began to come. */
  #begunMs = 0
  #receiving = false
  /** Called on whatever happens to the stream; there is at most one receiver, and any number of senders. */
  readonly #waiting = new Set<() => void>()

  constructor (stream: Stream, peer: PeerId, protocol: string, limits: StreamLimits, clock: Clock, relayed = false) {
    this.peer = peer
    this.protocol = protocol
    this.#stream = stream
    this.#limits = limits
    this.#relayed = relayed
    this.#clock = clock
    this.#frames = new FrameBuffer(limits.messageBytesMax)
    this.#holdBytesMax = limits.messageBytesMax + FRAME_HEADER_BYTES + READ_AHEAD_BYTES
    const wake = (): void => { for (const fn of this.#waiting) fn() }
    stream.addEventListener('close', (event) => { this.#onClose(event) })
    stream.addEventListener('message', (event) => { this.#onMessage(event) })
    for (const event of ['message', 'remoteCloseWrite', 'end', 'drain', 'idle', 'close'] as const) stream.addEventListener(event, wake)
    if (stream.status !== 'open' && stream.status !== 'closing') this.#end(new PlantError('STREAM_RESET', { peer, protocol }))
  }

  get signal (): AbortSignal { return this.#gone.signal }

  get relayed (): boolean { return this.#relayed }

  async send (message: Uint8Array): Promise<void> { return this.sendPieces([message]) }

  async sendPieces (pieces: readonly Uint8Array[]): Promise<void> {
    const bytes = pieces.reduce((sum, piece) => sum + piece.length, 0)
    if (bytes > this.#limits.messageBytesMax) {
      throw new PlantError('STREAM_TOO_LONG', { bytes, messageBytesMax: this.#limits.messageBytesMax, protocol: this.protocol })
    }
    this.#throwIfGone()
    try {
      this.#stream.send(new Uint8ArrayList(frameHeader(bytes), ...pieces))
    } catch (cause) {
      throw this.#failure ?? new PlantError('STREAM_RESET', this.#where(), { cause })
    }
    const deadlineMs = this.#clock.monotonicMs() + this.#limits.idleTimeoutMs
    // `drain` comes before libp2p has sent on, so that every event only makes us look again.
    const markBytes = this.#limits.sendMarkBytes ?? SEND_MARK_BYTES
    while (this.#stream.writeBufferLength > markBytes) {
      this.#throwIfGone()
      if (await this.#wait(deadlineMs) === 'late') throw this.#fail(new PlantError('STREAM_TIMEOUT', { ...this.#where(), waitedFor: 'the peer to read' }))
    }
  }

  async receive (options: { timeoutMs?: number } = {}): Promise<Uint8Array | undefined> {
    if (this.#receiving) throw new Error('bug: two receivers on one stream')
    this.#receiving = true
    try {
      return await this.#receive(this.#clock.monotonicMs() + (options.timeoutMs ?? this.#limits.idleTimeoutMs))
    } finally {
      this.#receiving = false
    }
  }

  async close (): Promise<void> {
    const timeout = new AbortController()
    const cancel = this.#clock.after(this.#limits.idleTimeoutMs, () => { timeout.abort(new Error('closing took too long')) })
    try {
      await this.#stream.close({ signal: timeout.signal })
      this.#lingerOn()
    } catch (cause) {
      this.#fail(new PlantError('STREAM_RESET', this.#where(), { cause }))
    } finally {
      cancel()
    }
  }

  abort (reason: Error): void {
    this.#fail(reason)
  }

  async #receive (untilMs: number): Promise<Uint8Array | undefined> {
    for (;;) {
      const message = this.#aborted ? undefined : this.#next()
      if (message !== undefined) return message
      if (this.#failure !== undefined) throw this.#failure
      if (this.#remoteEnded()) {
        if (this.#frames.heldBytes === 0) return undefined
        throw this.#fail(new PlantError('STREAM_TRUNCATED', { ...this.#where(), heldBytes: this.#frames.heldBytes }))
      }
      if (await this.#wait(Math.min(untilMs, this.#messageDueMs())) === 'late') {
        const waitedFor = this.#frames.heldBytes > 0 ? 'the rest of a message' : 'a message'
        throw this.#fail(new PlantError('STREAM_TIMEOUT', { ...this.#where(), waitedFor }))
      }
    }
  }

  /** A whole message out of the buffer; a length above the limit resets the stream. */
  #next (): Uint8Array | undefined {
    let message: Uint8Array | undefined
    try {
      message = this.#frames.next()
    } catch (failure) {
      throw this.#fail(failure instanceof PlantError ? new PlantError(failure.code, { ...failure.details, ...this.#where() }) : asError(failure))
    }
    if (message === undefined) return undefined
    this.#begunMs = this.#clock.monotonicMs()
    if (this.#stream.readStatus === 'paused' && this.#frames.heldBytes < this.#holdBytesMax) this.#stream.resume()
    return message
  }

  /** By when the message under way must have come whole; never, when none is. */
  #messageDueMs (): number {
    if (this.#frames.heldBytes === 0) return Infinity
    const announced = Math.min(this.#frames.announced() ?? 0, this.#limits.messageBytesMax)
    return this.#begunMs + MESSAGE_BASE_MS + announced / MESSAGE_BYTES_PER_S_MIN * 1_000
  }

  #remoteEnded (): boolean {
    return this.#stream.readableEnded || (this.#stream.remoteWriteStatus === 'closed' && this.#stream.readBufferLength === 0)
  }

  #onMessage (event: StreamMessageEvent): void {
    if (this.#failure !== undefined) return
    if (this.#frames.heldBytes === 0) this.#begunMs = this.#clock.monotonicMs()
    const data = event.data
    if (data instanceof Uint8Array) this.#frames.push(data)
    else for (const piece of data) this.#frames.push(piece)
    if (this.#frames.heldBytes >= this.#holdBytesMax && this.#stream.readStatus === 'readable') this.#stream.pause()
  }

  #onClose (event: StreamCloseEvent): void {
    if (event.error === undefined) this.#end(undefined)
    else this.#end(new PlantError('STREAM_RESET', this.#where(), { cause: event.error }))
  }

  /** Waits for the next event of the stream, at most until then. */
  async #wait (untilMs: number): Promise<'event' | 'late'> {
    const leftMs = untilMs - this.#clock.monotonicMs()
    if (leftMs <= 0) return 'late'
    return new Promise((resolve) => {
      const done = (outcome: 'event' | 'late'): void => {
        this.#waiting.delete(onEvent)
        cancel?.()
        // A turn later: libp2p sends on after `drain`, and closes its reading end after `message`.
        queueMicrotask(() => { resolve(outcome) })
      }
      const onEvent = (): void => { done('event') }
      const cancel: Cancel | undefined = leftMs === Infinity ? undefined : this.#clock.after(leftMs, () => { done('late') })
      this.#waiting.add(onEvent)
    })
  }

  /** After our end is closed the peer has the idle time to close its own, or longer while we wait for an answer. */
  #lingerOn (): void {
    if (this.#gone.signal.aborted) return
    const cancel = this.#clock.after(this.#limits.idleTimeoutMs, () => {
      if (this.#receiving) this.#lingerOn()
      else this.#fail(new PlantError('STREAM_TIMEOUT', { ...this.#where(), waitedFor: 'the peer to close' }))
    })
    this.#gone.signal.addEventListener('abort', cancel, { once: true })
  }

  #fail (reason: Error): Error {
    this.#aborted = true
    this.#end(reason)
    this.#stream.abort(reason)
    return this.#failure ?? reason
  }

  #end (failure: Error | undefined): void {
    if (this.#gone.signal.aborted) return
    this.#failure = failure
    this.#gone.abort(failure ?? new PlantError('STREAM_RESET', { ...this.#where(), problem: 'closed' }))
    for (const fn of this.#waiting) fn()
  }

  #throwIfGone (): void {
    if (this.#gone.signal.aborted) throw this.#failure ?? new PlantError('STREAM_RESET', { ...this.#where(), problem: 'closed' })
  }

  #where (): { peer: PeerId, protocol: string } { return { peer: this.peer, protocol: this.protocol } }
}

function asError (thrown: unknown): Error { return thrown instanceof Error ? thrown : new Error(String(thrown)) }
