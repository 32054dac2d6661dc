/**
 * Reads a tar archive (POSIX ustar and pax, GNU long names) as a stream of entries. What an archive says of itself is checked and bounded;
 * what its names mean is `root-tree.ts`'s business. Format: POSIX.1-2017 pax, "ustar Interchange Format"; GNU tar manual, "Basic Tar Format".
 */
import { PlantError } from '../../../../protocols/kit/index.ts'
import { ByteReader } from './byte-reader.ts'

const BLOCK_BYTES = 512
/** Of a pax header or a long name; what is in them are a few paths and extended attributes of at most 64 KiB. */
const EXTRA_BYTES_MAX = 1024 * 1024

export type TarKind = 'file' | 'directory' | 'symlink' | 'hardlink' | 'other'

export interface TarEntry {
  /** As the archive has it: may be absolute, may go upward. */
  name: string
  kind: TarKind
  mode: number
  uid: number
  gid: number
  mtimeS: number
  bytes: number
  /** Target of a link, as the archive has it. */
  link: string
  /** `security.capability` of a program, as the kernel keeps it. */
  capability?: Uint8Array
}

const KINDS: Record<string, TarKind> = { '0': 'file', '\0': 'file', '7': 'file', '1': 'hardlink', '2': 'symlink', '5': 'directory', '3': 'other', '4': 'other', '6': 'other' }

/** Whether these first bytes of a file begin a tar archive. */
export function isTar (head: Uint8Array): boolean {
  return head.length >= BLOCK_BYTES && Buffer.from(head.subarray(257, 262)).toString('latin1') === 'ustar' && sumIsRight(Buffer.from(head.subarray(0, BLOCK_BYTES)))
}

/**
 * Calls `take` with each entry, in order; it must read no more than the entry's bytes from `content`, and the rest is passed over. Throws
 * IMAGE_INVALID when the archive is cut off, not an archive or of a kind that is not read (sparse files).
 */
export async function readTar (input: AsyncIterable<Uint8Array>, take: (entry: TarEntry, content: AsyncIterable<Uint8Array>) => Promise<void>): Promise<void> {
  const reader = new ByteReader(input, broken('the archive is cut off'))
  let extra: Extra = {}
  for (let entries = 0; ; entries++) {
    const block = await reader.atMost(BLOCK_BYTES)
    if (block.length === 0 && entries > 0) return // Archives without an end mark are common.
    if (block.length < BLOCK_BYTES) throw broken('the archive is cut off')
    if (block.every((byte) => byte === 0)) return
    if (!sumIsRight(block)) throw broken('it is no tar archive, or is damaged', { entry: entries })
    const bytes = extra.bytes ?? numberOf(block, 124, 12)
    const type = String.fromCharCode(block[156] ?? 0)
    const padding = (BLOCK_BYTES - bytes % BLOCK_BYTES) % BLOCK_BYTES
    if ('xgLK'.includes(type)) {
      if (bytes > EXTRA_BYTES_MAX) throw broken('a header of the archive is too long', { bytes })
      const data = await reader.exactly(bytes)
      await reader.skip(padding)
      if (type !== 'g') Object.assign(extra, extraOf(type, data))
      continue
    }
    const kind = KINDS[type]
    if (kind === undefined) throw broken(type === 'S' ? 'sparse files in archives are not read: make it without --sparse' : 'an entry is of an unknown type', { type })
    const entry = entryOf(block, kind, bytes, extra)
    extra = {}
    const content = reader.part(kind === 'file' ? bytes : 0)
    await take(entry, content.pieces())
    await content.skipRest()
    await reader.skip(kind === 'file' ? padding : 0)
  }
}

type Extra = Partial<Pick<TarEntry, 'name' | 'link' | 'bytes' | 'uid' | 'gid' | 'mtimeS' | 'capability'>>

function entryOf (block: Buffer, kind: TarKind, bytes: number, extra: Extra): TarEntry {
  const ustar = block.toString('latin1', 257, 263) === 'ustar\0'
  const prefix = ustar ? textOf(block, 345, 155) : ''
  const short = textOf(block, 0, 100)
  return {
    name: prefix === '' ? short : `${prefix}/${short}`, kind, mode: numberOf(block, 100, 8) & 0o7777, uid: numberOf(block, 108, 8), gid: numberOf(block, 116, 8),
    mtimeS: numberOf(block, 136, 12), link: textOf(block, 157, 100), ...extra, bytes: kind === 'file' ? bytes : 0
  }
}

/** What a header before the entry's own says of it; `L` and `K` are GNU's long name and long link. */
function extraOf (type: string, data: Buffer): Extra {
  const text = data.toString('utf8').replace(/\0+$/, '')
  if (type === 'L') return { name: text }
  if (type === 'K') return { link: text }
  const extra: Extra = {}
  for (let at = 0; at < data.length;) {
    const space = data.indexOf(0x20, at)
    const length = Number(data.toString('latin1', at, space < 0 ? at : space))
    // "length key=value\n", where the length counts all of it.
    if (!Number.isInteger(length) || length < 5 || at + length > data.length || space >= at + length) throw broken('a header of the archive is damaged')
    const equals = data.indexOf(0x3d, space)
    const key = data.toString('utf8', space + 1, equals)
    const value = data.subarray(equals + 1, at + length - 1)
    at += length
    if (key === 'path') extra.name = value.toString('utf8')
    else if (key === 'linkpath') extra.link = value.toString('utf8')
    else if (key === 'size') extra.bytes = wholeOf(value.toString('latin1'))
    else if (key === 'uid') extra.uid = wholeOf(value.toString('latin1'))
    else if (key === 'gid') extra.gid = wholeOf(value.toString('latin1'))
    else if (key === 'mtime') extra.mtimeS = wholeOf(value.toString('latin1').replace(/^-.*/, '0').replace(/\..*/, ''))
    else if (key === 'SCHILY.xattr.security.capability') extra.capability = Uint8Array.from(value)
    else if (key.startsWith('GNU.sparse')) throw broken('sparse files in archives are not read: make it without --sparse')
  }
  return extra
}

function wholeOf (text: string): number {
  const value = Number(text)
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) throw broken('a number of the archive is not one', { found: text.slice(0, 40) })
  return value
}

/** Octal digits, or (GNU) a big-endian binary number marked by the highest bit. */
function numberOf (block: Buffer, at: number, length: number): number {
  if ((block[at] ?? 0) === 0x80) {
    const value = block.subarray(at + 1, at + length).reduce((sum, byte) => sum * 256 + byte, 0)
    if (!Number.isSafeInteger(value)) throw broken('a number of the archive is absurd')
    return value
  }
  const text = textOf(block, at, length).trim()
  if (!/^[0-7]*$/.test(text)) throw broken('a number of the archive is not one', { found: text })
  return text === '' ? 0 : Number.parseInt(text, 8)
}

function textOf (block: Buffer, at: number, length: number): string {
  const field = block.subarray(at, at + length)
  const end = field.indexOf(0)
  return field.toString('utf8', 0, end < 0 ? length : end)
}

/** The sum of the header's bytes, its own field counted as spaces. */
function sumIsRight (block: Buffer): boolean {
  let sum = 8 * 0x20
  for (const [at, byte] of block.entries()) if (at < 148 || at >= 156) sum += byte
  return Number.parseInt(textOf(block, 148, 8).trim(), 8) === sum
}

function broken (problem: string, details: Record<string, unknown> = {}): PlantError {
  return new PlantError('IMAGE_INVALID', { problem, ...details })
}
