/** DHCP for those who only watch (RFC 2131): who asks, and what a server gave. The network's own server is in `address/`. */
import { macAt, u16, u32, type FrameView } from './ethernet.ts'

const SERVER_PORT = 67
const CLIENT_PORT = 68
const FIXED_BYTES = 240
const COOKIE = 0x6382_5363
const OPTION_PAD = 0
const OPTION_END = 255
const OPTION_LEASE = 51
const OPTION_KIND = 53
const RELEASE = 7
const ACK = 5

/** What a message says; `yourAddress` 0 means none, `leaseS` is there when the server says for how long. */
export interface DhcpMessage { isReply: boolean, isAck: boolean, isRelease: boolean, clientMac: number, yourAddress: number, leaseS?: number }

/** Whether a packet goes from a client to a server, by its ports. */
export function isToDhcpServer (view: FrameView): boolean {
  return view.contents === 'ipv4' && view.protocol === 17 && view.destinationPort === SERVER_PORT && view.sourcePort === CLIENT_PORT
}

/** Whether a packet could be taken for a server's by a client, which looks at no more than one of the ports. DHCPv6 too. */
export function isFromDhcpServer (view: FrameView): boolean {
  if (view.protocol !== 17) return false
  return view.contents === 'ipv6' ? view.sourcePort === 547 || view.destinationPort === 546 : view.sourcePort === SERVER_PORT || view.destinationPort === CLIENT_PORT
}

/** The DHCP message of a UDP packet, or undefined when it is none for Ethernet. */
export function dhcpOf (view: FrameView): DhcpMessage | undefined {
  const { bytes, transportAt } = view
  const at = transportAt + 8
  const end = Math.min(view.endAt, transportAt + u16(bytes, transportAt + 4))
  if (view.contents !== 'ipv4' || view.protocol !== 17 || transportAt < 0 || at + FIXED_BYTES > end) return undefined
  if (bytes[at + 1] !== 1 || bytes[at + 2] !== 6 || u32(bytes, at + 236) !== COOKIE) return undefined
  let kind = 0
  let leaseS: number | undefined
  for (let option = at + FIXED_BYTES; option < end && bytes[option] !== OPTION_END;) {
    if (bytes[option] === OPTION_PAD) {
      option++
      continue
    }
    const length = bytes[option + 1] ?? 0
    if (option + 2 + length > end) return undefined
    if (bytes[option] === OPTION_KIND && length === 1) kind = bytes[option + 2] ?? 0
    if (bytes[option] === OPTION_LEASE && length === 4) leaseS = u32(bytes, option + 2)
    option += 2 + length
  }
  const isReply = bytes[at] === 2
  return {
    isReply, isAck: isReply && kind === ACK, isRelease: !isReply && kind === RELEASE, clientMac: macAt(bytes, at + 28), yourAddress: u32(bytes, at + 16), ...(leaseS !== undefined && { leaseS })
  }
}
