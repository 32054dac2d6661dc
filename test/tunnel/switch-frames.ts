/** Frames for the switch's tests, made by hand: what they say is the caller's, right or wrong. */
import { BROADCAST_MAC, TYPE_ARP, TYPE_IPV4, TYPE_IPV6, TYPE_TAG, ipv4Number, parseMac, putMac, putU16, putU32 } from '../../protocols/tunnel/ethernet.ts'
import { icmpv6Checksum } from '../../protocols/tunnel/neighbour.ts'

export const BROADCAST = 'ff:ff:ff:ff:ff:ff'
export const GATEWAY = { mac: '02:00:5e:00:00:01', address: '10.192.0.1' }

export const macOf = (text: string): number => parseMac(text) ?? BROADCAST_MAC
export const addressOf = (text: string): number => ipv4Number(text) ?? 0
/** A machine's MAC by its number. */
export const mac = (n: number): string => `52:54:00:00:${(n >>> 8 & 0xff).toString(16).padStart(2, '0')}:${(n & 0xff).toString(16).padStart(2, '0')}`
/** Its address. */
export const ip = (n: number): string => `10.192.${1 + (n >>> 8 & 0xff)}.${n & 0xff}`

export function concat (...parts: Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}

export function ethernet (to: string, from: string, type: number, contents: Uint8Array, tag?: number): Uint8Array {
  const header = new Uint8Array(tag === undefined ? 14 : 18)
  putMac(header, 0, macOf(to))
  putMac(header, 6, macOf(from))
  if (tag !== undefined) {
    putU16(header, 12, TYPE_TAG)
    putU16(header, 14, tag)
  }
  putU16(header, header.length - 2, type)
  return concat(header, contents)
}

export interface ArpSaid { to?: string, from: string, reply?: boolean, senderMac?: string, sender: string, target: string, tag?: number }

export function arp ({ to = BROADCAST, from, reply = false, senderMac = from, sender, target, tag }: ArpSaid): Uint8Array {
  const message = new Uint8Array(28)
  message.set([0, 1, 8, 0, 6, 4, 0, reply ? 2 : 1])
  putMac(message, 8, macOf(senderMac))
  putU32(message, 14, addressOf(sender))
  putU32(message, 24, addressOf(target))
  return ethernet(to, from, TYPE_ARP, message, tag)
}

export interface Ipv4Said { to: string, from: string, source: string, destination?: string, protocol?: number, contents?: Uint8Array, fragmentAt?: number, totalBytes?: number, tag?: number }

export function ipv4 ({ to, from, source, destination = '10.192.9.9', protocol = 6, contents = new Uint8Array(20), fragmentAt = 0, totalBytes = 20 + contents.length, tag }: Ipv4Said): Uint8Array {
  const header = new Uint8Array(20)
  header[0] = 0x45
  putU16(header, 2, totalBytes)
  putU16(header, 6, fragmentAt / 8)
  header[8] = 64
  header[9] = protocol
  putU32(header, 12, addressOf(source))
  putU32(header, 16, addressOf(destination))
  return ethernet(to, from, TYPE_IPV4, concat(header, contents), tag)
}

export function udp (fromPort: number, toPort: number, contents: Uint8Array = new Uint8Array(0)): Uint8Array {
  const header = new Uint8Array(8)
  putU16(header, 0, fromPort)
  putU16(header, 2, toPort)
  putU16(header, 4, 8 + contents.length)
  return concat(header, contents)
}

export interface DhcpSaid { reply?: boolean, kind: number, client: string, your?: string, leaseS?: number, options?: number[] }

/** The contents of a DHCP packet. */
export function dhcp ({ reply = false, kind, client, your = '0.0.0.0', leaseS, options = [] }: DhcpSaid): Uint8Array {
  const fixed = new Uint8Array(240)
  fixed.set([reply ? 2 : 1, 1, 6])
  putU32(fixed, 16, addressOf(your))
  putMac(fixed, 28, macOf(client))
  putU32(fixed, 236, 0x63825363)
  const lease = new Uint8Array(leaseS === undefined ? 0 : 6)
  if (leaseS !== undefined) {
    lease.set([51, 4])
    putU32(lease, 2, leaseS)
  }
  return concat(fixed, Uint8Array.of(...options, 53, 1, kind), lease, Uint8Array.of(255))
}

