/**
 * What is in the warehouse's directory, and how it comes and goes; `fs-warehouse.ts` stands before it. Changes of the directory happen one
 * after the other.
 *
 *   draft ──commit──┐                 ┌──remove──> removed ──(no pin)──> gone
 *   receive ──> incoming <──> on the shelf
 *           (whole / piece altered)   └──(altered, without a manifest)──> corrupt ──(no pin)──> quarantine
 */
import { randomBytes } from 'node:crypto'
import { mkdir, readFile, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PlantError, limiter, type Cancel, type Clock, type Crypto, type GoldenId, type Limiter, type Log } from '../../protocols/kit/index.ts'
import { openManifest, type Manifest, type PackRef } from '../../protocols/image/index.ts'
import type { Golden } from '../../protocols/order/golden.ts'
import { PACK_FILE, type FsPack } from './fs-pack.ts'
import { asDiskError, readDescription, syncPath } from './golden-files.ts'
import { PackShelf } from './pack-shelf.ts'
import { RenderedCache } from './rendered-files.ts'
import { agreeing, attachImage, isSame, type ShelfImage } from './shelf-image.ts'
import { MARK_FILE, type Item, type OffShelf } from './shelf-item.ts'
import { readSigned } from './take-image.ts'
import { QUARANTINE_MAX, REMOVED_KEPT_MS } from './warehouse-limits.ts'

export interface ShelfInit { dir: string, clock: Clock, log: Log, crypto: Crypto, renderedBytesMax: number }

/** A draft that is to become a golden machine: its directory, and directories of packs by their numbers. */
export interface Finished { root: string, golden: Golden, sound: Map<string, string>, image?: { manifest: Manifest, packDirs: Map<number, string>, /** The torrent of its own pack, when that is to be fetched. */ info?: Uint8Array } }

/** Made and opened by `openWarehouse`. */
export class Shelf {
  readonly items = new Map<GoldenId, Item>()
  readonly packs: PackShelf
  readonly rendered: RenderedCache
  readonly drafts: string
  readonly #init: ShelfInit
  readonly #golden: string
  readonly #packs: string
  readonly #quarantine: string
  /** Who waits is bounded by who may ask: creations, fetches and removals are. */
  readonly #turns: Limiter = limiter(1, Infinity)
  readonly #held = new Map<string, number>()
  readonly #listeners = new Set<() => void>()
  #cancelSweep: Cancel = () => {}

