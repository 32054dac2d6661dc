/**
 * One end of a stream on a simulated connection (the port MessageStream), with the promises of `node/drivers/mesh-stream.ts`: whole messages in
 * order, a window of unread bytes, a mark above which `send` waits, an idle time, and a peer that closes within it. Messages are not cut into
 * frames; how long their bytes take on a slow link is kept.
 *
 *   open ──close──> half closed ──the peer closes too──> closed
 *     └────── abort, reset, time-out, connection gone ──────> failed
 */
import { PlantError, type Cancel, type Clock, type MessageStream, type PeerId, type StreamLimits } from '../../../protocols/kit/index.ts'
import { never } from '../life.ts'
import type { ConnectionEnd } from './connection.ts'
import { MESSAGE_BASE_MS, MESSAGE_BYTES_PER_S_MIN, SEND_MARK_BYTES, STREAM_WINDOW_BYTES_MAX } from './constants.ts'

/** What the world sees of streams, for its trace; `bytes` are not copied. */
export interface StreamWatch {
  sent (stream: SimStream, message: Uint8Array): void
  received (stream: SimStream, message: Uint8Array): void
  ended (stream: SimStream, reason: Error): void
}

/** One end of a stream; throws STREAM_* as the real one does. */
export class SimStream implements MessageStream {
  readonly peer: PeerId
  readonly protocol: string
  readonly inbound: boolean
  readonly end: ConnectionEnd
  readonly limits: StreamLimits
  readonly #clock: Clock
  readonly #watch: StreamWatch
  readonly #gone = new AbortController()
  #far: SimStream | undefined
  /** Messages that have come and were not taken, and those that wait for room at the other end. */
  #inbox: Uint8Array[] = []
  #outbox: Uint8Array[] = []
  #outboxBytes = 0
  /** Sent and not taken by the peer yet, as far as is known here. */
  #unreadBytes = 0
  /** Read here and not told to the peer yet. */
  #taken = 0
  #closing = false
  #finSent = false
  #remoteEnded = false
  #failure: Error | undefined
  #aborted = false
  #receiving = false
  readonly #waiting = new Set<() => void>()

  constructor (end: ConnectionEnd, protocol: string, limits: StreamLimits, init: { clock: Clock, watch: StreamWatch, inbound: boolean }) {
    this.end = end
    this.peer = end.peer
    this.protocol = protocol
    this.limits = limits
    this.inbound = init.inbound
    this.#clock = init.clock
    this.#watch = init.watch
    end.streams.add(this)
  }

