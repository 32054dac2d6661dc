/** A client of NBD's bytes, for tests: built from the specification and not from what is tested. */
import { randomBytes } from 'node:crypto'
import type { BlockSource } from '../../../storage/nbd/block-source.ts'

export const OPT_GO = 7
export const CMD_READ = 0
export const CMD_DISC = 2

export function u32 (value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

export function option (code: number, data: Uint8Array = Buffer.alloc(0)): Buffer {
  return Buffer.concat([Buffer.from('IHAVEOPT'), u32(code), u32(data.length), data])
}

/** GO and INFO: the export with the empty name, and what is to be told. */
export function infoData (name = '', wanted: number[] = []): Buffer {
  return Buffer.concat([u32(name.length), Buffer.from(name), Buffer.from([wanted.length >> 8, wanted.length & 0xff]), ...wanted.map((kind) => Buffer.from([kind >> 8, kind & 0xff]))])
}

export function command (type: number, offset: number | bigint = 0, length = 0, cookie = 7n): Buffer {
  const bytes = Buffer.alloc(28)
  bytes.writeUInt32BE(0x25609513)
  bytes.writeUInt16BE(type, 6)
  bytes.writeBigUInt64BE(cookie, 8)
  bytes.writeBigUInt64BE(BigInt(offset), 16)
  bytes.writeUInt32BE(length, 24)
  return bytes
}

export const FLAGS = u32(3)

/** Everything up to the first command. */
export const CHOSEN = Buffer.concat([FLAGS, option(OPT_GO, infoData())])

/** Random bytes as a source; reads wait for what `before` returns. */
export function randomSource (bytes: number, before: (offset: number, length: number, signal: AbortSignal) => Promise<void> = async () => {}): { source: BlockSource, content: Buffer } {
  const content = randomBytes(bytes)
  const read = async (offset: number, length: number, signal: AbortSignal): Promise<Uint8Array> => {
    await before(offset, length, signal)
    return content.subarray(offset, offset + length)
  }
  return { source: { bytes, read }, content }
}
