/**
 * What a real card does with frames that came with a virtio-net header (virtio 1.2, 5.1.6): fills in checksums that were left out, and cuts what is longer
 * than a segment. For whatever takes only frames as they are on a wire: a QEMU stream port, a capture, a user-mode gateway. Headers may come from a
 * peer: they are believed in nothing, and neither throw nor lead beyond the frame.
 */
import type { Frame } from './types.ts'

/** `struct virtio_net_hdr` without the number of merged buffers. */
export const NET_HEADER_BYTES = 10

const NEEDS_CSUM = 1
const DATA_VALID = 2
const GSO_TCPV4 = 1
const GSO_TCPV6 = 4
const GSO_ECN = 0x80
/** Linux sends no segment with less (TCP_MIN_SND_MSS), so that 64 KiB become 1,366 frames at most. */
const SEGMENT_BYTES_MIN = 48

const ETHERNET_BYTES = 14
const VLAN_TAG_BYTES = 4
const VLAN_TAGS_MAX = 2
const IPV6_BYTES = 40
const TCP_BYTES_MIN = 20
const TCP_CHECKSUM_AT = 16
const [TCP, HOP_BY_HOP, ROUTING, DESTINATION] = [6, 0, 43, 60]
/** RFC 8200, 4.1 recommends each at most once, and destination options twice. */
const IPV6_EXTENSIONS_MAX = 4
const [FIN_PSH, CWR] = [0x09, 0x80]

interface NetHeader { flags: number, gsoType: number, headerBytes: number, segmentBytes: number, checksumFrom: number, checksumOffset: number }

/** Where the headers of a TCP packet stand in its frame. */
interface TcpLayout { isV6: boolean, ipAt: number, tcpAt: number, payloadAt: number }

/** Whether this header asks for anything; a frame whose header does not may go without it. */
export function needsOffload (offload: Uint8Array): boolean {
  return ((offload[0] ?? 0) & NEEDS_CSUM) !== 0 || offload[1] !== 0
}

/** Whether the header says nothing that an honest kernel with our offloads would not: only then may it be handed to a kernel. */
export function isSound (bytes: Uint8Array, offload: Uint8Array): boolean {
  const header = parseHeader(offload)
  if (header === undefined) return false
  return header.gsoType === 0 ? checksumFits(bytes, header) : layoutFor(bytes, header) !== undefined
}

/** The frame as it goes on a wire: itself, summed, or in segments. None when its header lies. What is handed in is not written to. */
export function wireFrames ({ bytes, offload }: Frame): Uint8Array[] {
  if (offload === undefined) return [bytes]
  const header = parseHeader(offload)
  if (header === undefined) return []
  if (header.gsoType === 0) {
    if (!checksumFits(bytes, header)) return []
    return [(header.flags & NEEDS_CSUM) === 0 ? bytes : summed(bytes, header)]
  }
  const layout = layoutFor(bytes, header)
  if (layout === undefined) return []
  return bytes.length - layout.payloadAt <= header.segmentBytes ? [summed(bytes, header)] : segments(bytes, header, layout)
}

function parseHeader (offload: Uint8Array): NetHeader | undefined {
  if (offload.length !== NET_HEADER_BYTES) return undefined
  const view = viewOf(offload)
  const [flags, gsoType] = [view.getUint8(0), view.getUint8(1)]
  if ((flags & ~(NEEDS_CSUM | DATA_VALID)) !== 0) return undefined
  return {
    flags, gsoType, headerBytes: view.getUint16(2, true), segmentBytes: view.getUint16(4, true), checksumFrom: view.getUint16(6, true), checksumOffset: view.getUint16(8, true)
  }
}

function checksumFits (bytes: Uint8Array, { flags, headerBytes, checksumFrom, checksumOffset }: NetHeader): boolean {
  if (headerBytes > bytes.length) return false
  return (flags & NEEDS_CSUM) === 0 || (checksumFrom >= ETHERNET_BYTES && checksumFrom + checksumOffset + 2 <= bytes.length)
}

/** Where the headers are, if this is one TCP packet that fills the frame and the header says so of the right one. */
function layoutFor (bytes: Uint8Array, header: NetHeader): TcpLayout | undefined {
  const type = header.gsoType & ~GSO_ECN
  if (type !== GSO_TCPV4 && type !== GSO_TCPV6) return undefined
  // 5.1.6.2: whoever leaves the cutting to others leaves them the checksum as well.
  if ((header.flags & NEEDS_CSUM) === 0 || header.headerBytes > bytes.length || header.segmentBytes < SEGMENT_BYTES_MIN) return undefined
  const layout = tcpLayout(bytes)
  if (layout === undefined || layout.isV6 !== (type === GSO_TCPV6)) return undefined
  return header.checksumFrom === layout.tcpAt && header.checksumOffset === TCP_CHECKSUM_AT ? layout : undefined
}

