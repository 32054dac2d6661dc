/** ARP (RFC 826) for IPv4 on Ethernet: who asks for whom, and the answer to it. */
import { TYPE_ARP, macAt, putMac, putU16, putU32, u16, u32 } from './ethernet.ts'

const ARP_BYTES = 28
const REQUEST = 1
const REPLY = 2

/** What an ARP message says. */
export interface Arp { isRequest: boolean, senderMac: number, senderAddress: number, targetAddress: number }

/** The message that begins at `at`, or undefined when it is not one of IPv4 on Ethernet. */
export function arpOf (bytes: Uint8Array, at: number): Arp | undefined {
  if (bytes.length < at + ARP_BYTES) return undefined
  if (u16(bytes, at) !== 1 || u16(bytes, at + 2) !== 0x0800 || bytes[at + 4] !== 6 || bytes[at + 5] !== 4) return undefined
  const operation = u16(bytes, at + 6)
  if (operation !== REQUEST && operation !== REPLY) return undefined
  return { isRequest: operation === REQUEST, senderMac: macAt(bytes, at + 8), senderAddress: u32(bytes, at + 14), targetAddress: u32(bytes, at + 24) }
}

/** The answer to the request in `frame` (with its tag, if it has one): that the address asked for is at `mac`. */
export function arpAnswer (frame: Uint8Array, at: number, mac: number): Uint8Array {
  const answer = new Uint8Array(at + ARP_BYTES)
  answer.set(frame.subarray(0, at + 8))
  putMac(answer, 0, macAt(frame, 6))
  putMac(answer, 6, mac)
  putU16(answer, at - 2, TYPE_ARP)
  putU16(answer, at + 6, REPLY)
  putMac(answer, at + 8, mac)
  putU32(answer, at + 14, u32(frame, at + 24))
  putMac(answer, at + 18, macAt(frame, at + 8))
  putU32(answer, at + 24, u32(frame, at + 14))
  return answer
}
