/**
 * Addresses that nobody else in the mesh has. Each is claimed at registrars as a machine is (protocols/claim), under a key of its network and itself, before its
 * machine has it; it stays claimed for the machine's life. README.md has what happens when the mesh is cut.
 */
import type { Claiming } from '../../claim/index.ts'
import { PlantError, type Cancel, type Clock, type Crypto, type Log, type PeerId, type VmId } from '../../kit/index.ts'
import type { Addressing } from '../index.ts'
import { ipv4Number, ipv4Text } from '../ethernet.ts'
import type { NetworkId, Station, WantedStation } from '../types.ts'
import { addressKey, candidates, holderDigest, holderOf, isOwnAddress, wantedAddress, type Placed } from './allot.ts'
import { ASKED_MAX, DEFAULT_SUBNET } from './constants.ts'
import { contains, type Ip4 } from './subnet.ts'

export interface AddressingComponents {
  self: PeerId
  crypto: Pick<Crypto, 'sha256'>
  clock: Pick<Clock, 'nowMs' | 'after'>
  log: Log
  /** May serve the plant's machines as well: keys of addresses are none of theirs. */
  claims: Pick<Claiming, 'claim' | 'confirm' | 'holds' | 'drop' | 'onLost'>
  /** The stations of a network that this plant is on, each with the member that showed its right to be there and has it; none for other networks. */
  stations (networkId: NetworkId): Iterable<Station & { at: PeerId }>
}

/** An address that another machine had first, as was seen when a cut of the mesh was mended. */
export interface LostAddress {
  networkId: NetworkId
  station: Station
  address: string
  /** The plant whose machine has it, and that machine where it has a VMID. */
  plant: PeerId
  vmId?: VmId
}

export interface MeshAddressing extends Addressing {
  /** The address is no longer the station's: whoever hears of it takes it off the switch and the gateway at once, and allots another. */
  onLost (fn: (lost: LostAddress) => void): Cancel
  /** Whether a key of claims is that of an address which a station here has. */
  isAddress (key: VmId): boolean
  /** For `ClaimingComponents.knowledge`: a rival is believed when it is a member of the network that has told of a station with this address. */
  knowledge (key: VmId, prover: PeerId): Uint8Array | undefined
}

interface Held { networkId: NetworkId, ip: Ip4, station: Station, digest: string }
/** Another machine has it. */
interface Taken { plant: PeerId, vmId?: VmId }

/** Claims of one address that were granted and not confirmed, and the pause before the next: registrars hear of what was withdrawn within REFRESH_SOON_MS. */
const ATTEMPTS_MAX = 3
const RETRY_MS = 250

/** See the head of this file. */
export class ClaimedAddressing implements MeshAddressing {
  readonly #c: AddressingComponents
  readonly #held = new Map<VmId, Held>()
  readonly #underWay = new Map<string, Promise<unknown>>()
  readonly #lostFns = new Set<(lost: LostAddress) => void>()

