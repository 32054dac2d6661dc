/** TCP packets as a kernel hands them to a card that cuts and sums them itself, drawn at random. */
import fc from 'fast-check'
import type { Frame } from '../../protocols/tunnel/types.ts'

/** What is drawn of one packet. */
export interface PacketShape {
  isV6: boolean
  payloadBytes: number
  segmentBytes: number
  /** Whole words of options. */
  ipOptionWords: number
  tcpOptionWords: number
  flags: number
  seq: number
  ipId: number
  dontFragment: boolean
  seed: number
}

/** Packets of up to 65,535 bytes, cut into up to 1,366 segments, with any flags but URG, which no kernel leaves to a card. */
export const packetShapes: fc.Arbitrary<PacketShape> = fc.record({
  isV6: fc.boolean(),
  payloadBytes: fc.oneof(fc.integer({ min: 1, max: 3_000 }), fc.integer({ min: 1, max: 65_000 })),
  segmentBytes: fc.oneof(fc.constantFrom(48, 536, 1_200, 1_448, 1_460), fc.integer({ min: 48, max: 9_000 })),
  ipOptionWords: fc.constantFrom(0, 0, 0, 1, 3),
  tcpOptionWords: fc.integer({ min: 0, max: 10 }),
  // FIN 1, PSH 8, ACK 16, ECE 64, CWR 128; a packet with data has ACK and neither SYN nor RST.
  flags: fc.array(fc.constantFrom(1, 8, 64, 128)).map((bits) => bits.reduce((all, bit) => all | bit, 16)),
  seq: fc.oneof(fc.integer({ min: 0, max: 0xffff_ffff }), fc.integer({ min: 0xffff_0000, max: 0xffff_ffff })),
  ipId: fc.integer({ min: 0, max: 0xffff }),
  dontFragment: fc.boolean(),
  seed: fc.integer({ min: 0, max: 0xffff_ffff })
})

/** The sum of RFC 1071, written as the RFC does, one word at a time. */
export function onesSum (bytes: Uint8Array, begin = 0): number {
  let sum = begin
  for (let i = 0; i < bytes.length; i += 2) {
    sum += ((bytes[i] ?? 0) << 8) + (bytes[i + 1] ?? 0)
    sum = (sum & 0xffff) + (sum >>> 16)
  }
  return sum
}

/** The sum of the pseudo-header of a TCP packet in `frame`, whose IP header is at 14. */
export function pseudoSum (frame: Uint8Array, isV6: boolean, tcpBytes: number): number {
  const addresses = isV6 ? frame.subarray(22, 54) : frame.subarray(26, 34)
  return onesSum(addresses, onesSum(Uint8Array.of(0, 6, tcpBytes >>> 8, tcpBytes & 0xff)))
}

/** The packet as a frame that left cutting and summing to the card. */
export function offloaded (shape: PacketShape): Frame & { offload: Uint8Array, tcpAt: number, payloadAt: number } {
  const ipBytes = shape.isV6 ? 40 : 20 + shape.ipOptionWords * 4
  const tcpAt = 14 + ipBytes
  const payloadAt = tcpAt + 20 + shape.tcpOptionWords * 4
  const payloadBytes = Math.min(shape.payloadBytes, (shape.isV6 ? 65_535 + 54 : 65_535 + 14) - payloadAt)
  const bytes = Buffer.alloc(payloadAt + payloadBytes)
  bytes.set([0x02, 0, 0, 0, 0, 0x02, 0x02, 0, 0, 0, 0, 0x01])
  bytes.writeUInt16BE(shape.isV6 ? 0x86dd : 0x0800, 12)
  if (shape.isV6) {
    bytes.writeUInt32BE(0x6000_0000, 14)
    bytes.writeUInt16BE(bytes.length - 54, 18)
    bytes.set([6, 64], 20)
    bytes.write('fd000000000000000000000000000001fd000000000000000000000000000002', 22, 'hex')
  } else {
    bytes.set([0x40 | ipBytes / 4, shape.flags & 3], 14)
    bytes.writeUInt16BE(bytes.length - 14, 16)
    bytes.writeUInt16BE(shape.ipId, 18)
    bytes.writeUInt16BE(shape.dontFragment ? 0x4000 : 0, 20)
    bytes.set([64, 6], 22)
    bytes.set([10, 1, 0, 1, 10, 1, 0, 2], 26)
    bytes.fill(1, 34, tcpAt) // Options that do nothing.
    bytes.writeUInt16BE(~onesSum(bytes.subarray(14, tcpAt)) & 0xffff, 24)
  }
  bytes.writeUInt16BE(4_000, tcpAt)
  bytes.writeUInt16BE(5_000, tcpAt + 2)
  bytes.writeUInt32BE(shape.seq, tcpAt + 4)
  bytes.writeUInt32BE(0x1234_5678, tcpAt + 8)
  bytes.set([(5 + shape.tcpOptionWords) << 4, shape.flags, 0xff, 0xf0], tcpAt + 12)
  bytes.fill(1, tcpAt + 20, payloadAt)
  let state = shape.seed | 1
  for (let i = payloadAt; i < bytes.length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    bytes[i] = state >>> 24
  }
  bytes.writeUInt16BE(pseudoSum(bytes, shape.isV6, bytes.length - tcpAt), tcpAt + 16)
  const offload = Buffer.alloc(10)
  const isCut = payloadBytes > shape.segmentBytes
  offload.set([1, isCut ? (shape.isV6 ? 4 : 1) | ((shape.flags & 0x80) === 0 ? 0 : 0x80) : 0])
  if (isCut) {
    offload.writeUInt16LE(payloadAt, 2)
    offload.writeUInt16LE(shape.segmentBytes, 4)
  }
  offload.writeUInt16LE(tcpAt, 6)
  offload.writeUInt16LE(16, 8)
  return { bytes, offload, tcpAt, payloadAt }
}
