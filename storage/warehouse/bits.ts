/** One bit for each piece, the highest of a byte first, as in BitTorrent's bitfield. */

/** No bit set. */
export function noBits (count: number): Uint8Array { return new Uint8Array(Math.ceil(count / 8)) }

/** The first `count` bits set. */
export function allBits (count: number): Uint8Array {
  const bits = noBits(count).fill(0xff)
  if (count % 8 > 0) bits[bits.length - 1] = (0xff00 >> count % 8) & 0xff
  return bits
}

/** One bit: whether it is set, and setting and clearing it. */
export const hasBit = (bits: Uint8Array, at: number): boolean => ((bits[at >> 3] ?? 0) & (0x80 >> (at & 7))) !== 0
export const setBit = (bits: Uint8Array, at: number): void => { bits[at >> 3] = (bits[at >> 3] ?? 0) | (0x80 >> (at & 7)) }
export const clearBit = (bits: Uint8Array, at: number): void => { bits[at >> 3] = (bits[at >> 3] ?? 0) & ~(0x80 >> (at & 7)) }

/** How many are set. */
export function countBits (bits: Uint8Array): number {
  let count = 0
  for (let byte of bits) for (; byte > 0; byte &= byte - 1) count++
  return count
}
