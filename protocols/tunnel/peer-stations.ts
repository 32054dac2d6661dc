/**
 * What one member says it has: each station with the proof that it may have it (README.md, Stations). A machine's station is believed for as long as the proof of
 * that machine holds, with addresses that it can have been given, a proxy's own end for as long as its call does; nothing is believed on the word of the member alone.
 */
import { asPlantError, type Clock, type Log, type PeerId, type VmId } from '../kit/index.ts'
import { STATIONS_PER_MEMBER_MAX } from './constants.ts'
import type { Stations, ToldStation } from './messages.ts'
import { checkProof, type Membership, type ProofComponents } from './proof.ts'
import type { PortStation } from './switch-core.ts'
import type { MembershipProof, NetworkName } from './types.ts'

export interface PeerStationsComponents extends ProofComponents {
  clock: Clock
  log: Log
  /** A station was told without a proof that holds, or is one too many. */
  onRefused (code: string): void
  /** Whether a machine can have been given an address of the network. */
  mayHave (vmId: VmId, address: string, ordered: readonly string[]): boolean
}

interface Believed {
  station: PortStation
  membership: Membership
  /** Kept where it must be checked again. */
  proof?: MembershipProof
}

/** Of one member; outlives its streams for as long as one takes the other's place. */
export class PeerStations {
  readonly #c: PeerStationsComponents
  readonly #peer: PeerId
  readonly #network: NetworkName
  #believed = new Map<string, Believed>()
  /** What of a snapshot has come; takes the place of all that was told before once it is whole. */
  #snapshot: Map<string, Believed> | undefined
  #streams = 0
  #uplink = false

  constructor (components: PeerStationsComponents, peer: PeerId, network: NetworkName) {
    this.#c = components
    this.#peer = peer
    this.#network = network
  }

  get list (): PortStation[] { return [...this.#believed.values()].map(({ station }) => station) }
  /** Whether hosts that are no stations may be behind it: only a client's own end can have those. */
  get hasUplink (): boolean { return this.#uplink && [...this.#believed.values()].some(({ membership }) => membership.vmId === undefined) }
  /** Until when what was believed holds at the longest. */
  get untilMs (): number { return [...this.#believed.values()].reduce((latest, { membership }) => Math.max(latest, membership.untilMs), 0) }

  /** Takes a message; resolves with whether what is believed has changed. */
  async take (message: Stations, signal: AbortSignal): Promise<boolean> {
    const stream = this.#streams
    if (message.snapshot !== undefined) this.#snapshot ??= new Map()
    for (const mac of message.remove) (this.#snapshot ?? this.#believed).delete(mac)
    for (const told of message.add) {
      const believed = await this.#judge(told, signal)
      if (this.#streams !== stream) return false
      const into = this.#snapshot ?? this.#believed
      if (believed === undefined) this.#c.onRefused('NOT_AUTHORISED')
      else if (into.has(told.station.mac) || into.size < STATIONS_PER_MEMBER_MAX) into.set(told.station.mac, believed)
      else this.#c.onRefused('LIMIT')
      // Signatures cost a millisecond: others have their turn in between.
      await new Promise<void>((resolve) => { this.#c.clock.after(0, resolve) })
      if (this.#streams !== stream) return false
    }
    if (message.snapshot === 'more') return false
    this.#uplink = message.uplink
    if (message.snapshot === 'end' && this.#snapshot !== undefined) {
      this.#believed = this.#snapshot
      this.#snapshot = undefined
    }
    return true
  }

  /** A new stream begins with a snapshot of its own; what is still being looked at of the one before counts no more. */
  newStream (): void {
    this.#streams++
    this.#snapshot = undefined
  }

  /** Takes off what has ended or was revoked; resolves with whether anything was. */
  async recheck (signal: AbortSignal): Promise<boolean> {
    let changed = false
    for (const [mac, believed] of this.#believed) {
      const { membership, proof, station } = believed
      const over = membership.untilMs <= this.#c.clock.nowMs()
      if (over || (proof !== undefined && await this.#judge({ station, proof }, signal) === undefined)) {
        // Told anew meanwhile, it is another.
        if (this.#believed.get(mac) === believed) changed = this.#believed.delete(mac)
      }
    }
    return changed
  }

  async #judge ({ station, proof }: ToldStation, signal: AbortSignal): Promise<Believed | undefined> {
    try {
      const membership = await checkProof(this.#c, proof, this.#peer, this.#network, this.#c.clock.nowMs(), signal)
      if (membership.vmId !== station.vmId || (station.router === true && !membership.router)) return undefined
      const { vmId } = membership
      const addresses = vmId === undefined ? station.addresses : station.addresses.filter((address) => this.#c.mayHave(vmId, address, membership.ordered ?? []))
      if (addresses.length < station.addresses.length) this.#c.onRefused('NOT_AUTHORISED')
      return { station: { ...station, addresses, sinceMs: membership.sinceMs }, membership, ...(membership.granted && { proof }) }
    } catch (error) {
      signal.throwIfAborted()
      this.#c.log.debug({ peer: this.#peer, mac: station.mac, code: asPlantError(error).code }, 'a member told of a station without a proof that holds')
      return undefined
    }
  }
}
