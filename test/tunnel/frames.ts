/** Frames for tests of networks. */

/** `52:54:00:00:00:nn` as bytes, for a small number. */
export function macBytes (n: number): Uint8Array { return Uint8Array.of(0x52, 0x54, 0, (n >>> 16) & 255, (n >>> 8) & 255, n & 255) }

/** The same as text. */
export function macText (n: number): string { return [...macBytes(n)].map((byte) => byte.toString(16).padStart(2, '0')).join(':') }

export interface UdpOf { from: number, to: number, sourceIp?: string, destinationIp?: string, sourcePort?: number, destinationPort?: number, payloadBytes?: number, mark?: number, protocol?: 6 | 17 }

/** An IPv4 packet with ports between two cards; `mark` is its first byte of payload. Checksums of UDP are left out (0: none). */
export function packet (of: UdpOf): Uint8Array {
  const { from, to, sourceIp = `10.192.0.${from}`, destinationIp = `10.192.0.${to}`, sourcePort = 1000, destinationPort = 2000, payloadBytes = 100, mark = 0, protocol = 17 } = of
  const ipBytes = 20 + 8 + payloadBytes
  const frame = new Uint8Array(14 + ipBytes)
  const view = new DataView(frame.buffer)
  frame.set(macBytes(to), 0)
  frame.set(macBytes(from), 6)
  view.setUint16(12, 0x0800)
  frame[14] = 0x45
  view.setUint16(16, Math.min(ipBytes, 65_535))
  frame[22] = 64
  frame[23] = protocol
  frame.set(sourceIp.split('.').map(Number), 26)
  frame.set(destinationIp.split('.').map(Number), 30)
  view.setUint16(24, ipChecksum(frame.subarray(14, 34)))
  view.setUint16(34, sourcePort)
  view.setUint16(36, destinationPort)
  view.setUint16(38, 8 + payloadBytes)
  frame[42] = mark
  return frame
}

function ipChecksum (header: Uint8Array): number {
  let sum = 0
  for (let at = 0; at < header.length; at += 2) sum += ((header[at] ?? 0) << 8) | (header[at + 1] ?? 0)
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  return ~sum & 0xffff
}

/** A question by ARP who has an address. */
export function arpRequest (from: number, sourceIp: string, targetIp: string): Uint8Array {
  const frame = new Uint8Array(60)
  frame.fill(0xff, 0, 6)
  frame.set(macBytes(from), 6)
  frame.set([0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1], 12)
  frame.set(macBytes(from), 22)
  frame.set(sourceIp.split('.').map(Number), 28)
  frame.set(targetIp.split('.').map(Number), 38)
  return frame
}

export interface AckOf { server: number, serverIp: string, client: number, address: string, leaseS: number }

/** What a DHCP server of the client's LAN gives to a machine (RFC 2131): an ACK with a lease time. */
export function dhcpAck ({ server, serverIp, client, address, leaseS }: AckOf): Uint8Array {
  const frame = packet({ from: server, to: client, sourceIp: serverIp, destinationIp: address, sourcePort: 67, destinationPort: 68, payloadBytes: 300 })
  const view = new DataView(frame.buffer)
  const at = 42
  frame.set([2, 1, 6, 0], at)
  frame.set(address.split('.').map(Number), at + 16)
  frame.set(macBytes(client), at + 28)
  frame.set([0x63, 0x82, 0x53, 0x63, 53, 1, 5, 54, 4, ...serverIp.split('.').map(Number), 51, 4], at + 236)
  view.setUint32(at + 251, leaseS)
  frame[at + 255] = 255
  return frame
}
