/** Frames between a machine that may go out, its network, and the user-mode network that leads outside. Pure; whatever comes, nothing throws. */
import { udpFrame } from '../../protocols/tunnel/address/packet.ts'
import { ETHERNET_BYTES, PROTOCOL_UDP, TYPE_ARP, TYPE_IPV4, macAt, putU16, putU32, u16, u32 } from '../../protocols/tunnel/ethernet.ts'
import { macIs } from './gateway-frames.ts'

/** A machine as its network knows it. */
export interface Self { mac: Uint8Array, address: number }

const IP_AT = ETHERNET_BYTES
const IP_BYTES = 20
const UDP_BYTES = 8
const DNS_BYTES = 12
const DNS_PORT = 53
const DNS_REFUSED = 5
/** Of an answer that goes in one packet (DNS flag day 2020). */
const ANSWER_BYTES_MAX = 1_232
const ARP_BYTES = 28
const ARP_REQUEST = 1
const ARP_REPLY = 2

/** Where a packet goes that the machine itself sends to its gateway; undefined for everything else. */
export function outward (bytes: Uint8Array, self: Self, gatewayMac: Uint8Array): number | undefined {
  if (!isIpv4(bytes) || !macIs(bytes, 0, gatewayMac) || !macIs(bytes, 6, self.mac) || u32(bytes, IP_AT + 12) !== self.address) return undefined
  return u32(bytes, IP_AT + 16)
}

/** Whether a packet is for the machine. */
export function inward (bytes: Uint8Array, self: Self): boolean { return isIpv4(bytes) && macIs(bytes, 0, self.mac) && u32(bytes, IP_AT + 16) === self.address }

/** What a packet asks a DNS server, with a key that its answer has too. */
export function dnsQuestion (bytes: Uint8Array): { key: string, query: Uint8Array } | undefined {
  const at = udpAt(bytes)
  if (at === undefined || u16(bytes, at + 2) !== DNS_PORT) return undefined
  const query = bytes.subarray(at + UDP_BYTES, at + u16(bytes, at + 4))
  return query.length < DNS_BYTES ? undefined : { key: `${u16(bytes, at)}/${u16(query, 0)}`, query }
}

/** The key of the question to this server that a packet refuses to answer: the network does not know the name. */
export function dnsRefusal (bytes: Uint8Array, server: number): string | undefined {
  const at = udpAt(bytes)
  if (at === undefined || u32(bytes, IP_AT + 12) !== server || u16(bytes, at) !== DNS_PORT || bytes.length < at + UDP_BYTES + DNS_BYTES) return undefined
  const flags = u16(bytes, at + UDP_BYTES + 2)
  return (flags & 0x8000) !== 0 && (flags & 0x0f) === DNS_REFUSED ? `${u16(bytes, at + 2)}/${u16(bytes, at + UDP_BYTES)}` : undefined
}

/** The frame of a refusal with an answer in its place; one that is too long says so, and nothing else. */
export function answered (refusal: Uint8Array, answer: Uint8Array): Uint8Array {
  const at = udpAt(refusal) ?? 0
  const from = { mac: macAt(refusal, 6), ip: u32(refusal, IP_AT + 12), port: DNS_PORT }
  const to = { mac: macAt(refusal, 0), ip: u32(refusal, IP_AT + 16), port: u16(refusal, at + 2) }
  return udpFrame(from, to, answer.length <= ANSWER_BYTES_MAX ? answer : truncated(answer))
}

function truncated (answer: Uint8Array): Uint8Array {
  const header = answer.slice(0, DNS_BYTES)
  header[2] = (header[2] ?? 0) | 0x02
  header.fill(0, 4)
  return header
}

/** The answer to who asks for the machine's card; undefined for everything else. */
export function arpReplyFor (bytes: Uint8Array, self: Self): Uint8Array | undefined {
  const at = ETHERNET_BYTES
  if (u16(bytes, 12) !== TYPE_ARP || bytes.length < at + ARP_BYTES || u16(bytes, at + 6) !== ARP_REQUEST || u32(bytes, at + 24) !== self.address) return undefined
  const reply = bytes.slice(0, at + ARP_BYTES)
  reply.set(bytes.subarray(6, 12), 0)
  reply.set(self.mac, 6)
  putU16(reply, at + 6, ARP_REPLY)
  reply.set(self.mac, at + 8)
  putU32(reply, at + 14, self.address)
  reply.set(bytes.subarray(at + 8, at + 18), at + 18)
  return reply
}

function isIpv4 (bytes: Uint8Array): boolean { return bytes.length >= IP_AT + IP_BYTES && u16(bytes, 12) === TYPE_IPV4 }

/** Where the UDP header of a whole datagram begins. */
function udpAt (bytes: Uint8Array): number | undefined {
  if (!isIpv4(bytes) || bytes[IP_AT + 9] !== PROTOCOL_UDP || (u16(bytes, IP_AT + 6) & 0x3fff) !== 0) return undefined
  const at = IP_AT + ((bytes[IP_AT] ?? 0) & 0x0f) * 4
  return at + UDP_BYTES <= bytes.length && at + u16(bytes, at + 4) <= bytes.length ? at : undefined
}
