/** DHCP messages (RFC 2131, 2; options RFC 2132): what a client says, read within bounds, and what it is answered. */
import { macAt, putU16, putU32, u16, u32 } from '../ethernet.ts'
import type { Ip4 } from './subnet.ts'

/** Ports of servers and clients. */
export const DHCP_SERVER_PORT = 67
/** See DHCP_SERVER_PORT. */
export const DHCP_CLIENT_PORT = 68

/** Kinds of messages (option 53). */
export const DHCP = { discover: 1, offer: 2, request: 3, decline: 4, ack: 5, nak: 6, release: 7, inform: 8 } as const

/** Codes of options (RFC 2132). */
export const OPTION = {
  mask: 1, router: 3, dns: 6, hostName: 12, domain: 15, mtu: 26, broadcast: 28, requested: 50, leaseS: 51, type: 53, server: 54, message: 56, renewS: 58, rebindS: 59,
  /** RFC 3442. */
  routes: 121
} as const

/** What a client says. */
export interface DhcpRequest {
  type: number
  /** It cannot take unicast answers yet. */
  broadcast: boolean
  /** Its address, if it has one. */
  clientIp: Ip4
  clientMac: number
  requestedIp: Ip4 | undefined
  serverIp: Ip4 | undefined
  /** The message as it came. */
  bytes: Uint8Array
}

/** One option of an answer. */
export type DhcpOption = readonly [code: number, data: Uint8Array]

const HEADER_BYTES = 236
const COOKIE = 0x63825363
const BROADCAST_FLAG = 0x8000
const PAD = 0
const END = 255
/** The least that BOOTP relays and clients take (RFC 951). */
const MESSAGE_BYTES_MIN = 300
const OPTION_BYTES_MAX = 255

/** A client's message; undefined for anything else, and for one that came by a relay, as there is none in a network of ours. */
export function readDhcp (bytes: Uint8Array): DhcpRequest | undefined {
  if (bytes.length < HEADER_BYTES + 4 || u32(bytes, HEADER_BYTES) !== COOKIE) return undefined
  const isEthernet = bytes[1] === 1 && bytes[2] === 6
  if (bytes[0] !== 1 || !isEthernet || u32(bytes, 24) !== 0) return undefined
  const options = optionsOf(bytes.subarray(HEADER_BYTES + 4))
  const type = options?.get(OPTION.type)
  if (options === undefined || type?.length !== 1) return undefined
  const ipOf = (code: number): Ip4 | undefined => {
    const data = options.get(code)
    return data?.length === 4 ? u32(data, 0) : undefined
  }
  return {
    type: type[0] ?? 0, broadcast: (u16(bytes, 10) & BROADCAST_FLAG) !== 0, clientIp: u32(bytes, 12), clientMac: macAt(bytes, 28),
    requestedIp: ipOf(OPTION.requested), serverIp: ipOf(OPTION.server), bytes
  }
}

/** The answer to a message: what its client finds it by is copied. Options longer than 255 bytes are cut. */
export function writeDhcp (request: DhcpRequest, { yourIp, clientIp, broadcast, options }: { yourIp: Ip4, clientIp: Ip4, broadcast: boolean, options: readonly DhcpOption[] }): Uint8Array {
  const cut = options.map(([code, data]): DhcpOption => [code, data.subarray(0, OPTION_BYTES_MAX)])
  const bytes = new Uint8Array(Math.max(MESSAGE_BYTES_MIN, HEADER_BYTES + 4 + cut.reduce((sum, [, data]) => sum + 2 + data.length, 1)))
  bytes.set([2, 1, 6, 0])
  bytes.set(request.bytes.subarray(4, 8), 4)
  putU16(bytes, 10, broadcast ? BROADCAST_FLAG : 0)
  putU32(bytes, 12, clientIp)
  putU32(bytes, 16, yourIp)
  bytes.set(request.bytes.subarray(28, 44), 28)
  putU32(bytes, HEADER_BYTES, COOKIE)
  let at = HEADER_BYTES + 4
  for (const [code, data] of cut) {
    bytes.set([code, data.length], at)
    bytes.set(data, at + 2)
    at += 2 + data.length
  }
  bytes[at] = END
  return bytes
}

/** Options by code; parts of one code are joined (RFC 3396). Undefined when one runs over the end. */
export function optionsOf (bytes: Uint8Array): Map<number, Uint8Array> | undefined {
  const options = new Map<number, Uint8Array>()
  for (let at = 0; at < bytes.length;) {
    const code = bytes[at] ?? END
    if (code === END) return options
    if (code === PAD) {
      at++
      continue
    }
    const length = bytes[at + 1]
    if (length === undefined || at + 2 + length > bytes.length) return undefined
    const data = bytes.subarray(at + 2, at + 2 + length)
    const before = options.get(code)
    options.set(code, before === undefined ? data : Uint8Array.of(...before, ...data))
    at += 2 + length
  }
  return options
}
