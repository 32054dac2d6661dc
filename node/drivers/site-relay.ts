/**
 * A gateway's relay (circuit relay v2): it keeps places for the plants of its own site, which stand in its private network, and joins them with
 * peers of the mesh, whichever of the two asks. The library's server answers the protocol; who may do what, how much, and the joint are ours.
 */
import { circuitRelayServer, type CircuitRelayServerComponents, type CircuitRelayService } from '@libp2p/circuit-relay-v2'
import { peerIdFromMultihash, peerIdFromString } from '@libp2p/peer-id'
import type { Multiaddr } from '@multiformats/multiaddr'
import * as Digest from 'multiformats/hashes/digest'
import type { Connection, ConnectionGater, PeerId as Libp2pPeerId, Stream } from '@libp2p/interface'
import { PlantError } from '../../protocols/kit/index.ts'
import type { Cancel, Log, PeerId } from '../../protocols/kit/index.ts'
import { addressRanges, PRIVATE_RANGES, type AddressRanges } from './address-ranges.ts'
import type { Admission } from './mesh-admission.ts'
import { RELAYED_MAX, RELAYED_PER_PEER_MAX, RELAY_ASK_TIMEOUT_MS, RELAY_RESERVATIONS_MAX, RELAY_RESERVATION_MS } from './mesh-limits.ts'
import { splice } from './relay-splice.ts'

/** What we use of the library's server; its types hide it. */
interface LibraryServer extends CircuitRelayService {
  reservationStore: { get (peer: Libp2pPeerId): unknown }
  onHop (stream: Stream, connection: Connection): Promise<void>
  handleConnect (ask: ConnectAsk, options: { signal: AbortSignal }): Promise<void>
  /** Asks a peer to take a relayed connection; the stream to it, or undefined when it does not. */
  stopHop (ask: { connection: Connection, request: { type: 'CONNECT', peer: { id: Uint8Array, addrs: Uint8Array[] } } }, options: { signal: AbortSignal }): Promise<Stream | undefined>
}
interface ConnectAsk {
  stream: { write (message: object, codec: { encode (): Uint8Array }, options: { signal: AbortSignal }): Promise<void>, unwrap (): Stream }
  request: { peer?: { id: Uint8Array } }
  connection: Connection
}

/** Statuses of the protocol's answers. */
const STATUS = { ok: 100, limit: 201, denied: 202, failed: 203, noPlace: 204, malformed: 400 }

export interface SiteRelayComponents {
  admission: Admission
  log: Log
  /** The site that an admitted peer says it is of. */
  siteOf (peer: Libp2pPeerId): Promise<string>
  /** Connections to a peer that are for all streams, direct ones first. */
  connections (peer: PeerId): Connection[]
  dial (peer: Libp2pPeerId, signal: AbortSignal): Promise<Connection>
}

/** The relay of a gateway, given to libp2p as a service and a gater; refuses what is above its bounds. */
export class SiteRelay {
  readonly #c: SiteRelayComponents
  readonly #site: string
  readonly #inside: AddressRanges
  readonly #perPeer = new Map<string, number>()
  #total = 0
  #server: LibraryServer | undefined

  /** `inside`: where the plants of the site come from; private addresses by default. */
  constructor (components: SiteRelayComponents, site: string, inside: readonly string[] = PRIVATE_RANGES) {
    this.#c = components
    this.#site = site
    this.#inside = addressRanges(inside)
  }

