/** Capture files as Wireshark opens them: pcapng (draft-ietf-opsawg-pcapng), little-endian, one Ethernet interface, microseconds. Pure. */

const SECTION_HEADER = 0x0a0d0d0a
const BYTE_ORDER = 0x1a2b3c4d
const INTERFACE_DESCRIPTION = 1
const INTERFACE_STATISTICS = 5
const ENHANCED_PACKET = 6
const LINKTYPE_ETHERNET = 1
/** Option of interface statistics: frames that the capturing side lost, 64 bits. */
const ISB_IFDROP = 5
/** Longer than any frame, those with offload included. */
const SNAPLEN = 262_144
/** Type, length, …, length again. */
const BLOCK_BYTES = 12

/** What a capture file begins with. */
export function captureHead (): Uint8Array {
  const section = block(SECTION_HEADER, 16, (view, at) => {
    view.setUint32(at, BYTE_ORDER, true)
    view.setUint16(at + 4, 1, true) // Version 1.0.
    view.setBigInt64(at + 8, -1n, true) // As long as the file goes on.
  })
  const card = block(INTERFACE_DESCRIPTION, 8, (view, at) => {
    view.setUint16(at, LINKTYPE_ETHERNET, true)
    view.setUint32(at + 4, SNAPLEN, true)
  })
  const head = new Uint8Array(section.length + card.length)
  head.set(section)
  head.set(card, section.length)
  return head
}

/** A frame, at a wall-clock time. */
export function captureFrame (atMs: number, frame: Uint8Array): Uint8Array {
  const kept = Math.min(frame.length, SNAPLEN)
  const bytes = block(ENHANCED_PACKET, 20 + padded(kept), (view, at) => {
    setTime(view, at + 4, atMs)
    view.setUint32(at + 12, kept, true)
    view.setUint32(at + 16, frame.length, true)
  })
  bytes.set(frame.subarray(0, kept), 8 + 20)
  return bytes
}

/** So many frames were left out so far, as the reader of the file could not keep up. */
export function captureDrops (atMs: number, frames: number): Uint8Array {
  return block(INTERFACE_STATISTICS, 12 + 12 + 4, (view, at) => {
    setTime(view, at + 4, atMs)
    view.setUint16(at + 12, ISB_IFDROP, true)
    view.setUint16(at + 14, 8, true)
    view.setBigUint64(at + 16, BigInt(frames), true)
  })
}

/** `fill` writes the body, which begins at the offset it is given; what it leaves is zero: interface 0, end of options. */
function block (type: number, bodyBytes: number, fill: (view: DataView, at: number) => void): Uint8Array {
  const bytes = new Uint8Array(BLOCK_BYTES + bodyBytes)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, type, true)
  view.setUint32(4, bytes.length, true)
  fill(view, 8)
  view.setUint32(bytes.length - 4, bytes.length, true)
  return bytes
}

/** Microseconds since 1970, the upper half first. */
function setTime (view: DataView, at: number, ms: number): void {
  const us = BigInt(Math.max(0, Math.round(ms * 1_000)))
  view.setUint32(at, Number(us >> 32n), true)
  view.setUint32(at + 4, Number(us & 0xffff_ffffn), true)
}

function padded (bytes: number): number { return Math.ceil(bytes / 4) * 4 }
