/**
 * A fake network in one process: peers with the Transport port, streams as bounded queues of whole messages. Delay and loss are injected by
 * the test; time comes from the clock it is given. Messages are not framed: tests of framing use real streams.
 */
import { PlantError, type Cancel, type Clock, type MessageStream, type OpenHow, type PeerId, type StreamHandler, type StreamLimits, type Transport } from '../../protocols/kit/index.ts'

/** Messages that wait unread before the sender is held back. */
const QUEUE_MAX = 16

/** What happens to one message: delivered after so many milliseconds, lost (silence), or the stream breaks. */
export type Fate = { delayMs: number } | 'lost' | 'broken'

export interface FakeNetworkInit {
  clock: Clock
  /** Asked for each message; delivered at once when absent. */
  fate?: (from: PeerId, to: PeerId, protocol: string, message: Uint8Array) => Fate
  /** Asked for each new stream; false: the peer cannot be reached. */
  reachable?: (from: PeerId, to: PeerId) => boolean
  /** Asked for each new stream: whether it goes through a relay. */
  relayed?: (from: PeerId, to: PeerId) => boolean
}

export class FakeNetwork {
  readonly #init: FakeNetworkInit
  readonly #peers = new Map<PeerId, FakeTransport>()

  constructor (init: FakeNetworkInit) { this.#init = init }

  /** The transport of a peer; made on first use. Connections to all others are open, to itself too. */
  peer (id: string): FakeTransport {
    const known = this.#peers.get(id as PeerId)
    if (known !== undefined) return known
    const made = new FakeTransport(id as PeerId, this.#init, (to) => this.#peers.get(to), () => [...this.#peers.keys()])
    for (const other of this.#peers.values()) other.tellNeighbour(made.self, 'joined')
    this.#peers.set(made.self, made)
    return made
  }

  /** The peer is gone: its streams break, and nobody reaches it. */
  kill (id: string): void {
    const gone = this.#peers.get(id as PeerId)
    this.#peers.delete(id as PeerId)
    gone?.die()
    for (const other of this.#peers.values()) other.tellNeighbour(id as PeerId, 'left')
  }
}

export class FakeTransport implements Transport {
  readonly self: PeerId
  readonly #init: FakeNetworkInit
  readonly #find: (peer: PeerId) => FakeTransport | undefined
  readonly #all: () => PeerId[]
  readonly #served = new Map<string, { limits: StreamLimits, handler: StreamHandler }>()
  readonly #inbound = new Map<string, Set<FakeStream>>()
  readonly #open = new Set<FakeStream>()
  #dead = false
  readonly #watchers = new Set<(peer: PeerId, change: 'joined' | 'left') => void>()
  /** What handlers threw, for tests that expect it. */
  readonly failures: unknown[] = []

  constructor (self: PeerId, init: FakeNetworkInit, find: (peer: PeerId) => FakeTransport | undefined, all: () => PeerId[]) {
    this.self = self
    this.#init = init
    this.#find = find
    this.#all = all
  }

  /** Streams that are open now, both ways: a test for leaks. */
  get streams (): number { return this.#open.size }

  async open (peer: PeerId, protocol: string, limits: StreamLimits, signal?: AbortSignal, how: OpenHow = {}): Promise<MessageStream> {
    signal?.throwIfAborted()
    const far = this.#find(peer)
    const reachable = (this.#init.reachable?.(this.self, peer) ?? true) && !(how.direct === true && this.#init.relayed?.(this.self, peer) === true)
    if (this.#dead || far === undefined || !reachable || !far.#served.has(protocol)) throw new PlantError('PEER_UNREACHABLE', { peer, protocol })
    const [near, other] = FakeStream.pair(this, far, protocol, limits, this.#init)
    far.#accept(other)
    const onAbort = (): void => { near.abort(new PlantError('STREAM_RESET', { protocol })) }
    signal?.addEventListener('abort', onAbort, { once: true })
    near.signal.addEventListener('abort', () => { signal?.removeEventListener('abort', onAbort) }, { once: true })
    return near
  }

  async handle (protocol: string, limits: StreamLimits, handler: StreamHandler): Promise<Cancel> {
    this.#served.set(protocol, { limits, handler })
    return () => { this.#served.delete(protocol) }
  }

  connected (): PeerId[] { return this.#all().filter((peer) => peer !== this.self) }

  onNeighbour (fn: (peer: PeerId, change: 'joined' | 'left') => void): Cancel {
    this.#watchers.add(fn)
    return () => { this.#watchers.delete(fn) }
  }

  tellNeighbour (peer: PeerId, change: 'joined' | 'left'): void {
    for (const fn of this.#watchers) fn(peer, change)
  }

  limitsOf (protocol: string): StreamLimits | undefined { return this.#served.get(protocol)?.limits }

  /** Its process is gone: what still runs of it reaches nobody. */
  die (): void {
    this.#dead = true
    this.breakAll()
  }

  breakAll (): void {
    for (const stream of this.#open) stream.abort(new PlantError('STREAM_RESET', { problem: 'peer gone' }))
  }

  track (stream: FakeStream): void {
    this.#open.add(stream)
    stream.signal.addEventListener('abort', () => { this.#open.delete(stream) }, { once: true })
  }

  #accept (stream: FakeStream): void {
    const served = this.#served.get(stream.protocol)
    if (served === undefined) return
    const streams = this.#inbound.get(stream.protocol) ?? new Set()
    this.#inbound.set(stream.protocol, streams)
    const ofPeer = [...streams].filter((other) => other.peer === stream.peer).length
    if (streams.size >= served.limits.inboundMax || ofPeer >= served.limits.inboundPerPeerMax) {
      stream.abort(new PlantError('STREAM_RESET', { problem: 'too many streams' }))
      return
    }
    streams.add(stream)
    stream.signal.addEventListener('abort', () => { streams.delete(stream) }, { once: true })
    served.handler(stream).catch((failure: unknown) => {
      this.failures.push(failure)
      stream.abort(failure instanceof Error ? failure : new Error(String(failure)))
    })
  }
}

class FakeStream implements MessageStream {
  readonly peer: PeerId
  readonly protocol: string
  readonly relayed: boolean
  readonly #owner: PeerId
  readonly #limits: StreamLimits
  readonly #init: FakeNetworkInit
  readonly #gone = new AbortController()
  #far!: FakeStream
  #inbox: Uint8Array[] = []
  /** Under way or waiting at the far end. */
  #outstanding = 0
  #closed = false
  #ended = false
  #lastDue = 0
  /** A message of ours was lost: nothing more gets through, not even that we closed. */
  #mute = false
  readonly #waiters = new Set<() => void>()

  static pair (near: FakeTransport, far: FakeTransport, protocol: string, limits: StreamLimits, init: FakeNetworkInit): [FakeStream, FakeStream] {
    const a = new FakeStream(near.self, far.self, protocol, limits, init)
    const b = new FakeStream(far.self, near.self, protocol, far.limitsOf(protocol) ?? limits, init)
    a.#far = b
    b.#far = a
    near.track(a)
    far.track(b)
    return [a, b]
  }

  constructor (owner: PeerId, peer: PeerId, protocol: string, limits: StreamLimits, init: FakeNetworkInit) {
    this.#owner = owner
    this.peer = peer
    this.protocol = protocol
    this.#limits = limits
    this.#init = init
    this.relayed = init.relayed?.(owner, peer) ?? false
  }

  get signal (): AbortSignal { return this.#gone.signal }

  async send (message: Uint8Array): Promise<void> {
    if (message.length > this.#limits.messageBytesMax) throw new PlantError('STREAM_TOO_LONG', { bytes: message.length })
    this.#throwIfGone()
    this.#outstanding++
    const fate = this.#init.fate?.(this.#owner, this.peer, this.protocol, message) ?? { delayMs: 0 }
    if (fate === 'broken') this.abort(new PlantError('STREAM_RESET', { problem: 'injected' }))
    else if (fate === 'lost') this.#mute = true
    else if (!this.#mute) this.#later(fate.delayMs, () => { this.#far.#deliver(message) })
    const untilMs = this.#init.clock.monotonicMs() + this.#limits.idleTimeoutMs
    while (this.#outstanding > QUEUE_MAX) {
      this.#throwIfGone()
      if (!await this.#wait(untilMs)) throw this.#fail(new PlantError('STREAM_TIMEOUT', { protocol: this.protocol }))
    }
  }

  async receive (options: { timeoutMs?: number } = {}): Promise<Uint8Array | undefined> {
    const untilMs = this.#init.clock.monotonicMs() + (options.timeoutMs ?? this.#limits.idleTimeoutMs)
    for (;;) {
      const message = this.#inbox.shift()
      if (message !== undefined) {
        this.#far.#outstanding--
        this.#far.#wake()
        if (message.length > this.#limits.messageBytesMax) throw this.#fail(new PlantError('STREAM_TOO_LONG', { bytes: message.length }))
        return message
      }
      this.#throwIfGone()
      if (this.#ended) return undefined
      if (!await this.#wait(untilMs)) throw this.#fail(new PlantError('STREAM_TIMEOUT', { protocol: this.protocol }))
    }
  }

  async close (): Promise<void> {
    if (this.#closed || this.#gone.signal.aborted) return
    this.#closed = true
    // As the real streams do: the peer has the idle time to close its own end.
    const linger = this.#init.clock.after(this.#limits.idleTimeoutMs, () => { this.#fail(new PlantError('STREAM_TIMEOUT', { protocol: this.protocol })) })
    this.#gone.signal.addEventListener('abort', linger, { once: true })
    if (this.#mute) return
    this.#later(0, () => {
      this.#far.#ended = true
      this.#far.#wake()
      if (this.#ended) this.#endBoth()
    })
  }

  abort (reason: Error): void { this.#fail(reason) }

  /** In order, never before what was sent earlier. */
  #later (delayMs: number, fn: () => void): void {
    const nowMs = this.#init.clock.monotonicMs()
    this.#lastDue = Math.max(this.#lastDue, nowMs + delayMs)
    if (this.#lastDue <= nowMs) fn()
    else this.#init.clock.after(this.#lastDue - nowMs, fn)
  }

  #deliver (message: Uint8Array): void {
    if (this.#gone.signal.aborted) return
    this.#inbox.push(message)
    this.#wake()
  }

  #endBoth (): void {
    const closed = new PlantError('STREAM_RESET', { problem: 'closed' })
    // What has arrived may still be read.
    for (const end of [this, this.#far]) {
      end.#ended = true
      if (!end.#gone.signal.aborted) end.#gone.abort(closed)
      end.#wake()
    }
  }

  #fail (reason: Error): Error {
    for (const end of [this, this.#far]) {
      if (end.#gone.signal.aborted) continue
      if (end === this) end.#inbox = []
      end.#gone.abort(end === this ? reason : new PlantError('STREAM_RESET', { protocol: this.protocol }))
      end.#wake()
    }
    return reason
  }

  #throwIfGone (): void {
    if (this.#gone.signal.aborted && !this.#ended) throw this.#gone.signal.reason
  }

  #wake (): void { for (const fn of this.#waiters) fn() }

  async #wait (untilMs: number): Promise<boolean> {
    const leftMs = untilMs - this.#init.clock.monotonicMs()
    if (leftMs <= 0) return false
    return new Promise((resolve) => {
      const done = (inTime: boolean) => () => {
        this.#waiters.delete(onEvent)
        cancel()
        resolve(inTime)
      }
      const onEvent = done(true)
      const cancel = this.#init.clock.after(leftMs, done(false))
      this.#waiters.add(onEvent)
    })
  }
}
