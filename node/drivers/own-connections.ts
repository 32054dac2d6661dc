/**
 * Connections that carry the streams of one kind only (`StreamLimits.ownConnection`): one for each peer, beside the one that all else goes over, so that bulk
 * there holds up nothing here. Either end may have dialled it; a few seconds after its last stream it is closed.
 */
import { peerIdFromString } from '@libp2p/peer-id'
import type { Connection, Libp2p, PeerId as Libp2pPeerId, Stream } from '@libp2p/interface'
import { multiaddr, type Multiaddr } from '@multiformats/multiaddr'
import { PlantError } from '../../protocols/kit/index.ts'
import type { Cancel, Clock, Log, OpenHow, PeerId } from '../../protocols/kit/index.ts'
import type { Admission } from './mesh-admission.ts'
import { OWN_CONNECTION_IDLE_MS } from './mesh-limits.ts'

export interface OwnConnectionsComponents { node: Libp2p, admission: Admission, clock: Clock, log: Log }

/** Which connection a stream goes over. */
export class OwnConnections {
  readonly #c: OwnConnectionsComponents
  /** Streams on each; a connection is in it from its first stream (or dial) on until it closes. */
  readonly #streams = new Map<Connection, number>()
  readonly #dials = new Map<string, Promise<Connection>>()

  constructor (components: OwnConnectionsComponents) {
    this.#c = components
    components.node.addEventListener('connection:close', (event) => { this.#onClose(event.detail) })
  }

  /** The connection for streams that want their own, dialled when there is none. To be held at once (`hold`), or nobody closes it. */
  async own (peer: PeerId, how: OpenHow, signal: AbortSignal): Promise<Connection> {
    const known = this.#known(peer, how)
    if (known !== undefined) return known
    // Two that ask at once get one. Each has its own signal, so that one that gives up does not take the other's dial away: it dials again.
    const key = `${peer} ${how.direct === true}`
    const under = this.#dials.get(key)
    if (under !== undefined) {
      await under.catch(() => undefined)
      signal.throwIfAborted()
      const made = this.#known(peer, how)
      if (made !== undefined) return made
    }
    const dial = this.#dial(peer, how, signal)
    this.#dials.set(key, dial)
    try {
      return await dial
    } finally {
      if (this.#dials.get(key) === dial) this.#dials.delete(key)
    }
  }

  /** Whether the connection is for streams of one kind only. */
  isOwn (connection: Connection): boolean { return this.#streams.has(connection) }

  /** The connection for all other streams. */
  async ordinary (peer: PeerId, how: OpenHow, signal: AbortSignal): Promise<Connection> {
    const { node } = this.#c
    const id = peerIdFromString(peer)
    const open = this.#open(id)
    const usable = open.filter((connection) => !this.#streams.has(connection) && connection.limits === undefined)
    const found = usable.find(({ direct }) => direct) ?? usable[0]
    if (found !== undefined) return found
    const target = how.address === undefined ? id : multiaddr(how.address)
    // Without `force` libp2p would take one of ours.
    return node.dial(target, { signal, ...(open.some((connection) => this.#streams.has(connection)) && { force: true }) })
  }

  /** A stream that wants its own connection is open, whichever end opened it. */
  enter (stream: Stream, connection: Connection): void {
    // Who dials has one for all else before (#dial); where there is only this one it is for all.
    const ordinary = this.#open(connection.remotePeer).some((other) => other !== connection && !this.#streams.has(other))
    if (!this.#streams.has(connection) && !ordinary) return
    const leave = this.hold(connection, true)
    if (stream.status === 'open' || stream.status === 'closing') stream.addEventListener('close', leave, { once: true })
    else leave()
  }

  /** Counts as a stream until the returned function is called: while one is being opened. Of a connection for all else it counts nothing. */
  hold (connection: Connection, anew = false): Cancel {
    const now = this.#streams.get(connection)
    if (now === undefined && !anew) return () => {}
    this.#streams.set(connection, (now ?? 0) + 1)
    let held = true
    return () => {
      const count = this.#streams.get(connection)
      if (!held || count === undefined) return
      held = false
      this.#streams.set(connection, count - 1)
      if (count === 1) this.#closeLater(connection)
    }
  }

  #known (peer: PeerId, { direct }: OpenHow): Connection | undefined {
    return this.#open(peerIdFromString(peer)).find((connection) => this.#streams.has(connection) && (direct !== true || connection.direct))
  }

  #open (peer: Libp2pPeerId): Connection[] {
    return this.#c.node.getConnections(peer).filter(({ status }) => status === 'open')
  }

  async #dial (peer: PeerId, how: OpenHow, signal: AbortSignal): Promise<Connection> {
    const { node, admission } = this.#c
    // First the one for all else: gossip and the directory take whichever comes first.
    if (!await admission.admitted(await this.ordinary(peer, how, signal))) throw new PlantError('PEER_UNREACHABLE', { peer, problem: 'not of this mesh' })
    const ordinary = new Set(node.getConnections(peerIdFromString(peer)))
    const target = how.direct === true ? await this.#directAddresses(peer) : peerIdFromString(peer)
    const connection = await node.dial(target, { signal, force: true })
    if (how.direct === true && !connection.direct) {
      if (!ordinary.has(connection)) await connection.close()
      throw new PlantError('PEER_UNREACHABLE', { peer, problem: 'only through a relay' })
    }
    // Another dial was under way, and libp2p joined ours to it: it serves, but not alone.
    if (ordinary.has(connection)) return connection
    this.#streams.set(connection, this.#streams.get(connection) ?? 0)
    return connection
  }

  async #directAddresses (peer: PeerId): Promise<Multiaddr[]> {
    const known = await this.#c.node.peerStore.get(peerIdFromString(peer))
    const direct = known.addresses.map((address) => address.multiaddr).filter((address) => !address.getComponents().some(({ name }) => name === 'p2p-circuit'))
    if (direct.length === 0) throw new PlantError('PEER_UNREACHABLE', { peer, problem: 'no direct address is known' })
    return direct.map((address) => address.getComponents().some(({ name }) => name === 'p2p') ? address : address.encapsulate(`/p2p/${peer}`))
  }

  #closeLater (connection: Connection): void {
    this.#c.clock.after(OWN_CONNECTION_IDLE_MS, () => {
      if (this.#streams.get(connection) !== 0) return
      connection.close().catch((error: unknown) => { this.#c.log.debug({ error }, 'a connection that nobody uses did not close in order') })
    })
  }

  #onClose (connection: Connection): void {
    this.#streams.delete(connection)
    const left = this.#open(connection.remotePeer).filter((other) => other !== connection)
    // Gossip notices that a peer is gone when its last connection is: with only ours left it would wait for ever on streams that have ended.
    if (left.length > 0 && left.every((other) => this.#streams.has(other))) {
      for (const other of left) other.abort(new PlantError('STREAM_RESET', { peer: connection.remotePeer.toString(), problem: 'its other connection is gone' }))
    }
  }
}