  constructor (init: ShelfInit) {
    this.#init = init
    const { dir, clock, log, renderedBytesMax } = init
    this.#golden = join(dir, 'golden')
    this.#packs = join(dir, 'packs')
    this.drafts = join(dir, 'drafts')
    this.#quarantine = join(dir, 'quarantine')
    this.packs = new PackShelf({ dir: this.#packs, drafts: this.drafts, clock, log, randomName, onLost: (pack, index) => { this.#lost(pack, index) } })
    this.rendered = new RenderedCache({ clock, log, bytesMax: renderedBytesMax, items: () => this.items.values(), trash: async (path) => this.#trash(path) })
  }

  async open (): Promise<void> {
    await rm(this.drafts, { recursive: true, force: true })
    for (const dir of [this.#golden, this.#packs, this.drafts, this.#quarantine]) await mkdir(dir, { recursive: true, mode: 0o700 })
    const manifests = new Map<Item, Manifest>()
    for (const name of await readdir(this.#golden)) await this.#readIn(name, manifests)
    // Packs of their own first: what others say of them is compared with that.
    for (const { packs: [own], hashes } of manifests.values()) if (own !== undefined && own.pieces > 0) (await this.packs.ensure(own)).owned(hashes)
    for (const [item, manifest] of manifests) await this.#attachIn(item, manifest)
    for (const pack of this.packs.list()) await pack.recover()
    await this.packs.clear()
    for (const item of this.items.values()) this.#lookAtPieces(item)
    if ([...this.items.values()].some(({ off }) => off === 'removed' || off === 'corrupt')) {
      this.#cancelSweep = this.#init.clock.after(REMOVED_KEPT_MS, () => { for (const item of this.items.values()) void this.clear(item) })
    }
    await this.rendered.open()
  }

  async close (): Promise<void> {
    this.#cancelSweep()
    this.rendered.close()
    for (const item of this.items.values()) {
      item.checking?.stop.abort(new PlantError('INTERRUPTED'))
      item.image?.close()
    }
    await this.packs.close()
  }

  onChange (fn: () => void): Cancel {
    this.#listeners.add(fn)
    return () => { this.#listeners.delete(fn) }
  }

  /** A new directory that goes at the next start, if not before. */
  async newDraft (): Promise<string> {
    const dir = join(this.drafts, randomName())
    await mkdir(dir, { mode: 0o700 }).catch((error: unknown) => { throw asDiskError(error, this.#init.dir) })
    return dir
  }

  /** Keeps packs although no golden machine needs them; until the returned function is called. */
  hold (infoHashes: string[]): () => void {
    for (const infoHash of infoHashes) this.#held.set(infoHash, (this.#held.get(infoHash) ?? 0) + 1)
    return () => {
      for (const infoHash of infoHashes) {
        const left = (this.#held.get(infoHash) ?? 1) - 1
        if (left === 0) this.#held.delete(infoHash)
        else this.#held.set(infoHash, left)
      }
      void this.#turn(async () => this.#dropIdlePacks())
    }
  }

  /** Puts a finished draft into the warehouse: packs first, then the golden machine in one rename. What is on the shelf already stays, and the draft goes. */
  async place ({ root, golden, sound, image }: Finished, off?: OffShelf): Promise<Item> {
    return this.#turn(async () => {
      const known = this.items.get(golden.goldenId)
      // On its way for another who asks for it: he waits for the same.
      if (known !== undefined && (known.off === undefined || known.off === off)) {
        for (const path of [root, ...image?.packDirs.values() ?? []]) await rm(path, { recursive: true, force: true })
        return known
      }
      if (known !== undefined) throw new PlantError('GOLDEN_EXISTS', { goldenId: golden.goldenId, problem: known.off === 'incoming' ? 'it is being fetched' : 'it was taken off the shelf and clones still use it' })
      if (image !== undefined && !agreeing(image.manifest, (infoHash) => this.packs.get(infoHash))) throw new PlantError('MANIFEST_INVALID', { goldenId: golden.goldenId, problem: 'it says of a pack what that pack\'s own manifest, or another image, does not' })
      const own = image?.manifest.packs[0]
      if (own !== undefined) await this.#settle(own)
      const spare = new Map<string, string>()
      for (const [number, from] of image?.packDirs ?? []) {
        const ref = image?.manifest.packs[number]
        if (ref === undefined) continue
        if (this.packs.get(ref.infoHash) === undefined) await this.packs.adopt(ref, from)
        else spare.set(ref.infoHash, from)
      }
      const dir = join(this.#golden, golden.goldenId)
      const item: Item = { golden, dir, pins: 0, sound, usedAtMs: this.#init.clock.monotonicMs(), ...(off !== undefined && { off }) }
      if (own !== undefined && image?.info !== undefined) await this.packs.describe(own, image.info)
      if (image !== undefined) item.image = await this.#attach(image.manifest, spare)
      try {
        await rename(root, dir)
        await syncPath(this.#golden)
      } catch (error) {
        item.image?.close()
        throw error
      }
      this.items.set(golden.goldenId, item)
      this.#lookAtPieces(item)
      if (item.off === undefined) this.#changed()
      this.rendered.look()
      return item
    })
  }

  async takeOff (item: Item, off: 'removed' | 'corrupt'): Promise<void> {
    const wasListed = item.off === undefined
    item.off = off
    if (wasListed) this.#changed()
    // Durable before it is told: a restart must not put it back. Until the pins are gone its path stays, as overlays name it.
    await writeFile(join(item.dir, MARK_FILE), off, { flush: true }).catch((error: unknown) => {
      if (item.pins > 0) throw asDiskError(error, this.#init.dir)
    })
    await this.clear(item)
  }

  /** Puts back what was removed while machines used it, with what is here of it; false when it has gone meanwhile. */
  async putBack (item: Item): Promise<boolean> {
    return this.#turn(async () => {
      if (this.items.get(item.golden.goldenId) !== item || item.off !== 'removed' || item.image === undefined) return false
      const mark = join(item.dir, MARK_FILE)
      const isWhole = item.image.missing() === 0
      await (isWhole ? rm(mark, { force: true }) : writeFile(mark, 'incoming', { flush: true }))
      await syncPath(item.dir)
      if (isWhole) delete item.off
      else item.off = 'incoming'
      this.#changed()
      return true
    })
  }

  /** Takes the files away of what is off the shelf and in nobody's use. */
  async clear (item: Item): Promise<void> {
    await this.#turn(async () => {
      const { goldenId } = item.golden
      if (item.off === undefined || item.off === 'incoming' || item.pins > 0 || this.items.get(goldenId) !== item) return
      this.items.delete(goldenId)
      item.image?.close()
      this.#unsay(item)
      try {
        if (item.off === 'corrupt') await this.#setAside(item.dir, goldenId)
        else await this.#trash(item.dir)
        await this.#dropIdlePacks()
      } catch (error) {
        this.#init.log.error({ goldenId, error }, 'a golden machine that is off the shelf could not be moved away')
      }
    })
  }

  /** Packs that a failed attempt left; the next start would clear them too. */
  async tidy (): Promise<void> { await this.#turn(async () => this.#dropIdlePacks()) }

  async #turn<T> (work: () => Promise<T>): Promise<T> { return this.#turns.run(work) }

  async #attach (manifest: Manifest, spare: Map<string, string>): Promise<ShelfImage> {
    const { image, disputed } = await attachImage(manifest, this.packs, (whole) => { void this.#arrived(whole) })
    for (const { pack } of image.packs) {
      await pack.recover()
      const from = spare.get(pack.infoHash)
      if (from === undefined) continue
      if (!pack.whole) await pack.fill(join(from, PACK_FILE))
      await rm(from, { recursive: true, force: true })
    }
    for (const other of disputed ? this.items.values() : []) if (other.image?.agrees() === false) this.#expose(other, manifest.golden.goldenId)
    return image
  }

  /** What a pack's own manifest says of it counts: whoever says that it is another's, or of another length, goes, and so does what was made by that word. */
  async #settle (own: PackRef): Promise<void> {
    const there = this.packs.get(own.infoHash)
    if (there === undefined || isSame(there.ref, own)) return
    for (const other of this.items.values()) if (other.image?.packs.some(({ pack }) => pack === there) === true) this.#expose(other, own.goldenId)
    await this.packs.drop(there)
  }

  /** An image lied about the pack of this golden machine. */
  #expose (item: Item, of: GoldenId): void {
    if (item.off === 'corrupt') return
    const { goldenId, publisher } = item.golden
    this.#init.log.error({ goldenId, publisher, of }, 'an image says of another\'s pack what is not so')
    this.takeOff(item, 'corrupt').catch((error: unknown) => { this.#init.log.error({ goldenId, error }, 'could not note that an image is off the shelf; the next start finds it') })
  }

  /** What only this one said of the packs of others counts no longer: it may have been a lie, by which others were refused. */
  #unsay (gone: Item): void {
    const packs = gone.image?.packs.filter(({ number }) => number !== 0) ?? []
    for (const { pack } of packs) pack.unsaid()
    for (const { image } of this.items.values()) for (const { pack } of packs) image?.sayAgain(pack)
    for (const { pack } of packs) pack.disown()
  }

  /** All that it needs is here: onto the shelf. */
  async #arrived (image: ShelfImage): Promise<void> {
    try {
      await image.flush()
      await this.#turn(async () => {
        const item = this.items.get(image.goldenId)
        if (item?.image !== image || item.off !== 'incoming' || image.missing() > 0) return
        await rm(join(item.dir, MARK_FILE), { force: true })
        await syncPath(item.dir)
        delete item.off
        image.arrived()
        this.#changed()
      })
    } catch (error) {
      this.#init.log.error({ goldenId: image.goldenId, error: asDiskError(error, this.#init.dir) }, 'an image that has arrived could not be put on the shelf; the next start does')
    }
  }

  #lost (pack: FsPack, index: number): void {
    for (const item of this.items.values()) if (item.image?.lost(pack, index) === true) this.#lookAtPieces(item)
  }

  /** What lacks pieces is not on the shelf, and what lacks none is not incoming. */
  #lookAtPieces (item: Item): void {
    const missing = item.image?.missing() ?? 0
    if (item.off === 'incoming' && missing === 0 && item.image !== undefined) void this.#arrived(item.image)
    if (item.off === undefined && missing === 0) item.image?.arrived()
    if (item.off !== undefined || missing === 0) return
    item.off = 'incoming'
    this.#init.log.error({ goldenId: item.golden.goldenId, name: item.golden.name, missing }, 'pieces of a golden machine are missing; it is off the shelf until they are fetched again')
    // Not written: the next start finds it by the pieces. So does this one, if it is not told before.
    this.#changed()
  }

  async #dropIdlePacks (): Promise<void> {
    const needed = new Set([...this.items.values()].flatMap(({ image }) => image?.packs.map(({ pack }) => pack.infoHash) ?? []))
    for (const pack of this.packs.list()) {
      if (needed.has(pack.infoHash) || this.#held.has(pack.infoHash)) continue
      await this.packs.drop(pack).catch((error: unknown) => { this.#init.log.warn({ infoHash: pack.infoHash, error }, 'a pack that nobody needs could not be removed; the next start does') })
    }
  }

  /** Renamed first: what a crash leaves half removed is among the drafts, which are removed at the next start. */
  async #trash (dir: string): Promise<void> {
    const to = join(this.drafts, randomName())
    await rename(dir, to)
    await syncPath(this.#golden)
    await rm(to, { recursive: true, force: true })
  }

  async #setAside (dir: string, name: string): Promise<void> {
    await rename(dir, join(this.#quarantine, `${this.#init.clock.nowMs()}.${name}.${randomName()}`))
    const all = await Promise.all((await readdir(this.#quarantine)).map(async (entry) => ({ entry, atMs: (await stat(join(this.#quarantine, entry))).ctimeMs })))
    all.sort((a, b) => b.atMs - a.atMs)
    for (const { entry } of all.slice(QUARANTINE_MAX)) await rm(join(this.#quarantine, entry), { recursive: true, force: true })
  }

  async #readIn (name: string, manifests: Map<Item, Manifest>): Promise<void> {
    const dir = join(this.#golden, name)
    try {
      const golden = await readDescription(dir)
      if (golden.goldenId !== name) throw new PlantError('GOLDEN_CORRUPT', { expected: name, found: golden.goldenId })
      const signed = golden.publisher === undefined ? undefined : await readSigned(dir)
      const manifest = signed === undefined ? undefined : openManifest(this.#init.crypto, signed)
      if (manifest?.golden.goldenId !== (golden.publisher === undefined ? undefined : name)) throw new PlantError('GOLDEN_CORRUPT', { expected: name, problem: 'the manifest is missing, or another\'s' })
      const mark = await readFile(join(dir, MARK_FILE), 'utf8').catch(() => undefined) // On the shelf.
      const off: OffShelf = mark === 'corrupt' || mark === 'incoming' ? mark : 'removed'
      const item: Item = { golden, dir, pins: 0, sound: new Map(), usedAtMs: this.#init.clock.monotonicMs(), ...(mark !== undefined && { off }) }
      if (manifest !== undefined) manifests.set(item, manifest)
      this.items.set(golden.goldenId, item)
    } catch (error) {
      this.#init.log.error({ dir, error }, 'not a golden machine; set aside')
      await this.#setAside(dir, 'unreadable')
    }
  }

  async #attachIn (item: Item, manifest: Manifest): Promise<void> {
    if (agreeing(manifest, (infoHash) => this.packs.get(infoHash))) {
      item.image = await this.#attach(manifest, new Map())
    } else {
      this.items.delete(item.golden.goldenId)
      await this.#setAside(item.dir, item.golden.goldenId)
    }
  }

  #changed (): void {
    for (const listener of this.#listeners) listener()
  }
}

/** Of a draft, or of what goes. */
export function randomName (): string { return randomBytes(8).toString('hex') }