function tcpLayout (bytes: Uint8Array): TcpLayout | undefined {
  const view = viewOf(bytes)
  let typeAt = ETHERNET_BYTES - 2
  if (typeAt + 2 > bytes.length) return undefined
  for (let tags = 0; view.getUint16(typeAt) === 0x8100 || view.getUint16(typeAt) === 0x88a8; tags++) {
    typeAt += VLAN_TAG_BYTES
    if (tags === VLAN_TAGS_MAX || typeAt + 2 > bytes.length) return undefined
  }
  const ipAt = typeAt + 2
  const type = view.getUint16(typeAt)
  const tcpAt = type === 0x0800 ? tcpInIpv4(view, ipAt) : type === 0x86dd ? tcpInIpv6(view, ipAt) : undefined
  if (tcpAt === undefined || tcpAt + TCP_BYTES_MIN > bytes.length) return undefined
  const payloadAt = tcpAt + (view.getUint8(tcpAt + 12) >> 4) * 4
  return payloadAt < tcpAt + TCP_BYTES_MIN || payloadAt > bytes.length ? undefined : { isV6: type === 0x86dd, ipAt, tcpAt, payloadAt }
}

function tcpInIpv4 (view: DataView, at: number): number | undefined {
  if (at + 20 > view.byteLength) return undefined
  const first = view.getUint8(at)
  const headerBytes = (first & 0x0f) * 4
  if (first >> 4 !== 4 || headerBytes < 20 || view.getUint16(at + 2) !== view.byteLength - at) return undefined
  const isFragment = (view.getUint16(at + 6) & 0x3fff) !== 0
  return isFragment || view.getUint8(at + 9) !== TCP ? undefined : at + headerBytes
}

function tcpInIpv6 (view: DataView, at: number): number | undefined {
  if (at + IPV6_BYTES > view.byteLength || view.getUint8(at) >> 4 !== 6 || view.getUint16(at + 4) !== view.byteLength - at - IPV6_BYTES) return undefined
  let next = view.getUint8(at + 6)
  let nextAt = at + IPV6_BYTES
  for (let i = 0; next !== TCP; i++) {
    if (i === IPV6_EXTENSIONS_MAX || (next !== HOP_BY_HOP && next !== ROUTING && next !== DESTINATION) || nextAt + 2 > view.byteLength) return undefined
    next = view.getUint8(nextAt)
    nextAt += (view.getUint8(nextAt + 1) + 1) * 8
  }
  return nextAt
}

/** A copy with its checksum; the field holds the sum of the pseudo-header so far. */
function summed (bytes: Uint8Array, { checksumFrom, checksumOffset }: NetHeader): Uint8Array {
  const out = new Uint8Array(bytes) // Not `slice`: a Buffer's shares its memory.
  // 0 would mean that there is none (RFC 768); for TCP both are the same number.
  const sum = fold(~fold(sumOf(out, checksumFrom, out.length)) & 0xffff)
  viewOf(out).setUint16(checksumFrom + checksumOffset, sum === 0 ? 0xffff : sum)
  return out
}

/** RFC 9293, 3.7.1 and what Linux does (tcp_gso_segment): numbers and lengths by segment, FIN and PSH on the last, CWR on the first (RFC 3168, 6.1.2). */
function segments (bytes: Uint8Array, { segmentBytes }: NetHeader, { isV6, ipAt, tcpAt, payloadAt }: TcpLayout): Uint8Array[] {
  const whole = viewOf(bytes)
  const seq = whole.getUint32(tcpAt + 4)
  const flags = whole.getUint8(tcpAt + 13)
  const ipId = whole.getUint16(ipAt + 4)
  const ofWhole = bytes.length - tcpAt
  const out: Uint8Array[] = []
  for (let at = payloadAt; at < bytes.length; at += segmentBytes) {
    const end = Math.min(at + segmentBytes, bytes.length)
    const one = new Uint8Array(payloadAt + end - at)
    one.set(bytes.subarray(0, payloadAt))
    one.set(bytes.subarray(at, end), payloadAt)
    const view = viewOf(one)
    if (isV6) {
      view.setUint16(ipAt + 4, one.length - ipAt - IPV6_BYTES)
    } else {
      view.setUint16(ipAt + 2, one.length - ipAt)
      view.setUint16(ipAt + 4, (ipId + out.length) & 0xffff)
      view.setUint16(ipAt + 10, 0)
      view.setUint16(ipAt + 10, ~fold(sumOf(one, ipAt, ipAt + (view.getUint8(ipAt) & 0x0f) * 4)) & 0xffff)
    }
    view.setUint32(tcpAt + 4, (seq + at - payloadAt) >>> 0)
    view.setUint8(tcpAt + 13, flags & ~(end < bytes.length ? FIN_PSH : 0) & ~(at > payloadAt ? CWR : 0))
    // The field holds the sum of the pseudo-header with the length of the whole; ours is shorter. Minus in ones' complement is plus the complement.
    const sum = sumOf(one, tcpAt, one.length) + (~ofWhole & 0xffff) + (one.length - tcpAt)
    view.setUint16(tcpAt + TCP_CHECKSUM_AT, ~fold(sum) & 0xffff)
    out.push(one)
  }
  return out
}

/** The sum of big-endian 16-bit words, not folded: RFC 1071. At most 64 KiB, so that it stays exact. */
function sumOf (bytes: Uint8Array, from: number, end: number): number {
  let sum = 0
  let at = from
  for (; at + 1 < end; at += 2) sum += ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0)
  return at < end ? sum + ((bytes[at] ?? 0) << 8) : sum
}

function fold (sum: number): number {
  let folded = sum
  while (folded > 0xffff) folded = (folded & 0xffff) + Math.floor(folded / 0x10000)
  return folded
}

function viewOf (bytes: Uint8Array): DataView { return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength) }
