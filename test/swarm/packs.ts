/** Packs for tests: in memory, and in a file with a bitmap beside it that survives kill -9. */
import { createHash, hash } from 'node:crypto'
import { open, readFile, writeFile } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { PIECE_BYTES } from '../../storage/swarm/constants.ts'
import type { Pack } from '../../storage/warehouse/pack.ts'

/** What a pack's manifest would say. */
export interface PackNames { infoHash: string, count: number, hashes: Buffer[], info: Buffer }

/** Pieces of a pack, different in each pack and place; made anew whenever asked for. */
export function pieceOf (seed: number, index: number): Buffer {
  const bytes = Buffer.alloc(PIECE_BYTES, createHash('sha256').update(`${seed}/${index}`).digest())
  bytes.writeUInt32BE(index)
  return bytes
}

/** The names of the pack of this seed: SHA-256 of each piece, and BitTorrent's info dictionary. */
export function namesOf (seed: number, count: number): PackNames {
  return namesOfBytes(Buffer.concat(Array.from({ length: count }, (_, i) => pieceOf(seed, i))), `${seed}.pack`)
}

/** Cuts any bytes into the pack of these names. */
export function namesOfBytes (bytes: Buffer, name: string): PackNames {
  const count = bytes.length / PIECE_BYTES
  const pieces = Array.from({ length: count }, (_, i) => bytes.subarray(i * PIECE_BYTES, (i + 1) * PIECE_BYTES))
  const sha1 = Buffer.concat(pieces.map((piece) => hash('sha1', piece, 'buffer')))
  const info = Buffer.concat([
    Buffer.from(`d6:lengthi${bytes.length}e4:name${name.length}:${name}12:piece lengthi${PIECE_BYTES}e6:pieces${sha1.length}:`), sha1, Buffer.from('e')
  ])
  return { infoHash: hash('sha1', info, 'hex'), count, hashes: pieces.map((piece) => hash('sha256', piece, 'buffer')), info }
}

abstract class TestPack implements Pack {
  readonly infoHash: string
  readonly count: number
  /** Pieces written since it was opened, right or wrong. */
  writes = 0
  protected readonly bits: Uint8Array
  readonly #hashes: Buffer[]
  readonly #listeners = new Set<(index: number) => void>()

  constructor (names: PackNames, bits: Uint8Array) {
    this.infoHash = names.infoHash
    this.count = names.count
    this.#hashes = names.hashes
    this.bits = bits
  }

  abstract read (index: number): Promise<Uint8Array>
  protected abstract keep (index: number, bytes: Uint8Array): Promise<void>

  get held (): number { return Array.from({ length: this.count }, (_, i) => i).filter((i) => this.has(i)).length }

  has (index: number): boolean { return ((this.bits[index >>> 3] ?? 0) & (0x80 >>> (index & 7))) !== 0 }

  bitfield (): Uint8Array { return this.bits.slice() }

  async write (index: number, bytes: Uint8Array): Promise<boolean> {
    this.writes++
    if (this.#hashes[index]?.equals(hash('sha256', bytes, 'buffer')) !== true) return false
    await this.keep(index, bytes)
    this.bits[index >>> 3] = (this.bits[index >>> 3] ?? 0) | (0x80 >>> (index & 7))
    for (const fn of this.#listeners) fn(index)
    return true
  }

  onHave (fn: (index: number) => void): () => void {
    this.#listeners.add(fn)
    return () => { this.#listeners.delete(fn) }
  }
}

/** A pack in memory; `full` of what its seed says, changed by `spoil`. */
export class MemoryPack extends TestPack {
  readonly #pieces = new Map<number, Uint8Array>()
  readonly #source: ((index: number) => Uint8Array) | undefined

  constructor (names: PackNames, source?: (index: number) => Uint8Array, has: (index: number) => boolean = () => true) {
    super(names, new Uint8Array(Math.ceil(names.count / 8)))
    this.#source = source
    if (source !== undefined) for (let i = 0; i < names.count; i++) if (has(i)) this.bits[i >>> 3] = (this.bits[i >>> 3] ?? 0) | (0x80 >>> (i & 7))
  }

  async read (index: number): Promise<Uint8Array> { return this.#pieces.get(index) ?? this.#source?.(index) ?? new Uint8Array() }

  protected async keep (index: number, bytes: Uint8Array): Promise<void> { this.#pieces.set(index, bytes.slice()) }
}

/** A pack in a file `pack`, with the bitmap in a file `have`. */
export class FilePack extends TestPack {
  readonly #file: FileHandle
  readonly #have: FileHandle
  #timer: NodeJS.Timeout | undefined

  constructor (names: PackNames, bits: Uint8Array, file: FileHandle, have: FileHandle) {
    super(names, bits)
    this.#file = file
    this.#have = have
  }

  async read (index: number): Promise<Uint8Array> {
    const bytes = Buffer.allocUnsafeSlow(PIECE_BYTES)
    await this.#file.read(bytes, 0, PIECE_BYTES, index * PIECE_BYTES)
    return bytes
  }

  async close (): Promise<void> {
    clearTimeout(this.#timer)
    await this.#flush()
    await Promise.all([this.#file.close(), this.#have.close()])
  }

  protected async keep (index: number, bytes: Uint8Array): Promise<void> {
    await this.#file.write(bytes, 0, PIECE_BYTES, index * PIECE_BYTES)
    // The page cache outlives kill -9; the bitmap follows the pieces within half a second.
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      void this.#flush()
    }, 500)
  }

  async #flush (): Promise<void> { await this.#have.write(this.bits, 0, this.bits.length, 0) }
}

/** Opens the pack in a directory, made empty when it is not there. */
export async function filePack (dir: string, names: PackNames): Promise<FilePack> {
  const have = join(dir, 'have')
  const bits = await readFile(have).catch(() => new Uint8Array(Math.ceil(names.count / 8)))
  await writeFile(have, bits)
  return new FilePack(names, Uint8Array.from(bits), await open(join(dir, 'pack'), 'a').then(async (file) => {
    await file.close()
    return open(join(dir, 'pack'), 'r+')
  }), await open(have, 'r+'))
}
