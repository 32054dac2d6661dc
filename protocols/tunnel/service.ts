/** The networks of a plant: attaching stations, serving tunnels, within the bounds of constants.ts. */
import { multiaddr } from '@multiformats/multiaddr'
import { Lifetime, PlantError, asPlantError, publicKeyOf, type Cancel, type MessageStream, type PeerId } from '../kit/index.ts'
import { GREETINGS_MAX, GREETINGS_PER_PEER_MAX, NETWORKS_MAX, TUNNEL_LIMITS, TUNNEL_PROTOCOL } from './constants.ts'
import { receiveHello, refuse } from './greeting.ts'
import type { AttachTo, Attachment, NetworkView, Networks, NetworksComponents } from './index.ts'
import { JoinedNetwork } from './joined.ts'
import type { OwnStation } from './own-stations.ts'
import { checkProof, type Membership } from './proof.ts'
import { networkIdOf, type Device, type MembershipProof, type NetworkId, type Station, type WantedStation } from './types.ts'

/** Codes that refusals are counted by; a peer's own words are none of them. */
const REFUSAL_CODES_MAX = 64

export class NetworksService implements Networks {
  readonly #c: NetworksComponents
  readonly #lifetime = new Lifetime()
  readonly #joined = new Map<NetworkId, JoinedNetwork>()
  readonly #greetings = new Map<PeerId, number>()
  #greetingsAll = 0
  /** Those that have not said anything yet, the oldest first, and what ends each. */
  readonly #silent = new Map<MessageStream, () => void>()
  readonly #refusals = new Map<string, number>()
  /** What to do when a station's proof has ended. */
  readonly #ends = new Map<OwnStation, () => void>()