  /** Given to libp2p as a service. */
  readonly service = (components: CircuitRelayServerComponents): CircuitRelayService => {
    const server = circuitRelayServer({
      hopTimeout: RELAY_ASK_TIMEOUT_MS,
      maxInboundHopStreams: RELAYED_PER_PEER_MAX,
      maxOutboundStopStreams: RELAYED_MAX,
      // Between members: a limit would cut off golden machines in the midst.
      reservations: { maxReservations: RELAY_RESERVATIONS_MAX, reservationTtl: RELAY_RESERVATION_MS, applyDefaultLimit: false }
    })(components) as unknown as LibraryServer
    this.#server = server
    const { onHop } = server
    server.onHop = async (stream, connection) => {
      if (await this.#c.admission.admitted(connection)) return onHop(stream, connection)
      stream.abort(new PlantError('NOT_AUTHORISED', { problem: 'not of this mesh' }))
    }
    server.handleConnect = async (ask, options) => this.#connect(server, ask, options.signal)
    return server
  }

  /** Given to libp2p: who gets a place. */
  readonly gater: ConnectionGater = {
    denyInboundRelayReservation: async (peer) => {
      const denied = !await this.#isOfSite(peer)
      if (denied) this.#c.log.debug({ peer: peer.toString() }, 'a place at the gateway was refused')
      return denied
    }
  }

  /** Relayed connections that are open. */
  get relayed (): number { return this.#total }

  hasPlace (peer: PeerId): boolean { return this.#server?.reservationStore.get(peerIdFromString(peer)) !== undefined }

  /** Of the site's name, and come from its network: the name is no secret, but what is outside cannot come from there. */
  async #isOfSite (peer: Libp2pPeerId): Promise<boolean> {
    if (!this.#c.connections(peer.toString() as PeerId).some(({ remoteAddr, direct }) => direct && this.#inside.has(hostOf(remoteAddr)))) return false
    return await this.#c.siteOf(peer) === this.#site
  }

  async #connect (server: LibraryServer, { stream, request, connection }: ConnectAsk, signal: AbortSignal): Promise<void> {
    const answer = async (status: number): Promise<void> => stream.write({}, { encode: () => statusMessage(status) }, { signal })
    const source = connection.remotePeer
    const target = targetOf(request)
    if (target === undefined) return answer(STATUS.malformed)
    const isMates = server.reservationStore.get(target) !== undefined
    if (!isMates && server.reservationStore.get(source) === undefined) return answer(STATUS.noPlace)
    // A plant of another site comes through its own gateway; one that goes out comes from within.
    if (!isMates && !connection.direct) return answer(STATUS.denied)
    const leave = this.#enter([source.toString(), target.toString()])
    if (leave === undefined) return answer(STATUS.limit)
    try {
      const onward = isMates ? this.#c.connections(target.toString() as PeerId).find(({ direct }) => direct) : await this.#toOutside(target, signal)
      const far = onward && await server.stopHop({ connection: onward, request: { type: 'CONNECT', peer: { id: source.toMultihash().bytes, addrs: [] } } }, { signal })
      if (far === undefined) {
        leave()
        return await answer(STATUS.failed)
      }
      far.addEventListener('close', leave)
      await answer(STATUS.ok).catch((error: unknown) => {
        far.abort(error instanceof Error ? error : new Error(String(error)))
        throw error
      })
      splice(stream.unwrap(), far)
    } catch (error) {
      leave()
      throw error
    }
  }

  /** A plant of the site wants out: to members that can be reached from here. */
  async #toOutside (peer: Libp2pPeerId, signal: AbortSignal): Promise<Connection | undefined> {
    try {
      const connection = await this.#c.dial(peer, signal)
      return connection.direct && await this.#c.admission.admitted(connection) ? connection : undefined
    } catch (error) {
      this.#c.log.debug({ peer: peer.toString(), error }, 'a plant of the site wanted to reach a peer that cannot be reached')
      return undefined
    }
  }

  /** Takes a place for both ends; undefined when one has too many. */
  #enter (peers: string[]): Cancel | undefined {
    if (this.#total >= RELAYED_MAX || peers.some((peer) => (this.#perPeer.get(peer) ?? 0) >= RELAYED_PER_PEER_MAX)) return undefined
    this.#total++
    for (const peer of peers) this.#perPeer.set(peer, (this.#perPeer.get(peer) ?? 0) + 1)
    let left = false
    return () => {
      if (left) return
      left = true
      this.#total--
      for (const peer of peers) {
        const now = (this.#perPeer.get(peer) ?? 1) - 1
        if (now === 0) this.#perPeer.delete(peer)
        else this.#perPeer.set(peer, now)
      }
    }
  }
}

function hostOf (address: Multiaddr): string { return address.getComponents().find(({ name }) => name === 'ip4' || name === 'ip6')?.value ?? '' }

function targetOf (request: ConnectAsk['request']): Libp2pPeerId | undefined {
  try {
    return request.peer === undefined ? undefined : peerIdFromMultihash(Digest.decode(request.peer.id))
  } catch {
    return undefined // Not a peer's id: the answer says so.
  }
}

/** HopMessage {type (1): STATUS (2), status (5)} as protobuf; statuses take two bytes from 128 on. */
function statusMessage (status: number): Uint8Array {
  return Uint8Array.from([0x08, 2, 0x28, ...(status < 128 ? [status] : [status & 0x7f | 0x80, status >> 7])])
}
