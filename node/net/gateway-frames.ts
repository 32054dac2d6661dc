/** Which frames pass between a network and a user-mode gateway: libslirp also serves names, leases and files, and answers for addresses that are not its own. Pure. */
import type { Ip4 } from '../../protocols/tunnel/address/index.ts'
import { ETHERNET_BYTES, PROTOCOL_TCP, TYPE_ARP, TYPE_IPV4, u16, u32 } from '../../protocols/tunnel/ethernet.ts'

const IP_AT = ETHERNET_BYTES
const IP_BYTES = 20
const ARP_AT = ETHERNET_BYTES
const ARP_BYTES = 28

/** The six bytes of `52:54:00:…`. */
export function macBytes (text: string): Uint8Array { return Uint8Array.from(text.split(':'), (byte) => Number.parseInt(byte, 16)) }

/** Whether six bytes of a frame are this address. */
export function macIs (bytes: Uint8Array, at: number, mac: Uint8Array): boolean {
  for (let i = 0; i < mac.length; i++) if (bytes[at + i] !== mac[i]) return false
  return true
}

/** Whether the gateway is to see a frame of the network: ARP, and TCP over IPv4 to its own card and address. */
export function wantedBy (bytes: Uint8Array, mac: Uint8Array, address: Ip4): boolean {
  const type = u16(bytes, 12)
  if (type === TYPE_ARP) return bytes.length >= ARP_AT + ARP_BYTES
  return type === TYPE_IPV4 && bytes.length >= IP_AT + IP_BYTES && bytes[IP_AT + 9] === PROTOCOL_TCP && u32(bytes, IP_AT + 16) === address && macIs(bytes, 0, mac)
}

/** Puts the gateway's own card as a frame's sender; false when it is not to be sent: another protocol, or another's address. */
export function setOwnMac (bytes: Uint8Array, mac: Uint8Array, address: Ip4): boolean {
  const type = u16(bytes, 12)
  if (type === TYPE_ARP) {
    if (bytes.length < ARP_AT + ARP_BYTES || u32(bytes, ARP_AT + 14) !== address) return false
    bytes.set(mac, ARP_AT + 8)
  } else if (type !== TYPE_IPV4 || bytes.length < IP_AT + IP_BYTES || bytes[IP_AT + 9] !== PROTOCOL_TCP || u32(bytes, IP_AT + 12) !== address) {
    return false
  }
  bytes.set(mac, 6)
  return true
}
