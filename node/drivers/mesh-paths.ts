/**
 * Ways to a peer: a plant that stands behind a gateway is reached through it, and reaches others through its own where it cannot go out itself.
 * A relayed connection that came in is followed by one try for a direct one; where that succeeds new streams take it, and those that are open
 * stay where they are. (dcutr would close the relayed connection under them, and between two NATs TCP stays relayed with it too.)
 */
import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { Connection, Libp2p, PeerId as Libp2pPeerId } from '@libp2p/interface'
import { Lifetime } from '../../protocols/kit/index.ts'
import type { Clock, Log, PeerId } from '../../protocols/kit/index.ts'
import type { Admission } from './mesh-admission.ts'
import { DIRECT_AFTER_MS, OPEN_TIMEOUT_MS } from './mesh-limits.ts'
import { isRelayed, peerOf } from './mesh-relay.ts'

export interface MeshPathsComponents {
  node: Libp2p
  admission: Admission
  clock: Clock
  log: Log
  /** The gateway by which alone a peer can be reached, as far as is known. */
  gatewayOf (peer: PeerId): PeerId | undefined
}

/** Which way a peer is reached: directly, or through a gateway. What it cannot find out libp2p tries by itself. */
export class MeshPaths {
  readonly #c: MeshPathsComponents
  readonly #gateway: Multiaddr | undefined
  readonly #lifetime = new Lifetime()

  /** `gateway`: the address of this plant's own, where it stands behind one. */
  constructor (components: MeshPathsComponents, gateway?: Multiaddr) {
    this.#c = components
    this.#gateway = gateway
  }

  /**
   * Sees to it that libp2p knows a way to the peer where a gateway is needed; the dial that follows fails when there is none. Also where the two are
   * connected: it may have been the peer that came, and a connection of a tunnel's own is yet to be dialled.
   */
  async prepare (peer: PeerId, signal: AbortSignal): Promise<void> {
    const own = this.#gateway && peerOf(this.#gateway)
    const gateway = this.#c.gatewayOf(peer) ?? own
    if (gateway === undefined || gateway === peer || gateway === this.#c.node.peerId.toString()) return
    if (gateway !== own && !this.#isConnected(gateway)) {
      if (own !== undefined) await this.#through(own, gateway)
      await this.#c.node.dial(peerIdFromString(gateway), { signal }).catch((error: unknown) => { this.#c.log.debug({ peer, gateway, error }, 'the gateway of a peer cannot be reached') })
    }
    await this.#through(gateway, peer)
  }

  /** A connection was admitted. */
  opened (connection: Connection): void {
    if (connection.direct || connection.direction !== 'inbound') return
    const forget = this.#lifetime.own(this.#c.clock.after(DIRECT_AFTER_MS, () => {
      forget()
      void this.#straighten(connection)
    }))
  }

  async stop (): Promise<void> { await this.#lifetime.end() }

  #isConnected (peer: PeerId): boolean { return this.#c.node.getConnections(peerIdFromString(peer)).some(({ status }) => status === 'open') }

  /** An address that says no more than by whom: the connection with the relay is there. */
  async #through (relay: PeerId, peer: PeerId): Promise<void> {
    await this.#c.node.peerStore.merge(peerIdFromString(peer), { multiaddrs: [multiaddr(`/p2p/${relay}/p2p-circuit/p2p/${peer}`)] })
  }

  /** The peer's own addresses, with its id. */
  async #direct (peer: Libp2pPeerId): Promise<Multiaddr[]> {
    const known = await this.#c.node.peerStore.get(peer).catch(() => undefined) // Nothing is known of it.
    return known?.addresses.map((address) => address.multiaddr).filter((address) => !isRelayed(address))
      .map((address) => peerOf(address) === undefined ? address.encapsulate(`/p2p/${peer.toString()}`) : address) ?? []
  }

  async #straighten ({ remotePeer }: Connection): Promise<void> {
    const { node, clock, log } = this.#c
    const late = new AbortController()
    const cancel = clock.after(OPEN_TIMEOUT_MS, () => { late.abort(new Error('no answer in time')) })
    try {
      if (this.#lifetime.ended || node.getConnections(remotePeer).some(({ direct }) => direct)) return
      const direct = await this.#direct(remotePeer)
      if (direct.length > 0) await node.dial(direct, { signal: AbortSignal.any([late.signal, this.#lifetime.signal]) })
    } catch (error) {
      log.debug({ peer: remotePeer.toString(), error }, 'there is no direct path; the relay stays')
    } finally {
      cancel()
    }
  }
}
