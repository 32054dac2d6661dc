/**
 * The packs of a warehouse: `packs/<info hash>/`, apart from golden machines, since a pack outlives its own golden machine while children take
 * pieces of it, and is here in part when only a child was fetched.
 */
import { mkdir, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Cancel, Clock, Log } from '../../protocols/kit/index.ts'
import type { PackRef } from '../../protocols/image/index.ts'
import { INFO_FILE, makeEmptyPack, openPack, type FsPack, type FsPackInit } from './fs-pack.ts'
import { syncPath, writeDurably } from './golden-files.ts'

export interface PackShelfInit { dir: string, drafts: string, clock: Clock, log: Log, randomName: () => string, onLost: (pack: FsPack, index: number) => void }

/** Made by the warehouse, which says what is needed. */
export class PackShelf {
  readonly #init: PackShelfInit
  readonly #packs = new Map<string, FsPack>()
  readonly #making = new Map<string, Promise<FsPack>>()
  readonly #listeners = new Set<() => void>()

  constructor (init: PackShelfInit) { this.#init = init }

  get (infoHash: string): FsPack | undefined { return this.#packs.get(infoHash) }

  list (): FsPack[] { return [...this.#packs.values()] }

  onChange (fn: () => void): Cancel {
    this.#listeners.add(fn)
    return () => { this.#listeners.delete(fn) }
  }

  /** The pack, made empty where there is none. A pack without pieces is nowhere. */
  async ensure (ref: PackRef): Promise<FsPack> {
    const there = this.#packs.get(ref.infoHash) ?? await this.#making.get(ref.infoHash)
    if (there !== undefined) return there
    const making = this.#open(ref)
    this.#making.set(ref.infoHash, making)
    try {
      return await making
    } finally {
      this.#making.delete(ref.infoHash)
    }
  }

  /** Keeps the torrent's info dictionary of a pack, which is made empty where there is none. */
  async describe (ref: PackRef, info: Uint8Array): Promise<void> {
    if (ref.pieces === 0) return
    const { dir } = await this.ensure(ref)
    await rm(join(dir, INFO_FILE), { force: true })
    await writeDurably(join(dir, INFO_FILE), info)
    await syncPath(dir)
  }

  /** Takes over a pack's directory from a draft, where it is not here at all. */
  async adopt (ref: PackRef, from: string): Promise<void> {
    const to = this.#dirOf(ref.infoHash)
    await this.#trash(to)
    await rename(from, to)
    await syncPath(this.#init.dir)
    this.#add(await openPack(this.#initOf(ref)))
  }

  /** Removes a pack that nobody needs. */
  async drop (pack: FsPack): Promise<void> {
    this.#packs.delete(pack.infoHash)
    this.#changed()
    await pack.forsake()
    await this.#trash(pack.dir)
  }

  /** Removes what lies here and belongs to no golden machine: a crash left it. */
  async clear (): Promise<void> {
    for (const name of await readdir(this.#init.dir)) if (!this.#packs.has(name)) await this.#trash(join(this.#init.dir, name))
  }

  async close (): Promise<void> { for (const pack of this.#packs.values()) await pack.close() }

  async #open (ref: PackRef): Promise<FsPack> {
    const init = this.#initOf(ref)
    const there = await openPack(init).catch((error: unknown) => {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
      throw error
    })
    if (there !== undefined) return this.#add(there)
    const draft = join(this.#init.drafts, this.#init.randomName())
    try {
      await mkdir(draft, { mode: 0o700 })
      await makeEmptyPack(draft, ref.pieces)
      await this.#trash(init.dir)
      await rename(draft, init.dir)
    } catch (error) {
      await rm(draft, { recursive: true, force: true })
      throw error
    }
    await syncPath(this.#init.dir)
    return this.#add(await openPack(init))
  }

  #add (pack: FsPack): FsPack {
    this.#packs.set(pack.infoHash, pack)
    this.#changed()
    return pack
  }

  #initOf (ref: PackRef): FsPackInit {
    const { clock, log, onLost } = this.#init
    return { dir: this.#dirOf(ref.infoHash), ref, clock, log, onLost }
  }

  #dirOf (infoHash: string): string { return join(this.#init.dir, infoHash) }

  /** Renamed first: what a crash leaves half removed is among the drafts. */
  async #trash (dir: string): Promise<void> {
    const to = join(this.#init.drafts, this.#init.randomName())
    try {
      await rename(dir, to)
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return // There is none.
      throw error
    }
    await rm(to, { recursive: true, force: true })
  }

  #changed (): void { for (const listener of this.#listeners) listener() }
}
