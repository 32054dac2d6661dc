/** Streams between simulated processes (the port Transport), bounded as in `node/drivers/mesh-transport.ts`. */
import { PlantError, type Cancel, type Clock, type Log, type MessageStream, type PeerId, type StreamHandler, type StreamLimits, type Transport } from '../../../protocols/kit/index.ts'
import { never, type Life } from '../life.ts'
import type { ConnectionEnd } from './connection.ts'
import { OPEN_TIMEOUT_MS, STREAMS_PER_CONNECTION_MAX } from './constants.ts'
import { SimStream, type StreamWatch } from './stream.ts'

export interface TransportParts {
  self: PeerId
  life: Life
  clock: Clock
  log: Log
  watch: StreamWatch
  /** An open connection to a peer, dialled where there is none. */
  dial (peer: PeerId, signal: AbortSignal): Promise<ConnectionEnd>
  connected (): PeerId[]
  onNeighbour (fn: (peer: PeerId, change: 'joined' | 'left') => void): Cancel
  /** The transport of the process at the other end. */
  transportAt (end: ConnectionEnd): SimTransport
}

interface Served { limits: StreamLimits, handler: StreamHandler, byPeer: Map<PeerId, number>, total: number }

/** The port Transport of one process. */
export class SimTransport implements Transport {
  readonly self: PeerId
  readonly #parts: TransportParts
  readonly #served = new Map<string, Served>()
  readonly #open = new Set<SimStream>()

  constructor (parts: TransportParts) {
    this.#parts = parts
    this.self = parts.self
  }

  /** Streams that are open now, both ways. */
  get streams (): ReadonlySet<SimStream> { return this.#open }

  async open (peer: PeerId, protocol: string, limits: StreamLimits, signal?: AbortSignal): Promise<MessageStream> {
    if (!this.#parts.life.may('open')) return never()
    signal?.throwIfAborted()
    if (peer === this.self) throw new PlantError('PEER_UNREACHABLE', { peer, protocol, problem: 'a peer does not dial itself' })
    const late = new AbortController()
    const cancel = this.#parts.clock.after(OPEN_TIMEOUT_MS, () => { late.abort(new PlantError('PEER_UNREACHABLE', { peer, protocol, problem: 'no answer in time' })) })
    const both = signal === undefined ? late.signal : AbortSignal.any([late.signal, signal])
    try {
      const connection = await this.#parts.dial(peer, both)
      const stream = await this.#negotiate(connection, protocol, limits, both)
      if (signal !== undefined) abortWith(stream, signal)
      return stream
    } catch (cause) {
      signal?.throwIfAborted()
      if (cause instanceof PlantError && cause.code === 'PEER_UNREACHABLE') throw cause
      throw new PlantError('PEER_UNREACHABLE', { peer, protocol, problem: 'the connection broke' }, { cause })
    } finally {
      cancel()
    }
  }

  async handle (protocol: string, limits: StreamLimits, handler: StreamHandler): Promise<Cancel> {
    if (this.#parts.life.dead) return never()
    const served = { limits, handler, byPeer: new Map<PeerId, number>(), total: 0 }
    this.#served.set(protocol, served)
    return () => { if (this.#served.get(protocol) === served) this.#served.delete(protocol) }
  }

  connected (): PeerId[] { return this.#parts.connected() }

  onNeighbour (fn: (peer: PeerId, change: 'joined' | 'left') => void): Cancel { return this.#parts.onNeighbour(fn) }

  /** Names the protocol to the other side and waits for its word: one round trip. */
  async #negotiate (connection: ConnectionEnd, protocol: string, limits: StreamLimits, signal: AbortSignal): Promise<SimStream> {
    signal.throwIfAborted()
    if (connection.streams.size >= STREAMS_PER_CONNECTION_MAX) throw new PlantError('PEER_UNREACHABLE', { peer: connection.peer, protocol, problem: 'too many streams on the connection' })
    const near = this.#track(new SimStream(connection, protocol, limits, { clock: this.#parts.clock, watch: this.#parts.watch, inbound: false }))
    return new Promise<SimStream>((resolve, reject) => {
      const onAbort = (): void => { near.abort(signal.reason instanceof Error ? signal.reason : new Error('aborted')) }
      const onGone = (): void => {
        signal.removeEventListener('abort', onAbort)
        reject(near.signal.reason)
      }
      signal.addEventListener('abort', onAbort, { once: true })
      near.signal.addEventListener('abort', onGone, { once: true })
      const answered = (far: SimStream | undefined): void => {
        signal.removeEventListener('abort', onAbort)
        near.signal.removeEventListener('abort', onGone)
        if (near.signal.aborted) return
        if (far === undefined) {
          const refused = new PlantError('PEER_UNREACHABLE', { peer: connection.peer, protocol, problem: 'does not speak the protocol' })
          near.abort(refused)
          reject(refused)
          return
        }
        resolve(near)
      }
      connection.send(protocol.length + 20, (farEnd) => { this.#parts.transportAt(farEnd).accept(farEnd, protocol, near, answered) })
    })
  }

  /** A peer has named a protocol on a new stream. */
  accept (end: ConnectionEnd, protocol: string, near: SimStream, answered: (far: SimStream | undefined) => void): void {
    const served = this.#served.get(protocol)
    if (served === undefined) {
      end.send(protocol.length + 20, () => { answered(undefined) })
      return
    }
    const far = this.#track(new SimStream(end, protocol, served.limits, { clock: this.#parts.clock, watch: this.#parts.watch, inbound: true }))
    far.attach(near)
    end.send(protocol.length + 20, () => {
      near.attach(far)
      answered(far)
    })
    const ofPeer = served.byPeer.get(end.peer) ?? 0
    if (served.total >= served.limits.inboundMax || ofPeer >= served.limits.inboundPerPeerMax || end.streams.size > STREAMS_PER_CONNECTION_MAX) {
      far.abort(new PlantError('LIMIT', { protocol, bound: 'streams' }))
      return
    }
    served.total++
    served.byPeer.set(end.peer, ofPeer + 1)
    far.signal.addEventListener('abort', () => {
      served.total--
      const left = (served.byPeer.get(end.peer) ?? 1) - 1
      if (left === 0) served.byPeer.delete(end.peer)
      else served.byPeer.set(end.peer, left)
    }, { once: true })
    void this.#serve(far, served.handler)
  }

  /** Never rejects: whatever a handler or a peer does ends in a reset and a line in the log. */
  async #serve (stream: SimStream, handler: StreamHandler): Promise<void> {
    try {
      await handler(stream)
      await stream.close()
    } catch (error) {
      this.#parts.log.debug({ peer: stream.peer, protocol: stream.protocol, error }, 'a stream ended in failure')
      stream.abort(error instanceof Error ? error : new Error(String(error)))
    }
  }

  #track (stream: SimStream): SimStream {
    this.#open.add(stream)
    stream.signal.addEventListener('abort', () => { this.#open.delete(stream) }, { once: true })
    return stream
  }
}

/** The stream ends with the signal; the listener goes with the stream, so that a long-lived signal gathers none. */
function abortWith (stream: SimStream, signal: AbortSignal): void {
  const onAbort = (): void => { stream.abort(signal.reason instanceof Error ? signal.reason : new Error('aborted')) }
  if (signal.aborted) onAbort()
  signal.addEventListener('abort', onAbort, { once: true })
  stream.signal.addEventListener('abort', () => { signal.removeEventListener('abort', onAbort) }, { once: true })
}
