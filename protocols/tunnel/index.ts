/**
 * Tenant networks: one Ethernet of a domain across plants (README.md). A plant puts its machines on networks and serves the tunnels to the other
 * members; which machines those are, and where their frames come out, is the caller's.
 */
import type { Cancel, Clock, Crypto, Directory, Log, PeerId, Random, Service, Transport, VmId } from '../kit/index.ts'
import type { Grants } from '../member/index.ts'
import { NetworksService } from './service.ts'
import type { Device, MembershipProof, NetworkId, NetworkName, Station, WantedStation } from './types.ts'

export * from './types.ts'
export * from './constants.ts'
export { DROP_TEXTS, type DropReason } from './drops.ts'
export { checkProof, type Membership, type ProofComponents } from './proof.ts'

/** Who gives out IPv4 addresses, none twice. */
export interface Addressing {
  /** The station with an address of its own. Throws ADDRESS_TAKEN, LIMIT, or the signal's reason. */
  allot (networkId: NetworkId, wanted: WantedStation, signal: AbortSignal): Promise<Station>
  /** A station that has its addresses already, from before a restart or a move. */
  keep (networkId: NetworkId, station: Station): void
  /** Whether a machine of another plant can have been given this address: one of its own candidates, or one that its order asks for. */
  mayHave (networkId: NetworkId, vmId: VmId, address: string, ordered: readonly string[]): boolean
  /** The station is gone for good. */
  release (networkId: NetworkId, station: Station): void
  /** A station's address was another's first, as was seen when a cut of the mesh was mended: it has it no longer. */
  onLost (fn: (lost: { networkId: NetworkId, station: Station, address: string }) => void): Cancel
}

/** A network's gateway, as each plant is it for its own machines: answers what they ask of it, and passes nothing on. */
export interface Gateway {
  readonly mac: string
  readonly address: string
  /** Where names are looked up from now on. */
  setStations (stations: () => Iterable<Station>): void
  /** Answers to a frame of a station here, or of a host behind an uplink here (whose `addresses` are empty). Never throws. */
  onFrame (station: Station, frame: Uint8Array): Uint8Array[]
}

export interface NetworksComponents {
  transport: Transport
  directory: Directory
  clock: Clock
  random: Random
  crypto: Crypto
  log: Log
  grants: Pick<Grants, 'holds' | 'take'>
  addressing: Addressing
  /** The gateway of a network that this plant joins, where the mesh gives the addresses. */
  gateway (network: NetworkName): Gateway
}

/** What a machine or a proxy's host is put on, and why it may be. */
export interface AttachTo {
  network: NetworkName
  /** `external`: addresses are given by the client's own LAN. */
  addressing: 'mesh' | 'external'
  proof: MembershipProof
  /** A member to join by, as a multiaddr that ends in `/p2p/<peer id>`: a proxy, when the order names one. */
  via?: string
}

/** A station that is on a network here. */
export interface Attachment {
  readonly networkId: NetworkId
  /** As it is now: it may lose its address to an earlier machine that was beyond a cut of the mesh, and gets another. Without addresses where the client's own LAN gives them. */
  readonly station: Station
  /** Sets the one who is told of another address: also of one that the client's own LAN gave, to be brought when the station is attached again. */
  onStation (fn: (station: Station) => void): void
  /** Shows a newer proof from now on: a proxy's call before the last one expires. Throws as `attach` does, and then the old one stands. */
  renew (proof: MembershipProof): Promise<void>
  /**
   * Takes it off the network; the last one leaves it. `gone`: for good, so that its address may be given to another; otherwise it is kept (a machine
   * that moves, a plant that stops). Twice does nothing, but that `gone` may be told later. Happens by itself, without `gone`, when the device is closed.
   */
  detach (gone?: boolean): void
}

/**
 * What went through a port of a plant's switch. `in` is what came from the port into the switch; `drops` are of these by reason (`DROP_TEXTS`), and for a member
 * also QUEUE_LATE and QUEUE_FULL: frames for it that waited too long, or for which there was no room.
 */
export interface PortView {
  kind: 'machine' | 'peer' | 'uplink'
  /** The VMID of a machine, the peer id of a member; `proxy` for an uplink. */
  name: string
  framesIn: number
  bytesIn: number
  framesOut: number
  bytesOut: number
  drops: Readonly<Record<string, number>>
}

/** Another member, as this plant has it. */
export interface MemberView {
  peer: PeerId
  state: 'up' | 'dialling' | 'waiting'
  /** Its frames go through a relay. */
  relayed: boolean
  /** What waits to be sent to it. */
  queuedBytes: number
}

/** A network that this plant is on. */
export interface NetworkView {
  id: NetworkId
  network: NetworkName
  addressing: 'mesh' | 'external'
  members: MemberView[]
  /** Every station that is known, with the member that has it (this plant's own too). */
  stations: Array<Station & { at: PeerId }>
  ports: PortView[]
}

/** The networks of a plant. */
export interface Networks extends Service {
  /**
   * Puts a machine (or a proxy's host) on its network, joining it when it is the first here; resolves when the device carries frames, with the
   * station as allotted. A station that brings `addresses` keeps them: a machine after its plant's restart, or one that moved here. Throws NOT_AUTHORISED,
   * ADDRESS_TAKEN, LIMIT, or the signal's reason; the device is then as it was.
   */
  attach (on: AttachTo, station: WantedStation | Station, device: Device, signal: AbortSignal): Promise<Attachment>
  list (): NetworkView[]
  /**
   * Every frame that the plant's switch of this network takes in, as it comes, in wall-clock time; bounded, never slows the switch, and stops by itself
   * when the network is left. A network that is not here is an empty capture.
   */
  capture (networkId: NetworkId, sink: (atMs: number, frame: Uint8Array) => void): Cancel
  /** Every station of a network that this plant is on, with the member that has it; for addresses and names. */
  stations (networkId: NetworkId): Iterable<Station & { at: PeerId }>
  /** How often peers were refused or broken off with, by code. */
  refusals (): Readonly<Record<string, number>>
}

/** The networks of a plant over the given components. */
export function networks (): (components: NetworksComponents) => Networks {
  return (components) => new NetworksService(components)
}
