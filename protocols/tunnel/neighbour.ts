/** Neighbour discovery (RFC 4861): who asks for whom and who says to be whom, the answer to a question, and link-local addresses as keys. */
import { TYPE_IPV6, macAt, putMac, putU16, putU32, u16, u32, type FrameView } from './ethernet.ts'

const ROUTER_SOLICIT = 133
const ROUTER_ADVERT = 134
const SOLICIT = 135
const ADVERT = 136
const REDIRECT = 137
const SOURCE_MAC_OPTION = 1
const TARGET_MAC_OPTION = 2
const IPV6_BYTES = 40
const ANSWER_BYTES = 32
const ALL_NODES_MAC = 0x3333_0000_0001
const PREFIX_HIGH = 0xfe80_0000

/** What a neighbour message says; `mac` is the one that it carries for its sender (solicitations, adverts). */
export interface Neighbour { kind: 'solicit' | 'advert' | 'router-solicit' | 'router', targetAt: number, mac?: number }

/**
 * The neighbour message of a frame that carries one. Undefined for other packets (also those that hosts ignore, since a router handed them on:
 * hop limit below 255); 'malformed' when its options contradict its length, or come in another fragment (RFC 6980).
 */
export function neighbourOf (view: FrameView): Neighbour | 'malformed' | undefined {
  const { bytes, contentsAt, transportAt: at, endAt } = view
  if (view.contents !== 'ipv6' || view.protocol !== 58 || at < 0 || bytes[contentsAt + 7] !== 255) return undefined
  const type = bytes[at] ?? 0
  if (type < ROUTER_SOLICIT || type > REDIRECT) return undefined
  if (view.isFragment) return 'malformed'
  const hasTarget = type === SOLICIT || type === ADVERT
  const optionsAt = at + (type === ROUTER_SOLICIT ? 8 : type === ROUTER_ADVERT ? 16 : type === REDIRECT ? 40 : 24)
  if (optionsAt > endAt) return 'malformed'
  const kind = type === SOLICIT ? 'solicit' : type === ADVERT ? 'advert' : type === ROUTER_SOLICIT ? 'router-solicit' : 'router'
  const wanted = type === ADVERT ? TARGET_MAC_OPTION : SOURCE_MAC_OPTION
  let mac: number | undefined
  for (let option = optionsAt; option < endAt;) {
    const length = (bytes[option + 1] ?? 0) * 8
    if (length === 0 || option + length > endAt) return 'malformed'
    // Two options with different addresses: hosts differ in which they believe.
    if (bytes[option] === wanted && mac !== undefined && mac !== macAt(bytes, option + 2)) return 'malformed'
    if (bytes[option] === wanted) mac = macAt(bytes, option + 2)
    option += length
  }
  return { kind, targetAt: hasTarget ? at + 8 : -1, ...(mac !== undefined && { mac }) }
}

/** Whether the 16 bytes are in fe80::/64. */
export function isLinkLocal (bytes: Uint8Array, at: number): boolean {
  return u32(bytes, at) === PREFIX_HIGH && u32(bytes, at + 4) === 0
}

/** Whether the 16 bytes are `::`. */
export function isUnspecified (bytes: Uint8Array, at: number): boolean {
  return u32(bytes, at) === 0 && u32(bytes, at + 4) === 0 && u32(bytes, at + 8) === 0 && u32(bytes, at + 12) === 0
}

/** The MAC that a link-local address follows from (EUI-64, RFC 4291 appendix A), or undefined when it follows from none. */
export function macOfLinkLocal (bytes: Uint8Array, at: number): number | undefined {
  if (u16(bytes, at + 11) !== 0xfffe) return undefined
  const high = u16(bytes, at + 8) ^ 0x0200
  return high * 0x1_0000_0000 + (bytes[at + 10] ?? 0) * 0x100_0000 + (bytes[at + 13] ?? 0) * 0x1_0000 + u16(bytes, at + 14)
}

/** The advert that answers the solicitation in `view` (with its tag, if it has one): that its target is at `mac`. To all when the asker has no address yet. */
export function neighbourAnswer (view: FrameView, targetAt: number, mac: number, isRouter: boolean): Uint8Array {
  const { bytes, contentsAt: at, sourceAt } = view
  const isProbe = isUnspecified(bytes, sourceAt)
  const answer = new Uint8Array(at + IPV6_BYTES + ANSWER_BYTES)
  answer.set(bytes.subarray(0, at))
  putMac(answer, 0, isProbe ? ALL_NODES_MAC : view.source)
  putMac(answer, 6, mac)
  putU16(answer, at - 2, TYPE_IPV6)
  putU32(answer, at, 0x6000_0000)
  putU16(answer, at + 4, ANSWER_BYTES)
  answer[at + 6] = 58
  answer[at + 7] = 255
  const target = bytes.subarray(targetAt, targetAt + 16)
  answer.set(target, at + 8)
  if (isProbe) answer.set([0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], at + 24)
  else answer.set(bytes.subarray(sourceAt, sourceAt + 16), at + 24)
  const message = at + IPV6_BYTES
  answer[message] = ADVERT
  // Router, solicited, override.
  answer[message + 4] = (isRouter ? 0x80 : 0) | (isProbe ? 0 : 0x40) | 0x20
  answer.set(target, message + 8)
  answer[message + 24] = TARGET_MAC_OPTION
  answer[message + 25] = 1
  putMac(answer, message + 26, mac)
  putU16(answer, message + 2, icmpv6Checksum(answer, at))
  return answer
}

/** The checksum of the ICMPv6 message right behind the IPv6 header at `at`, its own field taken as it is (zero to make one, else the result is 0 when right). */
export function icmpv6Checksum (bytes: Uint8Array, at: number): number {
  const length = u16(bytes, at + 4)
  let sum = length + 58
  for (let i = at + 8; i < at + IPV6_BYTES + length; i += 2) sum += i + 1 < at + IPV6_BYTES + length ? u16(bytes, i) : (bytes[i] ?? 0) << 8
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  return ~sum & 0xffff
}
