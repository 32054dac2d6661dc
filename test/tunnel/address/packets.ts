/** What a machine sends to its gateway, and what comes back, read without the code under test. */
import { expect } from 'vitest'

export const CLIENT_MAC = '02:11:22:33:44:55'
export const GATEWAY_MAC = '02:70:6d:67:77:01'
export const EVERYONE_MAC = 'ff:ff:ff:ff:ff:ff'

export const macBytes = (mac: string): Buffer => Buffer.from(mac.replaceAll(':', ''), 'hex')
export const ipBytes = (ip: string): Buffer => Buffer.from(ip.split('.').map(Number))
const macText = (bytes: Buffer): string => bytes.toString('hex').match(/../g)?.join(':') ?? ''
const ipText = (bytes: Buffer): string => [...bytes].join('.')

/** RFC 1071, over an even number of bytes or not. */
export function sumOf (bytes: Buffer): number {
  let sum = 0
  for (let at = 0; at < bytes.length; at += 2) sum += (bytes[at] ?? 0) * 256 + (bytes[at + 1] ?? 0)
  while (sum > 0xffff) sum = (sum % 0x10000) + Math.floor(sum / 0x10000)
  return sum
}

export interface Ip { from: string, to: string, protocol: number, payload: Buffer, fromMac?: string, toMac?: string, fragment?: number }

export function ipFrame ({ from, to, protocol, payload, fromMac = CLIENT_MAC, toMac = GATEWAY_MAC, fragment = 0 }: Ip): Buffer {
  const head = Buffer.alloc(20)
  head[0] = 0x45
  head.writeUInt16BE(20 + payload.length, 2)
  head.writeUInt16BE(fragment, 6)
  head[8] = 64
  head[9] = protocol
  ipBytes(from).copy(head, 12)
  ipBytes(to).copy(head, 16)
  head.writeUInt16BE(0xffff - sumOf(head), 10)
  return Buffer.concat([macBytes(toMac), macBytes(fromMac), Buffer.from([0x08, 0x00]), head, payload])
}

export function udp (ports: { from: number, to: number }, payload: Uint8Array): Buffer {
  const head = Buffer.alloc(8)
  head.writeUInt16BE(ports.from, 0)
  head.writeUInt16BE(ports.to, 2)
  head.writeUInt16BE(8 + payload.length, 4)
  return Buffer.concat([head, payload])
}

export interface Dhcp { type: number, xid?: number, broadcast?: boolean, clientIp?: string, relay?: string, mac?: string, options?: Array<[number, Buffer]> }

export function dhcpMessage ({ type, xid = 0x01020304, broadcast = false, clientIp = '0.0.0.0', relay = '0.0.0.0', mac = CLIENT_MAC, options = [] }: Dhcp): Buffer {
  const message = Buffer.alloc(240)
  message.set([1, 1, 6, 0])
  message.writeUInt32BE(xid, 4)
  message.writeUInt16BE(broadcast ? 0x8000 : 0, 10)
  ipBytes(clientIp).copy(message, 12)
  ipBytes(relay).copy(message, 24)
  macBytes(mac).copy(message, 28)
  message.writeUInt32BE(0x63825363, 236)
  const all: Array<[number, Buffer]> = [[53, Buffer.from([type])], ...options]
  return Buffer.concat([message, ...all.map(([code, data]) => Buffer.concat([Buffer.from([code, data.length]), data])), Buffer.from([255])])
}

/** A client's message in a frame, as clients send it before they have an address. */
export function dhcpFrame (dhcp: Dhcp, { to = '255.255.255.255', toMac = EVERYONE_MAC } = {}): Buffer {
  return ipFrame({ from: dhcp.clientIp ?? '0.0.0.0', to, toMac, protocol: 17, payload: udp({ from: 68, to: 67 }, dhcpMessage(dhcp)), ...(dhcp.mac !== undefined && { fromMac: dhcp.mac }) })
}

export interface Seen { fromMac: string, toMac: string, from: string, to: string, protocol: number, payload: Buffer }

/** A frame's IPv4 packet; checks its lengths and its header's checksum. */
export function readIp (frame: Uint8Array): Seen {
  const bytes = Buffer.from(frame)
  expect(bytes.readUInt16BE(12)).toBe(0x0800)
  const head = bytes.subarray(14, 34)
  expect(sumOf(head)).toBe(0xffff)
  expect(head.readUInt16BE(2)).toBe(bytes.length - 14)
  return { toMac: macText(bytes.subarray(0, 6)), fromMac: macText(bytes.subarray(6, 12)), from: ipText(head.subarray(12, 16)), to: ipText(head.subarray(16, 20)), protocol: head[9] ?? 0, payload: bytes.subarray(34) }
}

/** A frame's UDP datagram; checks its checksum too. */
export function readUdp (frame: Uint8Array): Omit<Seen, 'payload'> & { fromPort: number, toPort: number, data: Buffer } {
  const { payload, ...ip } = readIp(frame)
  expect(ip.protocol).toBe(17)
  const pseudo = Buffer.concat([ipBytes(ip.from), ipBytes(ip.to), Buffer.from([0, 17]), payload.subarray(4, 6)])
  expect(sumOf(Buffer.concat([pseudo, payload]))).toBe(0xffff)
  expect(payload.readUInt16BE(4)).toBe(payload.length)
  return { ...ip, fromPort: payload.readUInt16BE(0), toPort: payload.readUInt16BE(2), data: payload.subarray(8) }
}

export interface DhcpSeen { type: number, xid: number, yourIp: string, mac: string, broadcast: boolean, options: Map<number, Buffer>, ip: (code: number) => string | undefined }

/** A server's message. */
export function readReply (message: Buffer): DhcpSeen {
  expect(message[0]).toBe(2)
  expect(message.readUInt32BE(236)).toBe(0x63825363)
  const options = new Map<number, Buffer>()
  for (let at = 240; message[at] !== 255;) {
    const bytes = message[at + 1] ?? 0
    options.set(message[at] ?? 0, message.subarray(at + 2, at + 2 + bytes))
    at += 2 + bytes
  }
  return {
    type: options.get(53)?.[0] ?? 0, xid: message.readUInt32BE(4), yourIp: ipText(message.subarray(16, 20)), mac: macText(message.subarray(28, 34)), broadcast: (message[10] ?? 0) >= 0x80, options,
    ip: (code) => options.has(code) ? ipText(options.get(code) ?? Buffer.alloc(0)) : undefined
  }
}
