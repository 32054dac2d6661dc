/** Which addresses a machine may have, in the order in which they are asked for, and what registrars are told of them. Pure. */
import { fromHex, isVmId, toHex, type Crypto, type VmId } from '../../kit/index.ts'
import { ipv4Number, ipv4Text } from '../ethernet.ts'
import type { NetworkId } from '../types.ts'
import { CANDIDATES_MAX, DEFAULT_SUBNET, HASHED_TRIES } from './constants.ts'
import { gatewayOf, isHost, parseCidr, sizeOf, subnetOf, subnetText, type Ip4, type Subnet } from './subnet.ts'

/** An address and the length of its subnet's prefix. */
export interface Placed { ip: Ip4, prefixBits: number }

/** A subnet of one's own is no larger than a class A network, and holds two addresses at least. */
const PREFIX_BITS_MIN = 8
const PREFIX_BITS_MAX = 31
/** Who holds an address, and that it is this one: half of a digest each. */
const HALF_BYTES = 16

const bytesOf = (parts: unknown[]): Uint8Array => new TextEncoder().encode(JSON.stringify(parts))

/** The address that an order asks for, `10.200.1.2` or `192.168.7.10/24`, or a sentence that says why nobody can have it. */
export function wantedAddress (text: string): Placed | { problem: string } {
  const bare = ipv4Number(text)
  const placed = bare === undefined ? parseCidr(text) : { ip: bare, prefixBits: DEFAULT_SUBNET.prefixBits }
  // A leading zero means an octal number to some programs.
  if (placed === undefined || /(?:^|\.)0\d/.test(text)) return { problem: 'static addresses are IPv4, with or without a prefix length' }
  const { ip, prefixBits } = placed
  if (prefixBits < PREFIX_BITS_MIN || prefixBits > PREFIX_BITS_MAX) return { problem: `a prefix has ${PREFIX_BITS_MIN} to ${PREFIX_BITS_MAX} bits` }
  const subnet = subnetOf(ip, prefixBits)
  if (bare !== undefined && subnet.base !== DEFAULT_SUBNET.base) return { problem: `it is not in the network's subnet ${subnetText(DEFAULT_SUBNET)}: give it with the length of a prefix of its own (${text}/24)` }
  if (!isHost(subnet, ip)) return { problem: `no machine of ${subnetText(subnet)} can have it` }
  return ip === gatewayOf(DEFAULT_SUBNET) ? { problem: 'it is the gateway\'s' } : placed
}

/** Addresses for a machine, best first, each once: digests of its id, so that it is asked for the same ones wherever it is made, then the addresses after the first. */
export function * candidates (crypto: Pick<Crypto, 'sha256'>, networkId: NetworkId, id: string, subnet: Subnet = DEFAULT_SUBNET): Generator<Ip4> {
  const size = sizeOf(subnet)
  const hashed = (attempt: number): number => subnet.base + wordOf(crypto.sha256(bytesOf(['plantmesh/address-candidate/v1', networkId, id, attempt]))) % size
  const seen = new Set<Ip4>()
  const first = hashed(0)
  for (let tried = 0; tried < Math.min(CANDIDATES_MAX, HASHED_TRIES + size); tried++) {
    const ip = tried < HASHED_TRIES ? hashed(tried) : subnet.base + (first - subnet.base + tried - HASHED_TRIES) % size
    if (seen.has(ip) || !isHost(subnet, ip) || ip === gatewayOf(subnet)) continue
    seen.add(ip)
    yield ip
  }
}

/** Whether an address is one that the machine's order asks for, or one of its candidates: no plant gives it another. */
export function isOwnAddress (crypto: Pick<Crypto, 'sha256'>, networkId: NetworkId, vmId: VmId, ip: Ip4, ordered: readonly string[]): boolean {
  const isOrdered = ordered.some((text) => {
    const wanted = wantedAddress(text)
    return 'ip' in wanted && wanted.ip === ip
  })
  if (isOrdered) return true
  for (const candidate of candidates(crypto, networkId, vmId)) if (candidate === ip) return true
  return false
}

function wordOf (digest: Uint8Array): number { return new DataView(digest.buffer, digest.byteOffset).getUint32(0) }

/** Under what an address of a network is claimed: of the form of a VMID, and says neither network nor address. */
export function addressKey (crypto: Pick<Crypto, 'sha256'>, networkId: NetworkId, ip: Ip4): VmId {
  return toHex(crypto.sha256(bytesOf(['plantmesh/address/v1', networkId, ipv4Text(ip)])).subarray(0, HALF_BYTES)) as VmId
}

/**
 * What registrars keep as the order of an address: the VMID of the machine that has it, masked, so that only those who know network and address can read it, and
 * a proof that the writer did. A proxy's own end, which has no VMID, is told by its card.
 */
export function holderDigest (crypto: Pick<Crypto, 'sha256'>, networkId: NetworkId, ip: Ip4, holder: { vmId?: VmId, mac: string }): string {
  const { vmId, mac } = holder
  const id = vmId === undefined ? crypto.sha256(bytesOf(['plantmesh/address-card/v1', mac])).subarray(0, HALF_BYTES) : fromHex(vmId)
  const mask = maskOfHolder(crypto, networkId, ip, vmId !== undefined)
  return toHex(mask.map((byte, i) => byte ^ (id[i] ?? 0)))
}

/** The VMID in what a registrar kept of an address; undefined when it is a proxy's or not made for this address. */
export function holderOf (crypto: Pick<Crypto, 'sha256'>, networkId: NetworkId, ip: Ip4, digest: string): VmId | undefined {
  if (!/^[0-9a-f]{64}$/.test(digest)) return undefined
  const bytes = fromHex(digest)
  const mask = maskOfHolder(crypto, networkId, ip, true)
  const vmId = toHex(bytes.subarray(0, HALF_BYTES).map((byte, i) => byte ^ (mask[i] ?? 0)))
  return mask.every((byte, i) => i < HALF_BYTES || byte === bytes[i]) && isVmId(vmId) ? vmId : undefined
}

function maskOfHolder (crypto: Pick<Crypto, 'sha256'>, networkId: NetworkId, ip: Ip4, isVm: boolean): Uint8Array {
  return crypto.sha256(bytesOf(['plantmesh/address-holder/v1', networkId, ipv4Text(ip), isVm]))
}
