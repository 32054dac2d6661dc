/**
 * Frames as views: what is where, within bounds, whatever the bytes. A MAC is a number of 48 bits and an IPv4 address one of 32. `FrameView` is read
 * again for each frame and allocates nothing, since a switch does that a million times a second; what is rarer (ARP, ND, DHCP) has views of its own.
 */
import { IPV6_HEADERS_MAX } from './constants.ts'

/** An Ethernet header without a tag. */
export const ETHERNET_BYTES = 14
/** One 802.1Q tag. */
export const TAG_BYTES = 4

/** Kinds of contents (IEEE 802 numbers). */
export const TYPE_IPV4 = 0x0800
export const TYPE_ARP = 0x0806
export const TYPE_IPV6 = 0x86dd
export const TYPE_TAG = 0x8100
export const TYPE_SERVICE_TAG = 0x88a8
/** Below this the field is a length (802.3), above it a kind. */
export const TYPE_MIN = 0x0600

/** Protocols in IP (IANA). */
export const PROTOCOL_TCP = 6
export const PROTOCOL_UDP = 17
export const PROTOCOL_ICMPV6 = 58

/** `ff:ff:ff:ff:ff:ff`. */
export const BROADCAST_MAC = 0xffff_ffff_ffff

const HIGH = 0x1_0000_0000

/** Two bytes; what lies outside reads as zero. */
export function u16 (bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0)
}

/** Four bytes. */
export function u32 (bytes: Uint8Array, at: number): number {
  return ((u16(bytes, at) << 16) | u16(bytes, at + 2)) >>> 0
}

/** A MAC of six bytes. */
export function macAt (bytes: Uint8Array, at: number): number {
  return u16(bytes, at) * HIGH + u32(bytes, at + 2)
}

/** Writes two bytes. */
export function putU16 (bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8
  bytes[at + 1] = value
}

/** Writes four bytes. */
export function putU32 (bytes: Uint8Array, at: number, value: number): void {
  putU16(bytes, at, value >>> 16)
  putU16(bytes, at + 2, value & 0xffff)
}

/** Writes a MAC of six bytes. */
export function putMac (bytes: Uint8Array, at: number, mac: number): void {
  putU16(bytes, at, Math.floor(mac / HIGH))
  putU32(bytes, at + 2, mac % HIGH)
}

/** The number of `52:54:00:12:34:56`, in lower or upper case; undefined for other text. */
export function parseMac (text: string): number | undefined {
  return /^[0-9a-f]{2}(?::[0-9a-f]{2}){5}$/i.test(text) ? Number.parseInt(text.replaceAll(':', ''), 16) : undefined
}

/** A MAC as text, in lower case. */
export function formatMac (mac: number): string {
  return (mac.toString(16).padStart(12, '0').match(/../g) ?? []).join(':')
}

/** Whether a MAC is a group's (broadcast or multicast): the lowest bit of the first byte. */
export function isGroup (mac: number): boolean {
  return (Math.floor(mac / 0x100_0000_0000) & 1) === 1
}

/** The number of a dotted IPv4 address; undefined for other text. */
export function ipv4Number (text: string): number | undefined {
  const parts = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text)?.slice(1).map(Number)
  if (parts === undefined || parts.some((part) => part > 255)) return undefined
  return parts.reduce((sum, part) => sum * 256 + part, 0)
}

/** An IPv4 address as dotted text. */
export function ipv4Text (address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 0xff).join('.')
}

/** What a frame carries, as far as its headers hold; `malformed` when they contradict themselves or the frame's length. */
export type Contents = 'arp' | 'ipv4' | 'ipv6' | 'other' | 'malformed'

/** One frame at a time: `read` sets the fields, which hold until the next `read`. */
export class FrameView {
  bytes: Uint8Array = new Uint8Array(0)
  destination = 0
  source = 0
  etherType = 0
  /** Where the contents begin: behind the header and at most one tag. */
  contentsAt = 0
  contents: Contents = 'other'
  /** The IP packet's end: behind it there may be padding. */
  endAt = 0
  /** The protocol in IP; -1 when there is none. */
  protocol = -1
  /** Where its header begins; -1 when this frame does not have it: a later fragment, or no IP. */
  transportAt = -1
  /** It is a part of a packet; only the first part has a transport header. */
  isFragment = false
  /** IPv4's; for IPv6 see `sourceAt`. */
  sourceIpv4 = 0
  /** Of UDP and TCP; -1 when there are none. */
  sourcePort = -1
  destinationPort = -1

