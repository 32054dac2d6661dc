/**
 * A pack in a directory: `pack`, and `have` (a bitfield) while pieces are missing. The bits are written at most HAVE_FLUSH_MS late and after the
 * pieces are on the disk; pieces that came since then are found by their digests when the pack is opened, as far as any plant asks for them.
 */
import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { chmod, open, readFile, rm, stat, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { PlantError, toHex, type Cancel, type Clock, type Log } from '../../protocols/kit/index.ts'
import { HASH_BYTES, PIECE_BYTES, type PackRef } from '../../protocols/image/index.ts'
import { allBits, clearBit, countBits, hasBit, noBits, setBit } from '../warehouse/bits.ts'
import type { Pack } from '../warehouse/pack.ts'
import { asDiskError, syncPath } from './golden-files.ts'
import { HAVE_FLUSH_MS } from './warehouse-limits.ts'

/** The names of what a pack's directory has. */
export const PACK_FILE = 'pack'
export const HAVE_FILE = 'have'
export const INFO_FILE = 'info'

export interface FsPackInit {
  dir: string
  ref: PackRef
  clock: Clock
  log: Log
  /** Told of each piece that was here and was found altered. */
  onLost: (pack: FsPack, index: number) => void
}

/** One pack; made by `openPack`, closed by the warehouse. */
export class FsPack implements Pack {
  readonly infoHash: string
  readonly count: number
  readonly ref: PackRef
  readonly dir: string
  readonly #init: FsPackInit
  readonly #have: Uint8Array
  #missing: number
  /** Digests of its own manifest: all of them. */
  #own: Uint8Array | undefined
  /** Digests that images which take pieces of it say, while its own manifest is not here. */
  readonly #said = new Map<number, Uint8Array>()
  readonly #listeners = new Set<(index: number) => void>()
  #reader: Promise<FileHandle> | undefined
  #writer: Promise<FileHandle> | undefined
  #cancelFlush: Cancel | undefined
  #flushing: Promise<void> = Promise.resolve()
  #dirty = false
  #closed = false

  constructor (init: FsPackInit, have: Uint8Array) {
    this.#init = init
    this.dir = init.dir
    this.ref = init.ref
    this.infoHash = init.ref.infoHash
    this.count = init.ref.pieces
    this.#have = have
    this.#missing = this.count - countBits(have)
  }

  /** Whether every piece is here. */
  get whole (): boolean { return this.#missing === 0 }

  get path (): string { return join(this.dir, PACK_FILE) }

  has (index: number): boolean { return index >= 0 && index < this.count && hasBit(this.#have, index) }

  bitfield (): Uint8Array { return this.#have.slice() }

  onHave (fn: (index: number) => void): Cancel {
    this.#listeners.add(fn)
    return () => { this.#listeners.delete(fn) }
  }

  /** Its own manifest is here: its digests count, whatever others said. True when one of them said otherwise. */
  owned (hashes: Uint8Array): boolean {
    this.#own = hashes.subarray(0, this.count * HASH_BYTES)
    const otherwise = [...this.#said].filter(([index, said]) => !this.agrees(index, said))
    this.#said.clear()
    for (const [index] of otherwise) this.lost(index)
    return otherwise.length > 0
  }

  /** Whether an image may take this piece of it by this digest. */
  agrees (index: number, hash: Uint8Array): boolean {
    const expected = this.#expected(index)
    return expected === undefined || Buffer.compare(expected, hash) === 0
  }

  /** An image takes this piece of it. */
  said (index: number, hash: Uint8Array): void { if (this.#own === undefined) this.#said.set(index, hash) }

  /** An image has gone: what only it said counts no longer. Those that stay say it again, and then `disown` is called. */
  unsaid (): void { this.#said.clear() }

  /** Forgets pieces of which nobody says what they are: they could be neither checked nor served. */
  disown (): void {
    if (this.#own !== undefined) return
    for (let index = 0; index < this.count; index++) if (this.has(index) && !this.#said.has(index)) clearBit(this.#have, index)
    this.#missing = this.count - countBits(this.#have)
  }

  async read (index: number, signal?: AbortSignal): Promise<Uint8Array> {
    signal?.throwIfAborted()
    const expected = this.#expected(index)
    if (!this.has(index) || expected === undefined) throw new PlantError('IMAGE_INCOMPLETE', { infoHash: this.infoHash, index })
    const bytes = await this.#readPiece(index)
    if (bytes !== undefined && digest(bytes).equals(expected)) return bytes
    this.lost(index)
    throw new PlantError('GOLDEN_CORRUPT', { goldenId: this.ref.goldenId, infoHash: this.infoHash, index, expected: toHex(expected), found: bytes === undefined ? 'cut off' : toHex(digest(bytes)) })
  }

  async write (index: number, bytes: Uint8Array): Promise<boolean> {
    const expected = index >= 0 && index < this.count ? this.#expected(index) : undefined
    if (expected === undefined || bytes.length !== PIECE_BYTES || !digest(bytes).equals(expected)) return false
    if (this.has(index)) return true
    if (this.#closed) throw new PlantError('IMAGE_INCOMPLETE', { infoHash: this.infoHash, index, problem: 'the pack was let go of' })
    try {
      const file = await this.#openWriter()
      for (let done = 0; done < bytes.length;) done += (await file.write(bytes, done, bytes.length - done, index * PIECE_BYTES + done)).bytesWritten
    } catch (error) {
      throw asDiskError(error, this.dir)
    }
    if (!this.has(index)) this.#got(index)
    return true
  }

  /** Forgets a piece that is not what it was, so that it can be fetched again. */
  lost (index: number): void {
    if (!this.has(index)) return
    clearBit(this.#have, index)
    this.#missing++
    this.#dirty = true
    this.#init.log.error({ infoHash: this.infoHash, index, goldenId: this.ref.goldenId }, 'a piece of a pack was altered')
    this.#flushSoon(0)
    this.#init.onLost(this, index)
  }

  /**
   * Looks for pieces that came after the bits were last written, once it is known what they are. Pieces of which nobody says that are not
   * here.
   */
  async recover (): Promise<void> {
    this.disown()
    const wanted = this.#own === undefined ? [...this.#said.keys()] : Array.from({ length: this.count }, (_, i) => i)
    const unknown = wanted.filter((index) => !this.has(index))
    if (unknown.length === 0) return
    // Room that the bits do not account for: with less than a piece of it there is none to find, and most of a pack need not be read.
    const { blocks } = await stat(this.path)
    let unaccounted = blocks * 512 - (this.count - this.#missing) * PIECE_BYTES
    for (const index of unknown) {
      if (unaccounted < PIECE_BYTES) break
      const bytes = await this.#readPiece(index)
      if (bytes === undefined || bytes.every((byte) => byte === 0)) continue
      unaccounted -= PIECE_BYTES
      const expected = this.#expected(index)
      if (expected !== undefined && digest(bytes).equals(expected)) this.#got(index)
    }
  }

  /** Takes the pieces that it has not from another file of it. */
  async fill (path: string): Promise<void> {
    const source = await open(path, 'r')
    try {
      const bytes = Buffer.allocUnsafe(PIECE_BYTES)
      for (let index = 0; index < this.count; index++) {
        if (this.has(index)) continue
        const { bytesRead } = await source.read(bytes, 0, PIECE_BYTES, index * PIECE_BYTES)
        if (bytesRead === PIECE_BYTES) await this.write(index, bytes)
      }
    } finally {
      await source.close()
    }
  }

  /** Makes what came durable, then the bits. Once it is whole it needs no bits, and becomes read-only. */
  async flush (): Promise<void> {
    this.#cancelFlush?.()
    this.#cancelFlush = undefined
    this.#flushing = this.#flushing.then(async () => this.#flush())
    return this.#flushing
  }

  async close (): Promise<void> {
    if (this.#closed) return
    await this.flush().catch((error: unknown) => { this.#init.log.warn({ infoHash: this.infoHash, error }, 'what is here of a pack could not be noted; it is looked for at the next start') })
    await this.forsake()
  }

  /** Lets go of its files, writing nothing more. */
  async forsake (): Promise<void> {
    this.#closed = true
    this.#cancelFlush?.()
    const files = [this.#reader, this.#writer]
    this.#reader = this.#writer = undefined
    for (const file of files) await file?.then(async (handle) => handle.close(), () => {}) // It never opened.
  }

  #got (index: number): void {
    setBit(this.#have, index)
    this.#missing--
    this.#dirty = true
    this.#flushSoon(this.whole ? 0 : HAVE_FLUSH_MS)
    for (const listener of this.#listeners) listener(index)
  }

  #flushSoon (ms: number): void {
    if (this.#closed) return
    const run = (): void => {
      this.flush().catch((error: unknown) => { this.#init.log.warn({ infoHash: this.infoHash, error }, 'what is here of a pack could not be noted; it is looked for at the next start') })
    }
    if (ms === 0) run()
    else this.#cancelFlush ??= this.#init.clock.after(ms, run)
  }

  async #flush (): Promise<void> {
    const have = join(this.dir, HAVE_FILE)
    // As they are now: pieces that come meanwhile may not be on the disk when these bits are.
    const [bits, whole] = [this.#have.slice(), this.whole]
    if (!this.#dirty) return
    this.#dirty = false
    try {
      await (await this.#writer)?.datasync()
      if (!whole) return await writeBits(have, bits)
      const writer = this.#writer
      this.#writer = undefined
      await writer?.then(async (file) => file.close())
      await chmod(this.path, 0o444)
      await rm(have, { force: true })
      await syncPath(this.dir)
    } catch (error) {
      this.#dirty = true
      throw asDiskError(error, this.dir)
    }
  }

  async #openWriter (): Promise<FileHandle> {
    const writer = this.#writer ??= chmod(this.path, 0o600).then(async () => open(this.path, 'r+')) // It was read-only if it was whole once.
    writer.catch(() => { if (this.#writer === writer) this.#writer = undefined })
    return writer
  }

  #expected (index: number): Uint8Array | undefined {
    return this.#own?.subarray(index * HASH_BYTES, (index + 1) * HASH_BYTES) ?? this.#said.get(index)
  }

  /** Undefined when the file ends before. */
  async #readPiece (index: number): Promise<Uint8Array | undefined> {
    if (this.#closed) throw new PlantError('IMAGE_INCOMPLETE', { infoHash: this.infoHash, index, problem: 'the pack was let go of' })
    const reader = this.#reader ??= open(this.path, 'r')
    // What could not be opened is tried again: for want of descriptors, say.
    reader.catch(() => { if (this.#reader === reader) this.#reader = undefined })
    const bytes = Buffer.allocUnsafe(PIECE_BYTES)
    let filled = 0
    while (filled < PIECE_BYTES) {
      const { bytesRead } = await (await reader).read(bytes, filled, PIECE_BYTES - filled, index * PIECE_BYTES + filled)
      if (bytesRead === 0) return undefined
      filled += bytesRead
    }
    return bytes
  }
}

/** Opens a pack's directory; its pieces are not looked at. Throws the file system's error when it has no pack, or bits that cannot be its own. */
export async function openPack (init: FsPackInit): Promise<FsPack> {
  await stat(join(init.dir, PACK_FILE))
  const have = await readFile(join(init.dir, HAVE_FILE)).catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  })
  if (have === undefined) return new FsPack(init, allBits(init.ref.pieces))
  // Cut off by a crash as it was made: pieces are found by their digests.
  return new FsPack(init, have.length === noBits(init.ref.pieces).length ? new Uint8Array(have) : noBits(init.ref.pieces))
}

/** Makes the files of a pack of which nothing is here yet: a file of holes, and no bits. */
export async function makeEmptyPack (dir: string, pieces: number): Promise<void> {
  const pack = await open(join(dir, PACK_FILE), 'wx', 0o600)
  try {
    await pack.truncate(pieces * PIECE_BYTES)
  } finally {
    await pack.close()
  }
  await writeBits(join(dir, HAVE_FILE), noBits(pieces))
}

/** In place and always of one length: whichever part of it arrives before a crash, each bit was true when it was noted. */
async function writeBits (path: string, bits: Uint8Array): Promise<void> {
  const file = await open(path, constants.O_WRONLY | constants.O_CREAT, 0o600)
  try {
    await file.write(bits, 0, bits.length, 0)
    await file.datasync()
  } finally {
    await file.close()
  }
}

function digest (bytes: Uint8Array): Buffer { return createHash('sha256').update(bytes).digest() }
