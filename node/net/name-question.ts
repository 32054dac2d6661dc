/** A question to a network's own DNS, as a frame, and the address in its answer (RFC 1035). Pure; whatever comes in, nothing throws. */
import type { Ip4 } from '../../protocols/tunnel/address/index.ts'

export interface NameQuestion {
  id: number
  name: string
  from: { mac: Uint8Array, address: Ip4, port: number }
  to: { mac: Uint8Array, address: Ip4 }
}

/** `addresses` is empty when there is no such name. */
export interface NameAnswer { id: number, addresses: Ip4[] }

const ETHERNET_BYTES = 14
const IPV4_BYTES = 20
const UDP_BYTES = 8
const DNS_HEAD_BYTES = 12
const ETHERTYPE_IPV4 = 0x0800
const PROTOCOL_UDP = 17
const DNS_PORT = 53
const TYPE_A = 1
const CLASS_IN = 1
const RECURSION_DESIRED = 0x0100
const NAME_CHARS_MAX = 253
const LABEL = /^[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$/

/** Whether this can be asked: labels of letters, digits, "-" and "_". */
export function isHostName (name: string): boolean { return name.length <= NAME_CHARS_MAX && name.replace(/\.$/, '').split('.').every((label) => LABEL.test(label)) }

/** The frame that asks for a name's IPv4 addresses. */
export function questionFrame ({ id, name, from, to }: NameQuestion): Uint8Array {
  const labels = name.replace(/\.$/, '').split('.')
  const questionBytes = labels.reduce((sum, label) => sum + 1 + label.length, 1) + 4
  const udpBytes = UDP_BYTES + DNS_HEAD_BYTES + questionBytes
  const bytes = new Uint8Array(ETHERNET_BYTES + IPV4_BYTES + udpBytes)
  const view = new DataView(bytes.buffer)
  bytes.set(to.mac, 0)
  bytes.set(from.mac, 6)
  view.setUint16(12, ETHERTYPE_IPV4)
  view.setUint8(14, 0x45)
  view.setUint16(16, IPV4_BYTES + udpBytes)
  view.setUint16(18, id)
  view.setUint8(22, 64)
  view.setUint8(23, PROTOCOL_UDP)
  view.setUint32(26, from.address)
  view.setUint32(30, to.address)
  view.setUint16(24, ipChecksum(view))
  view.setUint16(34, from.port)
  view.setUint16(36, DNS_PORT)
  view.setUint16(38, udpBytes) // No checksum (0): allowed over IPv4, and Ethernet and the tunnel have theirs.
  view.setUint16(42, id)
  view.setUint16(44, RECURSION_DESIRED)
  view.setUint16(46, 1)
  let at = ETHERNET_BYTES + IPV4_BYTES + UDP_BYTES + DNS_HEAD_BYTES
  for (const label of labels) {
    bytes[at++] = label.length
    for (let i = 0; i < label.length; i++) bytes[at++] = label.charCodeAt(i)
  }
  view.setUint16(at + 1, TYPE_A)
  view.setUint16(at + 3, CLASS_IN)
  return bytes
}

/** The answer in a frame to this address and port; undefined when it is none. */
export function answerIn (bytes: Uint8Array, to: { address: Ip4, port: number }): NameAnswer | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes.length < ETHERNET_BYTES + IPV4_BYTES + UDP_BYTES + DNS_HEAD_BYTES || view.getUint16(12) !== ETHERTYPE_IPV4 || view.getUint8(23) !== PROTOCOL_UDP || view.getUint32(30) !== to.address) return undefined
  const udp = ETHERNET_BYTES + (view.getUint8(14) & 0x0f) * 4
  const dns = udp + UDP_BYTES
  if (bytes.length < dns + DNS_HEAD_BYTES || view.getUint16(udp) !== DNS_PORT || view.getUint16(udp + 2) !== to.port || (view.getUint16(dns + 2) & 0x8000) === 0) return undefined
  const addresses: Ip4[] = []
  let at: number | undefined = dns + DNS_HEAD_BYTES
  for (let left = view.getUint16(dns + 4); left > 0 && at !== undefined; left--) at = afterName(bytes, at, 4)
  for (let left = view.getUint16(dns + 6); left > 0 && at !== undefined; left--) {
    const head = afterName(bytes, at, 10)
    if (head === undefined || head + view.getUint16(head - 2) > bytes.length) break
    if (view.getUint16(head - 10) === TYPE_A && view.getUint16(head - 8) === CLASS_IN && view.getUint16(head - 2) === 4) addresses.push(view.getUint32(head))
    at = head + view.getUint16(head - 2)
  }
  return { id: view.getUint16(dns), addresses }
}

/** Where a name and `more` bytes behind it end; undefined beyond the frame. Pointers (RFC 1035, 4.1.4) end a name and need not be followed. */
function afterName (bytes: Uint8Array, from: number, more: number): number | undefined {
  let at = from
  for (;;) {
    const length = bytes[at]
    if (length === undefined) return undefined
    at += length >= 0xc0 ? 2 : 1 + length
    if (length === 0 || length >= 0xc0) break
  }
  return at + more <= bytes.length ? at + more : undefined
}

function ipChecksum (view: DataView): number {
  let sum = 0
  for (let at = ETHERNET_BYTES; at < ETHERNET_BYTES + IPV4_BYTES; at += 2) sum += view.getUint16(at)
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  return ~sum & 0xffff
}
