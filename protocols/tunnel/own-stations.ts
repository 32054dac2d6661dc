/** The stations of one network that are at this plant, and how they are told: each with its proof. */
import type { PeerId } from '../kit/index.ts'
import { STATIONS_MESSAGE_BYTES, STATIONS_PER_MEMBER_MAX } from './constants.ts'
import type { MacOwners } from './mac-owners.ts'
import type { Stations, ToldStation } from './messages.ts'
import type { Membership } from './proof.ts'
import type { DevicePort } from './virtual-network.ts'
import type { PortStation } from './switch-core.ts'
import type { Device, MembershipProof, Station } from './types.ts'

/** One of them. */
export interface OwnStation {
  station: Station
  proof: MembershipProof
  membership: Membership
  device: Device
  port: DevicePort
  onStation?: (station: Station) => void
}

/** By card; no two of one. */
export class OwnStations {
  readonly #all = new Map<string, OwnStation>()

  get count (): number { return this.#all.size }
  get isFull (): boolean { return this.#all.size >= STATIONS_PER_MEMBER_MAX }
  get hasUplink (): boolean { return this.all().some(({ membership }) => membership.vmId === undefined) }

  all (): OwnStation[] { return [...this.#all.values()] }
  of (mac: string): OwnStation | undefined { return this.#all.get(mac) }
  put (own: OwnStation): void { this.#all.set(own.station.mac, own) }
  delete (own: OwnStation): void { if (this.#all.get(own.station.mac) === own) this.#all.delete(own.station.mac) }

  /** The proof to greet with: one that holds for longest, shortest first among those. */
  proof (nowMs: number): MembershipProof | undefined {
    const holding = this.all().filter(({ membership }) => membership.untilMs > nowMs)
    holding.sort((a, b) => a.membership.untilMs === b.membership.untilMs ? proofBytes(a.proof) - proofBytes(b.proof) : b.membership.untilMs - a.membership.untilMs)
    return holding[0]?.proof
  }

  /** All of them, in as many messages as that takes. */
  snapshot (): Stations[] {
    const messages: Stations[] = []
    let add: ToldStation[] = []
    let bytes = 0
    for (const own of this.#all.values()) {
      const size = proofBytes(own.proof)
      if (add.length > 0 && bytes + size > STATIONS_MESSAGE_BYTES) {
        messages.push({ add, remove: [], uplink: this.hasUplink, snapshot: 'more' })
        add = []
        bytes = 0
      }
      add.push(toldOf(own))
      bytes += size
    }
    return [...messages, { add, remove: [], uplink: this.hasUplink, snapshot: 'end' }]
  }

  /** One is new or has changed. */
  change (own: OwnStation): Stations { return { add: [toldOf(own)], remove: [], uplink: this.hasUplink } }

  /** One is gone. */
  removal (mac: string): Stations { return { add: [], remove: [mac], uplink: this.hasUplink } }
}

/** A station as the switch has it: with when it was proven to be where it is, which counts between two plants with one machine only. */
export function ranked (macs: MacOwners, station: PortStation, at: PeerId): PortStation {
  return macs.owns(station, at) ? station : { ...station, sinceMs: -1 }
}

/** What others are told: not how its address was given. */
function toldOf ({ station: { mac, addresses, vmId, name, router }, proof }: OwnStation): ToldStation {
  return { station: { mac, addresses, ...(vmId !== undefined && { vmId }), ...(name !== undefined && { name }), ...(router === true && { router }) }, proof }
}

function proofBytes (proof: MembershipProof): number {
  return proof.kind === 'proxy' ? proof.signedCall.length : proof.handOvers.reduce((sum, one) => sum + one.length, proof.signedOrder.length)
}
