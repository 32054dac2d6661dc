/**
 * Gossip's streams, opened again. gossipsub opens one stream to a peer when it connects and never again: one that failed on a busy host, or went with
 * one of several connections (a relay's, beside a direct one), leaves the two deaf to each other for as long as they stay connected.
 */
import { peerIdFromString } from '@libp2p/peer-id'
import type { Connection, PeerId as Libp2pPeerId } from '@libp2p/interface'
import { Lifetime } from '../../protocols/kit/index.ts'
import type { Clock, PeerId } from '../../protocols/kit/index.ts'
import type { Admission } from './mesh-admission.ts'
import { GOSSIP_LOOK_MS } from './mesh-limits.ts'

/** What we use of gossipsub; its types hide it. */
interface GossipInside {
  streamsOutbound: ReadonlyMap<string, unknown>
  /** Opens a stream on this connection where there is none to the peer. */
  onPeerConnected (peer: Libp2pPeerId, connection: Connection): void
}

export interface GossipStreamsComponents {
  gossip: unknown
  admission: Pick<Admission, 'neighbours'>
  clock: Clock
  /** Connections to a peer that gossip may use, the best first. */
  connections (peer: PeerId): Connection[]
}

/** Looks every GOSSIP_LOOK_MS for neighbours that gossip has no stream to, until stopped. */
export class GossipStreams {
  readonly #c: GossipStreamsComponents
  readonly #lifetime = new Lifetime()

  constructor (components: GossipStreamsComponents) {
    this.#c = components
    this.#lookLater()
  }

  async stop (): Promise<void> { await this.#lifetime.end() }

  #lookLater (): void {
    const forget = this.#lifetime.own(this.#c.clock.after(GOSSIP_LOOK_MS, () => {
      forget()
      if (this.#lifetime.ended) return
      this.#look()
      this.#lookLater()
    }))
  }

  #look (): void {
    const gossip = this.#c.gossip as GossipInside
    for (const name of this.#c.admission.neighbours()) {
      if (gossip.streamsOutbound.has(name)) continue
      const [connection] = this.#c.connections(name)
      if (connection !== undefined) gossip.onPeerConnected(peerIdFromString(name), connection)
    }
  }
}
