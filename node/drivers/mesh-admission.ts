/**
 * Who is of this mesh. The handshake is libp2p's identify under a protocol id that carries the mesh's name: a peer of another name does not
 * speak it, is disconnected, forgotten and not talked to for a while. Only what has passed is a neighbour: the transport serves no one
 * else, and as libp2p tells gossip and directory of a peer only once it is identified, they never learn of a stranger.
 * The name keeps meshes apart that do not mean to meet; it is no secret, and keeps out no one who claims it.
 */
import type { Connection, ConnectionGater, PeerId as Libp2pPeerId } from '@libp2p/interface'
import type { Cancel, Clock, Log, PeerId } from '../../protocols/kit/index.ts'
import { CONNECTIONS_PER_PEER_MAX, DENIED_MAX, DENIED_MS, GREETING_TIMEOUT_MS } from './mesh-limits.ts'

export type NeighbourListener = (peer: PeerId, change: 'joined' | 'left') => void

export interface AdmissionComponents {
  clock: Clock
  log: Log
  /** Runs the handshake; rejects when the peer does not speak it. */
  greet (connection: Connection, signal: AbortSignal): Promise<void>
  /** Drops what is known of a peer. */
  forget (peer: Libp2pPeerId): Promise<void>
}

/** Decides who is a neighbour: peers that greet in the name of this mesh, and nobody else. */
export class Admission {
  readonly #components: AdmissionComponents
  readonly #verdicts = new WeakMap<Connection, Promise<boolean>>()
  readonly #neighbours = new Map<PeerId, Set<Connection>>()
  readonly #listeners = new Set<NeighbourListener>()
  readonly #deniedUntilMs = new Map<string, number>()

  constructor (components: AdmissionComponents) {
    this.#components = components
  }

  /** Given to libp2p: a denied peer is neither dialled nor let in. */
  readonly gater: ConnectionGater = {
    denyDialPeer: (peer) => this.#isDenied(peer.toString()),
    denyInboundEncryptedConnection: (peer) => this.#isDenied(peer.toString()),
    denyOutboundEncryptedConnection: (peer) => this.#isDenied(peer.toString())
  }

  /** Resolves with whether the peer at the other end is of this mesh; never rejects. Asked again it gives the same answer. */
  async admitted (connection: Connection): Promise<boolean> {
    const known = this.#verdicts.get(connection)
    if (known !== undefined) return known
    const verdict = this.#judge(connection)
    this.#verdicts.set(connection, verdict)
    return verdict
  }

  closed (connection: Connection): void {
    const peer = connection.remotePeer.toString() as PeerId
    const connections = this.#neighbours.get(peer)
    if (connections?.delete(connection) !== true || connections.size > 0) return
    this.#neighbours.delete(peer)
    this.#tell(peer, 'left')
  }

  neighbours (): PeerId[] { return [...this.#neighbours.keys()] }

  has (peer: string): boolean { return this.#neighbours.has(peer as PeerId) }

  get count (): number { return this.#neighbours.size }

  onNeighbour (fn: NeighbourListener): Cancel {
    this.#listeners.add(fn)
    return () => { this.#listeners.delete(fn) }
  }

  async #judge (connection: Connection): Promise<boolean> {
    const { clock, log, greet } = this.#components
    const late = new AbortController()
    const cancel = clock.after(GREETING_TIMEOUT_MS, () => { late.abort(new Error('no greeting in time')) })
    try {
      await greet(connection, late.signal)
    } catch (error) {
      if (error instanceof Error && error.name === 'UnsupportedProtocolError') this.#deny(connection.remotePeer.toString())
      log.debug({ peer: connection.remotePeer.toString(), error }, 'a peer is not of this mesh, or did not say so in time')
      connection.abort(new Error('not of this mesh'))
      if (!this.has(connection.remotePeer.toString())) {
        await this.#components.forget(connection.remotePeer).catch(() => {}) // Nothing known of it, nothing to forget.
      }
      return false
    } finally {
      cancel()
    }
    if (connection.status !== 'open') return false
    return this.#admit(connection)
  }

  #admit (connection: Connection): boolean {
    const peer = connection.remotePeer.toString() as PeerId
    const connections = this.#neighbours.get(peer)
    if (connections !== undefined) {
      if (connections.size >= CONNECTIONS_PER_PEER_MAX) {
        connection.abort(new Error('too many connections'))
        return false
      }
      connections.add(connection)
      return true
    }
    this.#neighbours.set(peer, new Set([connection]))
    this.#tell(peer, 'joined')
    return true
  }

  #tell (peer: PeerId, change: 'joined' | 'left'): void {
    for (const listener of this.#listeners) {
      try {
        listener(peer, change)
      } catch (error) {
        this.#components.log.error({ peer, change, error }, 'a listener to neighbours failed')
      }
    }
  }

  #isDenied (peer: string): boolean {
    const untilMs = this.#deniedUntilMs.get(peer)
    if (untilMs === undefined) return false
    if (untilMs > this.#components.clock.monotonicMs()) return true
    this.#deniedUntilMs.delete(peer)
    return false
  }

  #deny (peer: string): void {
    this.#deniedUntilMs.delete(peer)
    this.#deniedUntilMs.set(peer, this.#components.clock.monotonicMs() + DENIED_MS)
    const oldest = this.#deniedUntilMs.size > DENIED_MAX ? this.#deniedUntilMs.keys().next().value : undefined
    if (oldest !== undefined) this.#deniedUntilMs.delete(oldest)
  }
}
