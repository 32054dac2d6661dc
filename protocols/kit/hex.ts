/** Hexadecimal text of bytes. */
import { fromString, toString } from 'uint8arrays'

/** Lower-case hexadecimal text. */
export function toHex (bytes: Uint8Array): string {
  return toString(bytes, 'base16')
}

/** Bytes of lower- or upper-case hexadecimal text; throws on anything else. */
export function fromHex (text: string): Uint8Array {
  return fromString(text.toLowerCase(), 'base16')
}