/** A machine asks all for an address (kind 1 discover, 3 request). */
export const dhcpAsk = (from: string, kind = 1, client = from): Uint8Array =>
  ipv4({ to: BROADCAST, from, source: '0.0.0.0', destination: '255.255.255.255', protocol: 17, contents: udp(68, 67, dhcp({ kind, client })) })

/** A machine renews the address that it had. */
export const dhcpRenew = (from: string, source: string, to = BROADCAST, client = from): Uint8Array =>
  ipv4({ to, from, source, destination: '255.255.255.255', protocol: 17, contents: udp(68, 67, dhcp({ kind: 3, client })) })

/** A server gives an address (kind 2 offer, 5 ack). */
export const dhcpGive = (from: string, server: string, client: string, your: string, { to = BROADCAST, kind = 5, leaseS = 3600 } = {}): Uint8Array =>
  ipv4({ to, from, source: server, destination: '255.255.255.255', protocol: 17, contents: udp(67, 68, dhcp({ reply: true, kind, client, your, leaseS })) })

/** The 16 bytes of fe80::/64 and an interface's four groups, or of the address that follows from a MAC. */
export function linkLocal (groups: [number, number, number, number] | string): Uint8Array {
  const address = Uint8Array.of(0xfe, 0x80, ...Array.from({ length: 14 }, () => 0))
  if (typeof groups !== 'string') groups.forEach((group, i) => { putU16(address, 8 + 2 * i, group) })
  else {
    const bytes = new Uint8Array(6)
    putMac(bytes, 0, macOf(groups))
    address.set([(bytes[0] ?? 0) ^ 2, bytes[1] ?? 0, bytes[2] ?? 0, 0xff, 0xfe, bytes[3] ?? 0, bytes[4] ?? 0, bytes[5] ?? 0], 8)
  }
  return address
}

export const UNSPECIFIED = new Uint8Array(16)
export const GLOBAL = Uint8Array.of(0x20, 0x01, 0x0d, 0xb8, ...Array.from({ length: 11 }, () => 0), 1)

export interface Ipv6Said { to: string, from: string, source: Uint8Array, destination?: Uint8Array, next?: number, contents?: Uint8Array, hops?: number, length?: number }

export function ipv6 ({ to, from, source, destination = linkLocal([0, 0, 0, 9]), next = 6, contents = new Uint8Array(20), hops = 255, length = contents.length }: Ipv6Said): Uint8Array {
  const header = new Uint8Array(40)
  header[0] = 0x60
  putU16(header, 4, length)
  header[6] = next
  header[7] = hops
  header.set(source, 8)
  header.set(destination, 24)
  const packet = concat(header, contents)
  if (next === 58 && length === contents.length && length >= 4) putU16(packet, 42, icmpv6Checksum(packet, 0))
  return ethernet(to, from, TYPE_IPV6, packet)
}

/** A neighbour message: its type, what it is about, and the MAC that it carries. */
export function neighbour (type: number, target: Uint8Array, option?: { kind: number, mac: string }): Uint8Array {
  const message = new Uint8Array(24)
  message[0] = type
  message.set(target, 8)
  if (option === undefined) return message
  const carried = new Uint8Array(8)
  carried.set([option.kind, 1])
  putMac(carried, 2, macOf(option.mac))
  return concat(message, carried)
}

/** Probes for an address, as a host does before it takes it. */
export const probe = (from: string, target: Uint8Array): Uint8Array => ipv6({ to: '33:33:ff:00:00:01', from, source: UNSPECIFIED, next: 58, contents: neighbour(135, target) })
/** Asks who has an address. */
export const solicit = (from: string, source: Uint8Array, target: Uint8Array): Uint8Array =>
  ipv6({ to: '33:33:ff:00:00:01', from, source, next: 58, contents: neighbour(135, target, { kind: 1, mac: from }) })
/** Says to all that it has an address. */
export const advert = (from: string, source: Uint8Array, target = source, carried = from): Uint8Array =>
  ipv6({ to: '33:33:00:00:00:01', from, source, next: 58, contents: neighbour(136, target, { kind: 2, mac: carried }) })