  /** Itself, or undefined when the bytes are no Ethernet frame. */
  read (bytes: Uint8Array): this | undefined {
    if (bytes.length < ETHERNET_BYTES) return undefined
    this.bytes = bytes
    this.destination = macAt(bytes, 0)
    this.source = macAt(bytes, 6)
    this.protocol = -1
    this.transportAt = -1
    this.isFragment = false
    this.sourcePort = -1
    this.destinationPort = -1
    this.etherType = u16(bytes, 12)
    this.contentsAt = ETHERNET_BYTES
    this.endAt = bytes.length
    if (this.etherType === TYPE_TAG && bytes.length >= ETHERNET_BYTES + TAG_BYTES) {
      this.etherType = u16(bytes, 16)
      this.contentsAt = ETHERNET_BYTES + TAG_BYTES
    }
    this.contents = this.#readContents()
    return this
  }

  /** IPv6: where the source's 16 bytes are; the destination's follow. */
  get sourceAt (): number { return this.contentsAt + 8 }

  #readContents (): Contents {
    switch (this.etherType) {
      case TYPE_IPV4: return this.#readIpv4() ? 'ipv4' : 'malformed'
      case TYPE_IPV6: return this.#readIpv6() ? 'ipv6' : 'malformed'
      case TYPE_ARP: return 'arp'
      default: return 'other'
    }
  }

  #readIpv4 (): boolean {
    const { bytes, contentsAt: at } = this
    if (bytes.length < at + 20) return false
    const version = bytes[at] ?? 0
    const headerBytes = (version & 0x0f) * 4
    const totalBytes = u16(bytes, at + 2)
    if (version >>> 4 !== 4 || headerBytes < 20 || totalBytes < headerBytes || at + totalBytes > bytes.length) return false
    this.endAt = at + totalBytes
    this.protocol = bytes[at + 9] ?? 0
    this.sourceIpv4 = u32(bytes, at + 12)
    this.isFragment = (u16(bytes, at + 6) & 0x3fff) !== 0
    // A later fragment begins in the midst of the payload.
    return (u16(bytes, at + 6) & 0x1fff) !== 0 || this.#readTransport(at + headerBytes)
  }

  #readIpv6 (): boolean {
    const { bytes, contentsAt: at } = this
    if (bytes.length < at + 40 || (bytes[at] ?? 0) >>> 4 !== 6) return false
    const end = at + 40 + u16(bytes, at + 4)
    if (end > bytes.length) return false
    this.endAt = end
    let next = bytes[at + 6] ?? 0
    let header = at + 40
    for (let count = 0; count <= IPV6_HEADERS_MAX; count++) {
      const isFragment = next === 44
      if (!isFragment && !isExtension(next)) {
        this.protocol = next
        return this.#readTransport(header)
      }
      // The chain must end in this very packet: what hides behind it could not be judged (RFC 7113).
      if (header + 8 > end) return false
      if (isFragment) this.isFragment = true
      if (isFragment && (u16(bytes, header + 2) & 0xfff8) !== 0) {
        this.protocol = bytes[header] ?? 0
        return true
      }
      const length = bytes[header + 1] ?? 0
      const headerBytes = isFragment ? 8 : next === 51 ? (length + 2) * 4 : (length + 1) * 8
      next = bytes[header] ?? 0
      header += headerBytes
    }
    return false
  }

  /** Protocols that the guard reads must show the fields it reads, or a second fragment could bring them unseen. */
  #readTransport (at: number): boolean {
    const { protocol, bytes } = this
    const least = protocol === PROTOCOL_UDP || protocol === PROTOCOL_TCP ? 8 : protocol === PROTOCOL_ICMPV6 ? 4 : 0
    if (at + least > this.endAt) return false
    this.transportAt = at
    if (least === 8) {
      this.sourcePort = u16(bytes, at)
      this.destinationPort = u16(bytes, at + 2)
    }
    return true
  }
}

/** IPv6 headers that say which one follows: hop-by-hop, routing, authentication, destination, mobility, HIP, shim6. */
function isExtension (next: number): boolean {
  return next === 0 || next === 43 || next === 51 || next === 60 || next === 135 || next === 139 || next === 140
}
