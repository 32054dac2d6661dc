/** Subnets of IPv4 addresses, as numbers and text. Whatever text or number comes in, nothing throws. */
import { ipv4Number, ipv4Text } from '../ethernet.ts'

/** An address as a number from 0 to 2^32 - 1. */
export type Ip4 = number

/** A subnet; `base` has no host bits. */
export interface Subnet { base: Ip4, prefixBits: number }

/** `255.255.255.255`. */
export const EVERYONE: Ip4 = 0xffffffff

/** The netmask of a prefix, as a number. */
export function maskOf (prefixBits: number): Ip4 { return prefixBits === 0 ? 0 : (EVERYONE << (32 - prefixBits)) >>> 0 }

/** The subnet that an address with a prefix of this length lies in. */
export function subnetOf (ip: Ip4, prefixBits: number): Subnet { return { base: (ip & maskOf(prefixBits)) >>> 0, prefixBits } }

/** An address with its prefix length, `192.168.7.10/24`; undefined when it is none. */
export function parseCidr (text: string): { ip: Ip4, prefixBits: number } | undefined {
  const [address = '', prefix = '', ...rest] = text.split('/')
  const ip = ipv4Number(address)
  if (ip === undefined || rest.length > 0 || !/^(?:0|[1-9]\d?)$/.test(prefix) || Number(prefix) > 32) return undefined
  return { ip, prefixBits: Number(prefix) }
}

/** `10.192.0.0/10`. */
export function subnetText ({ base, prefixBits }: Subnet): string { return `${ipv4Text(base)}/${prefixBits}` }

/** How many addresses there are, those that nobody may have included. */
export function sizeOf ({ prefixBits }: Subnet): number { return 2 ** (32 - prefixBits) }

/** Whether an address lies in a subnet. */
export function contains ({ base, prefixBits }: Subnet, ip: Ip4): boolean { return (ip & maskOf(prefixBits)) >>> 0 === base }

/** The last address, by which all of a subnet are meant. */
export function broadcastOf (subnet: Subnet): Ip4 { return subnet.base + sizeOf(subnet) - 1 }

/** The first address that a host may have: the gateway's. */
export function gatewayOf (subnet: Subnet): Ip4 { return subnet.base + 1 }

/** Whether this is a host's address in its subnet, and of a kind that hosts have at all (RFC 6890: not 0/8, loopback, multicast or reserved). */
export function isHost (subnet: Subnet, ip: Ip4): boolean {
  const first = ip >>> 24
  if (first === 0 || first === 127 || first >= 224) return false
  // Subnets of one or two addresses have neither a network's nor a broadcast address (RFC 3021).
  return contains(subnet, ip) && (subnet.prefixBits >= 31 || (ip !== subnet.base && ip !== broadcastOf(subnet)))
}
