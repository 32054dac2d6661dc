/** Counts what CBOR would decode to, before it is: an array of zeros takes a byte each on the wire and fifty times that, and long, as values. */

/** Lengths of an argument by the lower five bits of its head (RFC 8949, 3). */
const ARGUMENT_BYTES = [1, 2, 4, 8]

/** Whether there are at most `max` items in these bytes: keys, values, arrays and maps. What is not CBOR is for the decoder to refuse; it is not read beyond. */
export function hasItemsAtMost (bytes: Uint8Array, max: number): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let items = 0
  for (let at = 0; at < bytes.length;) {
    if (++items > max) return false
    const head = bytes[at++] ?? 0
    const [major, low] = [head >> 5, head & 31]
    const isString = major === 2 || major === 3
    if (low < 24) {
      if (isString) at += low
      continue
    }
    const size = ARGUMENT_BYTES[low - 24]
    if (size === undefined || at + size > bytes.length) return true
    if (isString) at += argument(view, at, size)
    at += size
  }
  return true
}

function argument (view: DataView, at: number, size: number): number {
  switch (size) {
    case 1: return view.getUint8(at)
    case 2: return view.getUint16(at)
    case 4: return view.getUint32(at)
    default: return Number(view.getBigUint64(at))
  }
}
