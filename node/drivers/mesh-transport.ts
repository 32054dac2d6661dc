/** Streams to peers over libp2p (the port Transport), bounded per protocol and per peer. */
import { peerIdFromString } from '@libp2p/peer-id'
import type { Connection, Libp2p, Stream } from '@libp2p/interface'
import { PlantError } from '../../protocols/kit/index.ts'
import type { Cancel, Clock, Log, MessageStream, OpenHow, PeerId, StreamHandler, StreamLimits, Transport } from '../../protocols/kit/index.ts'
import type { ByteStream, ByteStreamLimits, ByteTransport } from '../../storage/swarm/byte-stream.ts'
import type { Admission } from './mesh-admission.ts'
import { OPEN_TIMEOUT_MS, STREAMS_PER_CONNECTION_MAX } from './mesh-limits.ts'
import { Libp2pByteStream } from './mesh-bytes.ts'
import type { MeshPaths } from './mesh-paths.ts'
import { Libp2pMessageStream } from './mesh-stream.ts'
import { OwnConnections } from './own-connections.ts'

export interface MeshTransportComponents {
  node: Libp2p
  admission: Admission
  /** Ways to peers that stand behind a gateway. */
  paths: Pick<MeshPaths, 'prepare'>
  clock: Clock
  log: Log
}

/** Streams open from each peer under one protocol; peers without any are not in it, so that it is as long as there are streams. */
class InboundCount {
  readonly #limits: ByteStreamLimits
  readonly #byPeer = new Map<string, number>()
  #total = 0

