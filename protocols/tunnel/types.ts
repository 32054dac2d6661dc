/** What a tenant network is made of, as its parts hand it to each other. */
import { toHex, type Branded, type Crypto, type KeyId, type VmId } from '../kit/index.ts'

/** A virtual network in the mesh: 32 lower-case hex digits, see `networkIdOf`. */
export type NetworkId = Branded<string, 'NetworkId'>

/** Which network: equal names of two domains are two networks, and so are equal domain names of two keys. */
export interface NetworkName { domainKey: KeyId, domain: string, name: string }

/**
 * An Ethernet frame from the destination's address on, without preamble and check sequence. With `offload` it may be up to 64 KiB long: its checksum, or
 * cutting it into segments, was left to whoever puts it on a real wire (virtio 1.2, 5.1.6: the 10 bytes of `virtio_net_hdr`).
 */
export interface Frame { bytes: Uint8Array, offload?: Uint8Array }

/** Something that frames come out of and go into: a machine's card, a TAP, a user-mode gateway. */
export interface Device {
  /** Whether it takes frames with offload; for others they are cut and summed before. */
  readonly takesOffload: boolean
  /** Takes a frame, or drops it when it is behind; never waits and never throws. The bytes are the device's from then on and are not written to. */
  send (frame: Frame): void
  /** Sets the one listener for frames that come out of it; until there is one they are dropped. */
  onFrame (fn: (frame: Frame) => void): void
  /** Aborted when it is gone, for whatever reason. */
  readonly closed: AbortSignal
  close (): void
}

/** A machine on a network, as the members tell each other. */
export interface Station {
  /** `52:54:00:…`, lower case. */
  mac: string
  /** IPv4 addresses in dotted form; none where the client's own LAN gives them. */
  addresses: readonly string[]
  /** Absent for a proxy's own end. */
  vmId?: VmId
  /** The host name, which resolves in the network. */
  name?: string
  /** It may pass on packets of other addresses. */
  router?: true
  /** What it reaches through routers, told by DHCP; for the plant that has it: the other members are not told. */
  routes?: readonly Route[]
  /** For the plant that has it: kept in its record and given on when it moves; the other members are not told. */
  given?: Given
}

/** A subnet (`10.2.0.0/16`; `0.0.0.0/0` is all else) that is behind the router of this address. */
export interface Route { to: string, via: string }

/** How a station's address was given to it. */
export interface Given {
  /** When, in wall-clock time: of two of one address the earlier stays. */
  sinceMs: number
  /** The length of its subnet's prefix. */
  prefixBits: number
}

/** A station before it has an address: `address` is the one that the order asks for, `10.1.2.3` or `192.168.7.10/24`. */
export interface WantedStation extends Omit<Station, 'addresses'> { address?: string }

/** Why a plant or a proxy may be on a network; see protocols/tunnel/README.md, Membership. */
export type MembershipProof =
  /** It has a machine of the network: the signed order, and the hand-overs from its shop to this plant. */
  | { kind: 'machine', signedOrder: Uint8Array, handOvers: readonly Uint8Array[] }
  /** A client joins from here: its signed `join` call. */
  | { kind: 'proxy', signedCall: Uint8Array }

const PURPOSE = 'plantmesh/network/v1'

/** The id of a network: the first 16 bytes of a digest over its three parts. */
export function networkIdOf (crypto: Pick<Crypto, 'sha256'>, { domainKey, domain, name }: NetworkName): NetworkId {
  const digest = crypto.sha256(new TextEncoder().encode(JSON.stringify([PURPOSE, domainKey, domain, name])))
  return toHex(digest.subarray(0, 16)) as NetworkId
}