  get signal (): AbortSignal { return this.#gone.signal }
  /** Bytes that wait unsent, and bytes that wait unread. */
  get heldBytes (): number { return this.#outboxBytes + this.#inbox.reduce((sum, message) => sum + message.length, 0) }

  /** The other end; what this end was given to send meanwhile goes out. */
  attach (far: SimStream): void {
    this.#far = far
    if (this.#gone.signal.aborted) this.end.send(0, () => { far.reset() })
    this.#pump()
  }

  async send (message: Uint8Array): Promise<void> {
    if (!this.end.owner.life.may('send')) return never()
    if (message.length > this.limits.messageBytesMax) {
      throw new PlantError('STREAM_TOO_LONG', { bytes: message.length, messageBytesMax: this.limits.messageBytesMax, protocol: this.protocol })
    }
    this.#throwIfGone()
    if (this.#closing) throw new PlantError('STREAM_RESET', { ...this.#where(), problem: 'sent after it was closed' })
    this.#watch.sent(this, message)
    this.#outbox.push(message)
    this.#outboxBytes += message.length
    this.#pump()
    const deadlineMs = this.#clock.monotonicMs() + this.limits.idleTimeoutMs
    while (this.#outboxBytes > SEND_MARK_BYTES) {
      this.#throwIfGone()
      if (!await this.#wait(deadlineMs)) throw this.#fail(new PlantError('STREAM_TIMEOUT', { ...this.#where(), waitedFor: 'the peer to read' }))
    }
  }

  async receive (options: { timeoutMs?: number } = {}): Promise<Uint8Array | undefined> {
    if (this.#receiving) throw new Error('bug: two receivers on one stream')
    this.#receiving = true
    try {
      const untilMs = this.#clock.monotonicMs() + (options.timeoutMs ?? this.limits.idleTimeoutMs)
      for (;;) {
        const message = this.#aborted ? undefined : this.#inbox.shift()
        if (message !== undefined) return this.#take(message)
        if (this.#failure !== undefined) throw this.#failure
        if (this.#remoteEnded) return undefined
        if (!await this.#wait(untilMs)) throw this.#fail(new PlantError('STREAM_TIMEOUT', { ...this.#where(), waitedFor: 'a message' }))
      }
    } finally {
      this.#receiving = false
    }
  }

  async close (): Promise<void> {
    if (this.end.owner.life.dead) return never()
    if (this.#closing || this.#gone.signal.aborted) return
    this.#closing = true
    this.#pump()
    const deadlineMs = this.#clock.monotonicMs() + this.limits.idleTimeoutMs
    while (!this.#finSent && !this.#gone.signal.aborted) {
      if (!await this.#wait(deadlineMs)) this.#fail(new PlantError('STREAM_RESET', { ...this.#where(), problem: 'closing took too long' }))
    }
    this.#lingerOn()
  }

  abort (reason: Error): void { this.#fail(reason) }

  /** The connection under it is gone. */
  connectionGone (reason: Error): void {
    this.#end(reason instanceof PlantError ? reason : new PlantError('STREAM_RESET', this.#where(), { cause: reason }))
  }

  /** The peer has reset it: whole messages that came before are still to be had. */
  reset (): void { this.#end(new PlantError('STREAM_RESET', this.#where())) }

  #take (message: Uint8Array): Uint8Array {
    if (message.length > this.limits.messageBytesMax) throw this.#fail(new PlantError('STREAM_TOO_LONG', { ...this.#where(), announced: message.length }))
    // The peer learns that there is room again once half of the window was read, as yamux does it.
    this.#taken += message.length
    if (this.#taken >= STREAM_WINDOW_BYTES_MAX / 2) {
      const taken = this.#taken
      this.#taken = 0
      this.end.send(0, () => { this.#far?.read(taken) })
    }
    return message
  }

  read (bytes: number): void {
    this.#unreadBytes -= bytes
    this.#pump()
  }

  /** Sends what there is room for at the other end, and then that this end is closed. */
  #pump (): void {
    if (this.#gone.signal.aborted || this.#far === undefined) return
    const far = this.#far
    for (let message = this.#outbox[0]; message !== undefined; message = this.#outbox[0]) {
      if (this.#unreadBytes > 0 && this.#unreadBytes + message.length > STREAM_WINDOW_BYTES_MAX) break
      this.#outbox.shift()
      this.#outboxBytes -= message.length
      this.#unreadBytes += message.length
      const whole = message
      let takesMs = 0
      takesMs = this.end.send(message.length, () => { far.deliver(whole, takesMs) }) / 1_000
    }
    if (this.#closing && !this.#finSent && this.#outbox.length === 0) {
      this.#finSent = true
      this.end.send(0, () => { far.peerClosed() })
      this.#bothClosed()
    }
    this.#wake()
  }

  /** A message has come whole; `takesMs` is how long it was on its way in pieces. */
  deliver (message: Uint8Array, takesMs: number): void {
    if (this.#gone.signal.aborted) return
    if (takesMs > MESSAGE_BASE_MS + message.length / MESSAGE_BYTES_PER_S_MIN * 1_000) {
      this.#fail(new PlantError('STREAM_TIMEOUT', { ...this.#where(), waitedFor: 'the rest of a message' }))
      return
    }
    this.#watch.received(this, message)
    this.#inbox.push(message)
    this.#wake()
  }

  peerClosed (): void {
    this.#remoteEnded = true
    this.#bothClosed()
    this.#wake()
  }

  #bothClosed (): void { if (this.#remoteEnded && this.#finSent) this.#end(undefined) }

  /** After our end is closed the peer has the idle time to close its own, or longer while we wait for an answer. */
  #lingerOn (): void {
    if (this.#gone.signal.aborted) return
    const cancel = this.#clock.after(this.limits.idleTimeoutMs, () => {
      if (this.#receiving) this.#lingerOn()
      else this.#fail(new PlantError('STREAM_TIMEOUT', { ...this.#where(), waitedFor: 'the peer to close' }))
    })
    this.#gone.signal.addEventListener('abort', cancel, { once: true })
  }

  #fail (reason: Error): Error {
    this.#aborted = true
    const far = this.#far
    if (!this.#gone.signal.aborted && far !== undefined && !this.end.owner.life.dead) this.end.send(0, () => { far.reset() })
    this.#end(reason)
    return this.#failure ?? reason
  }

  #end (failure: Error | undefined): void {
    if (this.#gone.signal.aborted) return
    this.end.streams.delete(this)
    if (this.end.owner.life.dead) return
    this.#failure = failure
    const reason = failure ?? new PlantError('STREAM_RESET', { ...this.#where(), problem: 'closed' })
    if (failure !== undefined) this.#watch.ended(this, failure)
    this.#gone.abort(reason)
    this.#wake()
  }

  #throwIfGone (): void {
    if (this.#gone.signal.aborted) throw this.#failure ?? new PlantError('STREAM_RESET', { ...this.#where(), problem: 'closed' })
  }

  #wake (): void { for (const fn of this.#waiting) fn() }

  /** False when nothing happened by then. */
  async #wait (untilMs: number): Promise<boolean> {
    const leftMs = untilMs - this.#clock.monotonicMs()
    if (leftMs <= 0) return false
    return new Promise((resolve) => {
      let cancel: Cancel = () => {}
      const done = (inTime: boolean): void => {
        this.#waiting.delete(onEvent)
        cancel()
        resolve(inTime)
      }
      const onEvent = (): void => { done(true) }
      cancel = this.#clock.after(leftMs, () => { done(false) })
      this.#waiting.add(onEvent)
    })
  }

  #where (): { peer: PeerId, protocol: string } { return { peer: this.peer, protocol: this.protocol } }
}