  constructor (components: AddressingComponents) {
    this.#c = components
    components.claims.onLost((key, plant) => { this.#onLost(key, plant) })
  }

  async allot (networkId: NetworkId, wanted: WantedStation, signal: AbortSignal): Promise<Station> {
    const who = `${networkId} ${cardOf(wanted)}`
    // Asked twice at once, a card gets one address.
    while (this.#underWay.has(who)) await this.#underWay.get(who)?.catch(() => undefined)
    signal.throwIfAborted()
    const allotting = this.#allotNow(networkId, wanted, signal)
    this.#underWay.set(who, allotting)
    try {
      return await allotting
    } finally {
      this.#underWay.delete(who)
    }
  }

  keep (networkId: NetworkId, station: Station): void {
    for (const address of station.addresses) {
      const ip = ipv4Number(address)
      if (ip === undefined) continue
      const held = this.#held.get(addressKey(this.#c.crypto, networkId, ip))
      if (held === undefined) this.#hold(networkId, ip, station)
      else if (cardOf(held.station) !== cardOf(station)) this.#keepOneOf(held, station)
    }
  }

  release (networkId: NetworkId, station: Station): void {
    for (const address of station.addresses) {
      const ip = ipv4Number(address)
      if (ip === undefined) continue
      const key = addressKey(this.#c.crypto, networkId, ip)
      const held = this.#held.get(key)
      if (held === undefined || cardOf(held.station) !== cardOf(station)) continue
      this.#held.delete(key)
      this.#c.claims.drop(key, held.digest)
    }
  }

  mayHave (networkId: NetworkId, vmId: VmId, address: string, ordered: readonly string[]): boolean {
    const ip = ipv4Number(address)
    return ip !== undefined && isOwnAddress(this.#c.crypto, networkId, vmId, ip, ordered)
  }

  onLost (fn: (lost: LostAddress) => void): Cancel {
    this.#lostFns.add(fn)
    return () => { this.#lostFns.delete(fn) }
  }

  isAddress (key: VmId): boolean { return this.#held.has(key) }

  knowledge (key: VmId, prover: PeerId): Uint8Array | undefined {
    const held = this.#held.get(key)
    if (held === undefined || (prover !== this.#c.self && this.#rival(held, prover) === undefined)) return undefined
    return this.#c.crypto.sha256(new TextEncoder().encode(JSON.stringify(['plantmesh/address-knowledge/v1', held.networkId, ipv4Text(held.ip)])))
  }

  async #allotNow (networkId: NetworkId, wanted: WantedStation, signal: AbortSignal): Promise<Station> {
    const { address, ...station } = wanted
    const had = [...this.#held.values()].find((held) => held.networkId === networkId && cardOf(held.station) === cardOf(wanted))
    if (address !== undefined) return this.#allotWanted(networkId, station, address, signal)
    if (had !== undefined) return had.station
    const taken = this.#takenIn(networkId)
    let asked = 0
    for (const ip of candidates(this.#c.crypto, networkId, machineOf(wanted))) {
      if (taken.has(ip)) continue
      if (asked++ === ASKED_MAX) break
      const given = await this.#take(networkId, station, { ip, prefixBits: DEFAULT_SUBNET.prefixBits }, signal)
      if ('addresses' in given) return given
    }
    throw new PlantError('LIMIT', { bound: 'free addresses of the network', asked })
  }

  async #allotWanted (networkId: NetworkId, station: Omit<WantedStation, 'address'>, address: string, signal: AbortSignal): Promise<Station> {
    const placed = wantedAddress(address)
    if ('problem' in placed) {
      throw new PlantError('ORDER_INVALID', { problems: [{ path: 'network.address', found: address, allowed: 'an address that a machine of the network can have', message: placed.problem }] })
    }
    const known = this.#stationWith(networkId, placed.ip)
    const given = known !== undefined && machineOf(known) !== machineOf(station) ? { plant: known.at, ...(known.vmId !== undefined && { vmId: known.vmId }) } : await this.#take(networkId, station, placed, signal)
    if ('addresses' in given) return given
    const name = this.#stationWith(networkId, placed.ip)?.name
    throw new PlantError('ADDRESS_TAKEN', { address: ipv4Text(placed.ip), ...given, ...(name !== undefined && { name }) })
  }

  /** Claims one address for good; the station with it, or who has it. */
  async #take (networkId: NetworkId, station: Omit<WantedStation, 'address'>, placed: Placed, signal: AbortSignal): Promise<Station | Taken> {
    const { claims, clock, crypto } = this.#c
    const { ip, prefixBits } = placed
    const key = addressKey(crypto, networkId, ip)
    const orderDigest = holderDigest(crypto, networkId, ip, station)
    const made = (sinceMs: number): Station => ({ ...station, addresses: [ipv4Text(ip)], given: { sinceMs, prefixBits } })
    const own = this.#held.get(key)
    if (own !== undefined) return cardOf(own.station) === cardOf(station) ? own.station : { plant: this.#c.self, ...(own.station.vmId !== undefined && { vmId: own.station.vmId }) }
    for (let attempt = 1; ; attempt++) {
      const claim = await claims.claim({ vmId: key, orderDigest, strict: false }, signal)
      if (claim.kind !== 'granted') {
        // Its own machine's, of a plant that had it before: a VMID is made by one plant only, so that one has given it up or is gone.
        if (claim.orderDigest === orderDigest) return this.#hold(networkId, ip, made(clock.nowMs()))
        const vmId = holderOf(crypto, networkId, ip, claim.orderDigest)
        return { plant: claim.plant, ...(vmId !== undefined && { vmId }) }
      }
      try {
        const sinceMs = clock.nowMs()
        const outcome = await claims.confirm({ vmId: key, orderDigest, awardedAtMs: sinceMs, claimId: claim.claimId, provisional: claim.provisional }, signal)
        if (outcome.kind === 'confirmed') return this.#note(key, { networkId, ip, station: made(sinceMs), digest: orderDigest })
        const { code, holder: plant } = outcome
        if (code === 'CLAIM_LOST' && plant !== undefined && attempt === ATTEMPTS_MAX) return { plant }
        if (code === 'LIMIT' || attempt === ATTEMPTS_MAX) throw new PlantError(code, { address: ipv4Text(ip) })
      } finally {
        await claim.end()
      }
      // Somebody was faster, or a registrar takes one for the holder that is none any more, and hears of it from that one: asked again, they say who has it.
      await this.#pause(attempt * RETRY_MS, signal)
    }
  }

  async #pause (ms: number, signal: AbortSignal): Promise<void> {
    const over = Promise.withResolvers<undefined>()
    const cancel = this.#c.clock.after(ms, () => { over.resolve(undefined) })
    const stop = (): void => { over.reject(signal.reason) }
    signal.addEventListener('abort', stop, { once: true })
    if (signal.aborted) stop()
    try {
      await over.promise
    } finally {
      cancel()
      signal.removeEventListener('abort', stop)
    }
  }

  /** Without asking: it has it already. */
  #hold (networkId: NetworkId, ip: Ip4, station: Station): Station {
    const { claims, clock, crypto } = this.#c
    const key = addressKey(crypto, networkId, ip)
    const orderDigest = holderDigest(crypto, networkId, ip, station)
    claims.holds({ vmId: key, orderDigest, awardedAtMs: station.given?.sinceMs ?? clock.nowMs() })
    return this.#note(key, { networkId, ip, station, digest: orderDigest })
  }

  #note (key: VmId, held: Held): Station {
    this.#held.set(key, held)
    return held.station
  }

  #takenIn (networkId: NetworkId): Set<Ip4> {
    const taken = new Set<Ip4>()
    for (const { addresses } of this.#c.stations(networkId)) {
      for (const address of addresses) {
        const ip = ipv4Number(address)
        if (ip !== undefined && contains(DEFAULT_SUBNET, ip)) taken.add(ip)
      }
    }
    for (const held of this.#held.values()) if (held.networkId === networkId) taken.add(held.ip)
    return taken
  }

  #stationWith (networkId: NetworkId, ip: Ip4): (Station & { at: PeerId }) | undefined {
    const address = ipv4Text(ip)
    for (const station of this.#c.stations(networkId)) if (station.addresses.includes(address)) return station
    return undefined
  }

  /** The station by which this plant has the same address for another machine. One of the same id is our own machine, before or after a move. */
  #rival ({ networkId, ip, station }: Held, plant: PeerId): Station | undefined {
    const address = ipv4Text(ip)
    for (const other of this.#c.stations(networkId)) {
      if (other.at === plant && other.addresses.includes(address) && machineOf(other) !== machineOf(station)) return other
    }
    return undefined
  }

  /** A machine has moved here that was given the address of one here while the mesh was cut: the earlier keeps it. */
  #keepOneOf (held: Held, comer: Station): void {
    const { networkId, ip, station, digest } = held
    const [first, later] = isEarlier(comer, station) ? [comer, station] : [station, comer]
    if (first === comer) {
      this.#c.claims.drop(addressKey(this.#c.crypto, networkId, ip), digest)
      this.#hold(networkId, ip, comer)
    }
    // Not before the caller has done what it keeps the station for.
    void Promise.resolve().then(() => { this.#tellLost(networkId, ip, later, this.#c.self, first.vmId) })
  }

  #onLost (key: VmId, plant: PeerId): void {
    const held = this.#held.get(key)
    if (held === undefined) return
    const { networkId, ip, station, digest } = held
    const rival = this.#rival(held, plant)
    this.#held.delete(key)
    this.#c.claims.drop(key, digest)
    this.#tellLost(networkId, ip, station, plant, rival?.vmId)
  }

  #tellLost (networkId: NetworkId, ip: Ip4, station: Station, plant: PeerId, vmId: VmId | undefined): void {
    const address = ipv4Text(ip)
    this.#c.log.warn({ networkId, address, vmId: station.vmId, plant, rival: vmId }, 'an address was given twice while the mesh was cut; the earlier machine keeps it, ours gets another')
    for (const fn of this.#lostFns) fn({ networkId, station, address, plant, ...(vmId !== undefined && { vmId }) })
  }
}

/** Which of two was given its address first; at one instant the lower id. */
function isEarlier (a: Station, b: Station): boolean {
  const [aMs, bMs] = [a.given?.sinceMs ?? Infinity, b.given?.sinceMs ?? Infinity]
  return aMs !== bMs ? aMs < bMs : cardOf(a) < cardOf(b)
}

/** Which machine it is, on whichever plant; a proxy's own end is told by its card. */
function machineOf (station: { vmId?: VmId, mac: string }): string { return station.vmId ?? station.mac }

/** Which card of which machine: one with several may have more than one on a network. */
function cardOf (station: { vmId?: VmId, mac: string }): string { return `${station.vmId ?? ''} ${station.mac}` }
