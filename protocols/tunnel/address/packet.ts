/** Packets that the gateway writes: UDP and ICMP in IPv4 in Ethernet, with their checksums. */
import { ETHERNET_BYTES, PROTOCOL_UDP, TYPE_IPV4, putMac, putU16, putU32, u16, u32, type FrameView } from '../ethernet.ts'
import type { Ip4 } from './subnet.ts'

/** IANA's number of ICMP. */
export const PROTOCOL_ICMP = 1

const IP_BYTES = 20
const UDP_BYTES = 8
const ICMP_BYTES = 8
const TTL = 64
const DO_NOT_FRAGMENT = 0x4000
const ECHO_REQUEST = 8
const ECHO_REPLY = 0
const UNREACHABLE = 3
/** What is given back of a packet that could not be delivered (RFC 1812, 4.3.2.3: as much as fits into 576 bytes). */
const RETURNED_BYTES_MAX = 576 - IP_BYTES - ICMP_BYTES

/** Why a packet goes nowhere (ICMP type 3): nobody listens there; nothing leaves the network. */
export const PORT_UNREACHABLE = 3
/** See PORT_UNREACHABLE. */
export const PROHIBITED = 13

/** One end of what is sent. */
export interface End { mac: number, ip: Ip4, port: number }

/** The internet checksum (RFC 1071) over `bytes` from `from` to `to`, beginning with a sum that was made before. */
export function checksum (bytes: Uint8Array, from: number, to: number, sum = 0): number {
  let total = sum
  for (let at = from; at < to; at += 2) total += at + 1 < to ? u16(bytes, at) : (bytes[at] ?? 0) << 8
  while (total > 0xffff) total = (total & 0xffff) + (total >>> 16)
  return ~total & 0xffff
}

/** A UDP datagram in a frame. */
export function udpFrame (from: End, to: End, payload: Uint8Array): Uint8Array {
  const udpAt = ETHERNET_BYTES + IP_BYTES
  const frame = ipFrame(from, to, PROTOCOL_UDP, UDP_BYTES + payload.length)
  putU16(frame, udpAt, from.port)
  putU16(frame, udpAt + 2, to.port)
  putU16(frame, udpAt + 4, UDP_BYTES + payload.length)
  frame.set(payload, udpAt + UDP_BYTES)
  const addresses = (from.ip >>> 16) + (from.ip & 0xffff) + (to.ip >>> 16) + (to.ip & 0xffff)
  const sum = checksum(frame, udpAt, frame.length, addresses + PROTOCOL_UDP + UDP_BYTES + payload.length)
  // Zero would say that there is none (RFC 768).
  putU16(frame, udpAt + 6, sum === 0 ? 0xffff : sum)
  return frame
}

/** The payload of a UDP datagram that a view shows, as long as its own header says; undefined when that lies. */
export function udpPayload (view: FrameView): Uint8Array | undefined {
  const length = u16(view.bytes, view.transportAt + 4)
  if (length < UDP_BYTES || view.transportAt + length > view.endAt) return undefined
  return view.bytes.subarray(view.transportAt + UDP_BYTES, view.transportAt + length)
}

/** The answer to a ping; undefined when the packet is none. */
export function echoReply (view: FrameView, gateway: Omit<End, 'port'>): Uint8Array | undefined {
  const { bytes, transportAt: at, endAt } = view
  if (view.protocol !== PROTOCOL_ICMP || at < 0 || endAt - at < ICMP_BYTES || bytes[at] !== ECHO_REQUEST || bytes[at + 1] !== 0) return undefined
  const icmpAt = ETHERNET_BYTES + IP_BYTES
  const frame = ipFrame(gateway, { mac: view.source, ip: view.sourceIpv4 }, PROTOCOL_ICMP, endAt - at)
  frame.set(bytes.subarray(at, endAt), icmpAt)
  frame[icmpAt] = ECHO_REPLY
  return summed(frame, icmpAt)
}

/** Tells the sender of a packet that it goes nowhere. */
export function unreachable (view: FrameView, gateway: Omit<End, 'port'>, code: number): Uint8Array {
  const icmpAt = ETHERNET_BYTES + IP_BYTES
  const returned = view.bytes.subarray(view.contentsAt, Math.min(view.endAt, view.contentsAt + RETURNED_BYTES_MAX))
  const frame = ipFrame(gateway, { mac: view.source, ip: view.sourceIpv4 }, PROTOCOL_ICMP, ICMP_BYTES + returned.length)
  frame[icmpAt] = UNREACHABLE
  frame[icmpAt + 1] = code
  frame.set(returned, icmpAt + ICMP_BYTES)
  return summed(frame, icmpAt)
}

/** The destination's address of an IPv4 packet. */
export function destinationOf (view: FrameView): Ip4 { return u32(view.bytes, view.contentsAt + 16) }

/** Whether it says itself that another packet went nowhere: such are never answered with an error (RFC 1122, 3.2.2). */
export function isIcmpError (view: FrameView): boolean {
  const type = view.bytes[view.transportAt] ?? 0
  return view.protocol === PROTOCOL_ICMP && (view.transportAt < 0 || type === UNREACHABLE || type === 4 || type === 5 || type === 11 || type === 12)
}

/** Whether an IPv4 packet is a part of a greater one. */
export function isFragment (view: FrameView): boolean { return (u16(view.bytes, view.contentsAt + 6) & 0x3fff) !== 0 }

/** Whether its header's checksum holds. */
export function headerHolds (view: FrameView): boolean {
  return checksum(view.bytes, view.contentsAt, view.contentsAt + ((view.bytes[view.contentsAt] ?? 0) & 0x0f) * 4) === 0
}

function summed (frame: Uint8Array, icmpAt: number): Uint8Array {
  putU16(frame, icmpAt + 2, 0)
  putU16(frame, icmpAt + 2, checksum(frame, icmpAt, frame.length))
  return frame
}

function ipFrame (from: Omit<End, 'port'>, to: Omit<End, 'port'>, protocol: number, payloadBytes: number): Uint8Array {
  const frame = new Uint8Array(ETHERNET_BYTES + IP_BYTES + payloadBytes)
  putMac(frame, 0, to.mac)
  putMac(frame, 6, from.mac)
  putU16(frame, 12, TYPE_IPV4)
  const at = ETHERNET_BYTES
  frame[at] = 0x45
  putU16(frame, at + 2, IP_BYTES + payloadBytes)
  putU16(frame, at + 6, DO_NOT_FRAGMENT)
  frame[at + 8] = TTL
  frame[at + 9] = protocol
  putU32(frame, at + 12, from.ip)
  putU32(frame, at + 16, to.ip)
  putU16(frame, at + 10, checksum(frame, at, at + IP_BYTES))
  return frame
}