  constructor (limits: ByteStreamLimits) { this.#limits = limits }

  /** Takes a place and returns what gives it back, or undefined when all are taken. */
  enter (peer: string): Cancel | undefined {
    const ofPeer = this.#byPeer.get(peer) ?? 0
    if (this.#total >= this.#limits.inboundMax || ofPeer >= this.#limits.inboundPerPeerMax) return undefined
    this.#total++
    this.#byPeer.set(peer, ofPeer + 1)
    let left = false
    return () => {
      if (left) return
      left = true
      this.#total--
      const now = (this.#byPeer.get(peer) ?? 1) - 1
      if (now === 0) this.#byPeer.delete(peer)
      else this.#byPeer.set(peer, now)
    }
  }
}

/** Streams over libp2p, to and from admitted neighbours only. */
export class MeshTransport implements Transport, ByteTransport {
  readonly self: PeerId
  readonly #c: MeshTransportComponents
  readonly #connections: OwnConnections

  constructor (components: MeshTransportComponents) {
    this.#c = components
    this.#connections = new OwnConnections(components)
    this.self = components.node.peerId.toString() as PeerId
  }

  async open (peer: PeerId, protocol: string, limits: StreamLimits, signal?: AbortSignal, how: OpenHow = {}): Promise<MessageStream> {
    const { stream, connection } = await this.#openInTime(peer, protocol, signal, { ...how, own: limits.ownConnection === true })
    const messages = new Libp2pMessageStream(stream, peer, protocol, limits, this.#c.clock, !connection.direct)
    if (signal !== undefined) abortWith(messages, signal)
    return messages
  }

  async openBytes (peer: PeerId, protocol: string, signal: AbortSignal): Promise<ByteStream> {
    return new Libp2pByteStream((await this.#openInTime(peer, protocol, signal)).stream, peer)
  }

  async handle (protocol: string, limits: StreamLimits, handler: StreamHandler): Promise<Cancel> {
    return this.#handle(protocol, limits, (stream, connection, leave) => {
      if (limits.ownConnection === true) this.#connections.enter(stream, connection)
      void this.#serve(stream, connection, protocol, limits, handler, leave)
    })
  }

  async handleBytes (protocol: string, limits: ByteStreamLimits, handler: (stream: ByteStream) => void): Promise<Cancel> {
    return this.#handle(protocol, limits, (stream, connection, leave) => { void this.#serveBytes(stream, connection, handler, leave) })
  }

  connected (): PeerId[] { return this.#c.admission.neighbours() }

  /** Connections to the peer that are for all streams, direct ones first. */
  ordinary (peer: PeerId): Connection[] {
    return this.#c.node.getConnections(peerIdFromString(peer)).filter((connection) => connection.status === 'open' && !this.#connections.isOwn(connection)).toSorted((a, b) => Number(b.direct) - Number(a.direct))
  }

  /** Whether a connection to the peer is open that goes through no relay; new streams take it. */
  isDirect (peer: PeerId): boolean { return this.#c.node.getConnections(peerIdFromString(peer)).some(({ direct, status }) => direct && status === 'open') }

  onNeighbour (fn: (peer: PeerId, change: 'joined' | 'left') => void): Cancel { return this.#c.admission.onNeighbour(fn) }

  async #handle (protocol: string, limits: ByteStreamLimits, serve: (stream: Stream, connection: Connection, leave: Cancel) => void): Promise<Cancel> {
    const count = new InboundCount(limits)
    // libp2p counts by connection; we count by peer and in all, so that its own bound is only the muxer's.
    await this.#c.node.handle(protocol, (stream, connection) => {
      const leave = count.enter(connection.remotePeer.toString())
      if (leave === undefined) stream.abort(new PlantError('LIMIT', { protocol, bound: 'streams' }))
      else serve(stream, connection, leave)
    }, { maxInboundStreams: STREAMS_PER_CONNECTION_MAX, maxOutboundStreams: STREAMS_PER_CONNECTION_MAX, runOnLimitedConnection: true })
    return () => {
      this.#c.node.unhandle(protocol).catch((error: unknown) => { this.#c.log.debug({ protocol, error }, 'could not take back a protocol') })
    }
  }

  async #openInTime (peer: PeerId, protocol: string, signal: AbortSignal | undefined, how: OpenHow & { own?: boolean } = {}): Promise<{ stream: Stream, connection: Connection }> {
    signal?.throwIfAborted()
    const late = new AbortController()
    const cancel = this.#c.clock.after(OPEN_TIMEOUT_MS, () => { late.abort(new PlantError('PEER_UNREACHABLE', { peer, protocol, problem: 'no answer in time' })) })
    const both = signal === undefined ? late.signal : AbortSignal.any([late.signal, signal])
    try {
      return await this.#open(peer, protocol, both, how)
    } catch (cause) {
      signal?.throwIfAborted()
      if (cause instanceof PlantError) throw cause
      throw new PlantError('PEER_UNREACHABLE', { peer, protocol, problem: problemOf(cause) }, { cause })
    } finally {
      cancel()
    }
  }

  async #open (peer: PeerId, protocol: string, signal: AbortSignal, how: OpenHow & { own?: boolean }): Promise<{ stream: Stream, connection: Connection }> {
    await this.#c.paths.prepare(peer, signal)
    const connection = how.own === true ? await this.#connections.own(peer, how, signal) : await this.#connections.ordinary(peer, how, signal)
    const release = this.#connections.hold(connection)
    try {
      if (!await this.#c.admission.admitted(connection)) throw new PlantError('PEER_UNREACHABLE', { peer, protocol, problem: 'not of this mesh' })
      const stream = await connection.newStream(protocol, { signal, maxOutboundStreams: STREAMS_PER_CONNECTION_MAX, runOnLimitedConnection: true })
      if (how.own === true) this.#connections.enter(stream, connection)
      return { stream, connection }
    } finally {
      release()
    }
  }

  /** Never rejects. The handler gets the stream once the peer is admitted; until then nothing of it is read. */
  async #serveBytes (stream: Stream, connection: Connection, handler: (stream: ByteStream) => void, leave: Cancel): Promise<void> {
    const bytes = new Libp2pByteStream(stream, connection.remotePeer.toString() as PeerId)
    bytes.signal.addEventListener('abort', leave, { once: true })
    if (bytes.signal.aborted) leave()
    try {
      if (!await this.#c.admission.admitted(connection)) throw new PlantError('NOT_AUTHORISED', { peer: bytes.peer, problem: 'not of this mesh' })
      handler(bytes)
    } catch (error) {
      bytes.abort(error instanceof Error ? error : new Error(String(error)))
    }
  }

  /** Never rejects: whatever a handler or a peer does ends in a reset and a line in the log. */
  async #serve (stream: Stream, connection: Connection, protocol: string, limits: StreamLimits, handler: StreamHandler, leave: Cancel): Promise<void> {
    const peer = connection.remotePeer.toString() as PeerId
    const messages = new Libp2pMessageStream(stream, peer, protocol, limits, this.#c.clock, !connection.direct)
    messages.signal.addEventListener('abort', leave, { once: true })
    if (messages.signal.aborted) leave()
    try {
      if (!await this.#c.admission.admitted(connection)) throw new PlantError('NOT_AUTHORISED', { peer, problem: 'not of this mesh' })
      if (messages.signal.aborted) return // Reset before anyone could look at it.
      await handler(messages)
      await messages.close()
    } catch (error) {
      this.#c.log.debug({ peer, protocol, error }, 'a stream ended in failure')
      messages.abort(error instanceof Error ? error : new Error(String(error)))
    }
  }
}

/** The stream ends with the signal; the listener goes with the stream, so that a long-lived signal gathers none. */
function abortWith (stream: MessageStream, signal: AbortSignal): void {
  const onAbort = (): void => { stream.abort(signal.reason instanceof Error ? signal.reason : new Error('aborted')) }
  if (signal.aborted) onAbort()
  signal.addEventListener('abort', onAbort, { once: true })
  stream.signal.addEventListener('abort', () => { signal.removeEventListener('abort', onAbort) }, { once: true })
}

function problemOf (cause: unknown): string {
  if (!(cause instanceof Error)) return 'unknown'
  return cause.name === 'UnsupportedProtocolError' ? 'does not speak the protocol' : cause.name
}