  constructor (components: NetworksComponents) { this.#c = components }

  async start (): Promise<void> {
    this.#lifetime.own(await this.#c.transport.handle(TUNNEL_PROTOCOL, TUNNEL_LIMITS, async (stream) => this.#serve(stream)))
    this.#lifetime.own(this.#c.addressing.onLost(({ networkId, station, address }) => { this.#onLost(networkId, station, address) }))
  }

  async stop (): Promise<void> {
    const all = [...this.#joined.values()]
    this.#joined.clear()
    this.#ends.clear()
    await Promise.all(all.map(async (joined) => joined.leave()))
    await this.#lifetime.end(new PlantError('INTERRUPTED'))
  }

  async attach (on: AttachTo, wanted: WantedStation | Station, device: Device, signal: AbortSignal): Promise<Attachment> {
    const { crypto, transport, addressing } = this.#c
    const networkId = networkIdOf(crypto, on.network)
    const until = AbortSignal.any([signal, device.closed, this.#lifetime.signal])
    const membership = await this.#membership(on, on.proof, wanted, until)
    const via = on.via === undefined ? undefined : peerOf(on.via)
    // Gone by now: the address that it had may be another's.
    until.throwIfAborted()
    const station = await this.#addressed(networkId, on, wanted, until)
    try {
      until.throwIfAborted()
      const joined = this.#joinedOf(networkId, on)
      const before = joined.own.of(station.mac)
      if (before !== undefined && before.station.vmId !== station.vmId) throw new PlantError('LIMIT', { bound: 'one machine to a card', mac: station.mac })
      // The same machine again: the device of before is gone, or soon will be.
      if (before !== undefined) this.#ends.get(before)?.()
      if (joined.own.isFull) throw new PlantError('LIMIT', { bound: 'stations of a network here' })
      const own = joined.add(station, on.proof, membership, device)
      if (own === undefined) throw new PlantError('LIMIT', { bound: 'ports of a switch' })
      if (via !== undefined && on.via !== undefined && via !== transport.self) joined.joinBy(via, on.via)
      return this.#attachment(joined, own, on)
    } catch (error) {
      // An address that it had before is not given away because this plant has no room.
      if (!('addresses' in wanted) && on.addressing === 'mesh') addressing.release(networkId, station)
      this.#leaveIfEmpty(networkId)
      throw error
    }
  }

  list (): NetworkView[] { return [...this.#joined.values()].map((joined) => joined.view()) }

  capture (networkId: NetworkId, sink: (atMs: number, frame: Uint8Array) => void): Cancel {
    return this.#joined.get(networkId)?.switch.capture(sink) ?? (() => {})
  }

  stations (networkId: NetworkId): Iterable<Station & { at: PeerId }> { return this.#joined.get(networkId)?.stations() ?? [] }

  refusals (): Readonly<Record<string, number>> { return Object.fromEntries(this.#refusals) }

  /** Whether the proof holds for this plant and is of this station. */
  async #membership (on: AttachTo, proof: MembershipProof, { vmId, router }: Pick<Station, 'vmId' | 'router'>, signal: AbortSignal): Promise<Membership> {
    const { clock, transport } = this.#c
    const membership = await checkProof(this.#c, proof, transport.self, on.network, clock.nowMs(), signal)
    if (membership.vmId !== vmId) throw new PlantError('NOT_AUTHORISED', { part: 'the proof is of another machine', vmId })
    if (router === true && !membership.router) throw new PlantError('NOT_AUTHORISED', { part: 'the order does not make it a router', vmId })
    return membership
  }

  async #addressed (networkId: NetworkId, on: AttachTo, wanted: WantedStation | Station, signal: AbortSignal): Promise<Station> {
    const { addressing } = this.#c
    if ('addresses' in wanted) {
      if (on.addressing === 'mesh') addressing.keep(networkId, wanted)
      return wanted
    }
    const { address, ...rest } = wanted
    if (on.addressing === 'external') return { ...rest, addresses: [] }
    return addressing.allot(networkId, { ...rest, ...(address !== undefined && { address }) }, signal)
  }

  #joinedOf (id: NetworkId, { network, addressing }: AttachTo): JoinedNetwork {
    const known = this.#joined.get(id)
    if (known !== undefined) {
      if (known.init.addressing !== addressing) throw new PlantError('NOT_AUTHORISED', { part: `the network's addressing is ${known.init.addressing} here` })
      return known
    }
    if (this.#joined.size >= NETWORKS_MAX) throw new PlantError('LIMIT', { bound: 'networks', max: NETWORKS_MAX })
    const joined = new JoinedNetwork(this.#c, {
      id, network, addressing,
      onRefused: (code) => { this.#countRefusal(code) },
      onEnded: (own) => {
        this.#c.log.warn({ networkId: id, network: network.name, vmId: own.station.vmId }, 'what lets a station onto its network has ended; it is taken off')
        this.#ends.get(own)?.()
        // A client's own end is told by it; a machine goes on without its network.
        if (own.membership.vmId === undefined) own.device.close()
      }
    })
    this.#joined.set(id, joined)
    joined.join()
    return joined
  }

  #attachment (joined: JoinedNetwork, own: OwnStation, on: AttachTo): Attachment {
    const networkId = joined.init.id
    let attached = true
    let hasAddress = on.addressing === 'mesh'
    const detach = (gone = false): void => {
      // A machine whose card has gone is often known to be gone for good only later.
      if (gone && hasAddress) {
        hasAddress = false
        this.#c.addressing.release(networkId, own.station)
      }
      if (!attached) return
      attached = false
      this.#ends.delete(own)
      own.device.closed.removeEventListener('abort', onClosed)
      if (this.#joined.get(networkId) === joined) joined.remove(own)
      this.#leaveIfEmpty(networkId)
    }
    const onClosed = (): void => { detach() }
    this.#ends.set(own, detach)
    own.device.closed.addEventListener('abort', onClosed, { once: true })
    if (own.device.closed.aborted) detach()
    return {
      networkId,
      get station () { return own.station },
      onStation: (fn) => { own.onStation = fn },
      renew: async (proof) => {
        own.membership = await this.#membership(on, proof, own.station, this.#lifetime.signal)
        own.proof = proof
        if (attached) joined.change(own)
      },
      detach
    }
  }

  #leaveIfEmpty (networkId: NetworkId): void {
    const joined = this.#joined.get(networkId)
    if (joined === undefined || joined.own.count > 0) return
    this.#joined.delete(networkId)
    joined.leave().catch((error: unknown) => { this.#c.log.warn({ networkId, error }, 'a network was not left in order') })
  }

  /** Takes the address off at once, so that nobody is taken for the other; then gets another. */
  #onLost (networkId: NetworkId, lost: Station, address: string): void {
    const joined = this.#joined.get(networkId)
    const own = joined?.own.of(lost.mac)
    if (joined === undefined || own === undefined || !own.station.addresses.includes(address)) return
    const { given: _, ...station } = own.station
    this.#readdress(joined, own, { ...station, addresses: station.addresses.filter((one) => one !== address) })
    const { addresses: __, ...wanted } = station
    void this.#c.addressing.allot(networkId, wanted, this.#lifetime.signal).then((given) => {
      if (joined.own.of(lost.mac) === own) this.#readdress(joined, own, given)
      else this.#c.addressing.release(networkId, given)
    }).catch((error: unknown) => { this.#c.log.error({ networkId, vmId: lost.vmId, error }, 'a machine that lost its address got no other') })
  }

  #readdress (joined: JoinedNetwork, own: OwnStation, station: Station): void {
    own.station = station
    joined.change(own)
    own.onStation?.(station)
  }

  // Tunnels that others open

  async #serve (stream: MessageStream): Promise<void> {
    const greeted = this.#enterGreeting(stream)
    try {
      const hello = await receiveHello(stream)
      this.#silent.delete(stream)
      const joined = this.#joined.get(hello.network)
      if (joined !== undefined) {
        await joined.links.accept(stream, hello, greeted)
        return
      }
      this.#countRefusal('NOT_HERE')
      await refuse(stream, 'NOT_HERE')
    } catch (error) {
      if (greeted()) this.#countRefusal(asPlantError(error).code)
      throw error
    } finally {
      greeted()
    }
  }

  /**
   * Takes a place among the greetings; what is returned gives it back, and says whether it was still taken. When all are taken, who has said nothing for longest goes: a
   * member says its hello at once, so that strangers who keep quiet do not keep it out. Throws LIMIT.
   */
  #enterGreeting (stream: MessageStream): () => boolean {
    const { peer } = stream
    const [oldest] = this.#silent
    const ofPeer = this.#greetings.get(peer) ?? 0
    const full = this.#greetingsAll >= GREETINGS_MAX
    if (full) oldest?.[1]()
    if (full || ofPeer >= GREETINGS_PER_PEER_MAX) this.#countRefusal('LIMIT')
    if ((full && oldest === undefined) || ofPeer >= GREETINGS_PER_PEER_MAX) throw new PlantError('LIMIT', { bound: 'greetings at once' })
    let taken = true
    const leave = (): boolean => {
      if (!taken) return false
      taken = false
      this.#silent.delete(stream)
      this.#greetingsAll--
      const left = (this.#greetings.get(peer) ?? 1) - 1
      if (left === 0) this.#greetings.delete(peer)
      else this.#greetings.set(peer, left)
      return true
    }
    this.#greetings.set(peer, ofPeer + 1)
    this.#greetingsAll++
    this.#silent.set(stream, () => {
      leave()
      stream.abort(new PlantError('LIMIT', { bound: 'greetings at once' }))
    })
    return leave
  }

  #countRefusal (code: string): void {
    if (this.#refusals.size < REFUSAL_CODES_MAX || this.#refusals.has(code)) this.#refusals.set(code, (this.#refusals.get(code) ?? 0) + 1)
  }
}

/** The peer that a multiaddr leads to. */
function peerOf (address: string): PeerId {
  const peer = multiaddr(address).getComponents().findLast(({ name }) => name === 'p2p')?.value
  if (peer === undefined || publicKeyOf(peer) === undefined) {
    throw new PlantError('ORDER_INVALID', { problems: [{ path: 'network.proxy', found: address, allowed: 'a multiaddr that ends in /p2p/<peer id>', message: 'does not name the peer' }] })
  }
  return peer as PeerId
}
