/**
 * A plant's end of relayed connections (circuit relay v2): dialling through a gateway, taking in what a gateway brings, and, for a plant that stands
 * behind one, its place there. A relayed connection is encrypted between its two ends and admitted like any other.
 */
import { circuitRelayTransport, type CircuitRelayTransportComponents } from '@libp2p/circuit-relay-v2'
import { multiaddr } from '@multiformats/multiaddr'
import type { Multiaddr } from '@multiformats/multiaddr'
import { peerIdFromString } from '@libp2p/peer-id'
import type { Connection, ConnectionGater, PeerId as Libp2pPeerId, Stream, Transport } from '@libp2p/interface'
import { Lifetime, PlantError } from '../../protocols/kit/index.ts'
import type { Cancel, Clock, Log, PeerId, Random } from '../../protocols/kit/index.ts'
import type { Admission } from './mesh-admission.ts'
import { RELAYED_IN_MAX, REDIAL_FIRST_MS, REDIAL_MS_MAX } from './mesh-limits.ts'

/** What we use of the library's transport; its types hide it. */
interface LibraryTransport extends Transport {
  onStop (stream: Stream, connection: Connection): Promise<void>
  reservationStore: {
    addRelay (peer: Libp2pPeerId, type: 'configured' | 'discovered'): Promise<{ details: { reservation: { addrs: Uint8Array[] } } }>
    hasReservation (peer: Libp2pPeerId): boolean
    relayFilter: { has (bytes: Uint8Array): boolean, add (bytes: Uint8Array): boolean }
    addEventListener (event: 'relay:removed' | 'relay:created-reservation', fn: (event: CustomEvent<{ relay: Libp2pPeerId, details: { reservation: { addrs: Uint8Array[] } } }>) => void): void
  }
}

export interface MeshRelayComponents {
  admission: Admission
  clock: Clock
  random: Random
  log: Log
  self (): string
  /** All connections that are open. */
  connections (): Connection[]
  /** The plant's addresses have changed. */
  onAddresses (): void
}

/** The peer that a multiaddr with `/p2p/…` names last; undefined without. */
export function peerOf (address: Multiaddr): PeerId | undefined {
  return address.getComponents().findLast(({ name }) => name === 'p2p')?.value as PeerId | undefined
}

/** Relayed connections of one plant, and its place at the gateway that it stands behind; a place that is lost is asked for until it is there again. */
export class MeshRelay {
  readonly #c: MeshRelayComponents
  readonly #gateway: PeerId | undefined
  readonly #lifetime = new Lifetime()
  readonly #placed = Promise.withResolvers<void>()
  #store: LibraryTransport['reservationStore'] | undefined
  #addresses: Multiaddr[] = []
  #asking = false
  #failures = 0
  #cancelAsk: Cancel = () => {}

  /** `gateway`: where this plant stands behind one, and can be reached only through it. */
  constructor (components: MeshRelayComponents, gateway?: PeerId) {
    this.#c = components
    this.#gateway = gateway
  }

  /** Given to libp2p as a transport. */
  readonly transport = (components: CircuitRelayTransportComponents): Transport => {
    const transport = circuitRelayTransport()(components) as unknown as LibraryTransport
    const { onStop, reservationStore: store } = transport
    this.#store = store
    // Or it would, at any peer's word, ask that peer for a place and tell the mesh that we can be reached there.
    store.hasReservation = () => true
    const addRelay = store.addRelay.bind(store)
    store.addRelay = async (peer, type) => {
      if (type === 'configured') return addRelay(peer, type)
      throw Object.assign(new Error('places are asked for at the gateway alone'), { name: 'HadEnoughRelaysError' }) // The name that it passes over in silence.
    }
    // It never asks again where it was not answered once.
    store.relayFilter = { has: () => false, add: () => true }
    store.addEventListener('relay:created-reservation', ({ detail }) => { this.#onPlace(detail.details.reservation.addrs) })
    store.addEventListener('relay:removed', () => { this.#onLost() })
    transport.onStop = async (stream, connection) => {
      if (await this.#c.admission.admitted(connection)) return onStop(stream, connection)
      stream.abort(new PlantError('NOT_AUTHORISED', { problem: 'not of this mesh' }))
    }
    return transport
  }

  /** Given to libp2p: how many relayed connections are taken in. */
  readonly gater: ConnectionGater = {
    denyInboundRelayedConnection: () => this.#c.connections().filter(({ direct, direction }) => !direct && direction === 'inbound').length >= RELAYED_IN_MAX
  }

  /** What the mesh is told: a plant behind a gateway has no address but through it. */
  readonly announced = (addresses: Multiaddr[]): Multiaddr[] => this.#gateway === undefined ? addresses.filter((address) => !isRelayed(address)) : this.#addresses

  /** Resolves once there is a place at the gateway. */
  get placed (): Promise<void> { return this.#placed.promise }

  /** Asks for the place as soon as the gateway is a neighbour, and again whenever it is lost. */
  start (): void {
    const gateway = this.#gateway
    if (gateway === undefined) return
    this.#lifetime.own(this.#c.admission.onNeighbour((peer, change) => { if (peer === gateway && change === 'joined') this.#askSoon(0) }))
    this.#lifetime.own(() => { this.#cancelAsk() })
    if (this.#c.admission.has(gateway)) this.#askSoon(0)
  }

  async stop (): Promise<void> { await this.#lifetime.end() }

  #onPlace (addrs: Uint8Array[]): void {
    this.#addresses = addrs.map((bytes) => multiaddr(bytes).encapsulate(`/p2p-circuit/p2p/${this.#c.self()}`))
    this.#failures = 0
    this.#placed.resolve()
    this.#c.onAddresses()
  }

  #onLost (): void {
    this.#addresses = []
    this.#c.onAddresses()
    this.#askSoon(REDIAL_FIRST_MS)
  }

  #askSoon (ms: number): void {
    this.#cancelAsk()
    if (!this.#lifetime.ended) this.#cancelAsk = this.#c.clock.after(ms, () => { void this.#ask() })
  }

  async #ask (): Promise<void> {
    const { admission, random, log } = this.#c
    // When it comes back it is a neighbour again, and asked then.
    if (this.#gateway === undefined || this.#asking || this.#lifetime.ended || !admission.has(this.#gateway)) return
    this.#asking = true
    try {
      await this.#store?.addRelay(peerIdFromString(this.#gateway), 'configured')
    } catch (error) {
      const againMs = Math.min(REDIAL_MS_MAX, REDIAL_FIRST_MS * 2 ** Math.min(this.#failures++, 10)) * (1 + random.int(1_000) / 2_000)
      log.warn({ gateway: this.#gateway, error: String(error) }, 'the gateway gave this plant no place: is it started with --gateway and the same --site?')
      this.#askSoon(againMs)
    } finally {
      this.#asking = false
    }
  }
}

/** Whether the address leads through a relay. */
export function isRelayed (address: Multiaddr): boolean {
  return address.getComponents().some(({ name }) => name === 'p2p-circuit')
}
