/** Whether a frame keeps to the network's MTU, also after it was cut into segments (virtio 1.2, 5.1.6: `virtio_net_hdr`). */
import { PACKET_BYTES_MAX } from './constants.ts'
import type { DropReason } from './drops.ts'
import { PROTOCOL_TCP, PROTOCOL_UDP, type FrameView } from './ethernet.ts'

/** Bytes of an offload header: flags, kind, header length, segment size, checksum's start and offset. */
const OFFLOAD_BYTES = 10

const FLAG_SUM_NEEDED = 1
const FLAG_SUM_VALID = 2
const GSO_NONE = 0
const GSO_TCP4 = 1
const GSO_TCP6 = 4
const GSO_UDP = 5
const GSO_ECN = 0x80

/** What is wrong with a frame's length or its offload header, or undefined. */
export function lengthProblem (view: FrameView, offload: Uint8Array | undefined, mtuBytes: number): DropReason | undefined {
  const packetBytes = view.bytes.length - view.contentsAt
  if (offload === undefined) return packetBytes > mtuBytes ? 'TOO_LONG' : undefined
  if (offload.length !== OFFLOAD_BYTES) return 'OFFLOAD_INVALID'
  const flags = offload[0] ?? 0
  const kind = offload[1] ?? 0
  if ((flags & ~(FLAG_SUM_NEEDED | FLAG_SUM_VALID)) !== 0) return 'OFFLOAD_INVALID'
  if ((flags & FLAG_SUM_NEEDED) !== 0 && little16(offload, 6) + little16(offload, 8) + 2 > view.bytes.length) return 'OFFLOAD_INVALID'
  if (kind === GSO_NONE) return packetBytes > mtuBytes ? 'TOO_LONG' : undefined
  return segmentProblem(view, kind, flags, little16(offload, 4), mtuBytes)
}

function segmentProblem (view: FrameView, kind: number, flags: number, segmentBytes: number, mtuBytes: number): DropReason | undefined {
  const { bytes, contents, protocol, transportAt, contentsAt } = view
  const plain = kind & ~GSO_ECN
  const isTcp = plain === GSO_TCP4 || plain === GSO_TCP6
  if (!isTcp && kind !== GSO_UDP) return 'OFFLOAD_INVALID'
  if (protocol !== (isTcp ? PROTOCOL_TCP : PROTOCOL_UDP) || transportAt < 0) return 'OFFLOAD_INVALID'
  if (isTcp && contents !== (plain === GSO_TCP4 ? 'ipv4' : 'ipv6')) return 'OFFLOAD_INVALID'
  // Whoever cuts must sum the segments, so the frame must have left that to them.
  if (segmentBytes === 0 || (flags & FLAG_SUM_NEEDED) === 0) return 'OFFLOAD_INVALID'
  const transportBytes = isTcp ? ((bytes[transportAt + 12] ?? 0) >>> 4) * 4 : 8
  if (isTcp && transportBytes < 20) return 'OFFLOAD_INVALID'
  const headersEnd = transportAt + transportBytes
  if (headersEnd > view.endAt) return 'OFFLOAD_INVALID'
  if (bytes.length - contentsAt > PACKET_BYTES_MAX) return 'TOO_LONG'
  return headersEnd - contentsAt + segmentBytes > mtuBytes ? 'TOO_LONG' : undefined
}

function little16 (bytes: Uint8Array, at: number): number {
  return (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8)
}
