/** The warehouse in a directory: the ports before the shelf. Its layout and promises are in warehouse/README.md. */
import { mkdir, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { PlantError, type Clock, type Crypto, type GoldenId, type Log, type Signer } from '../../protocols/kit/index.ts'
import { encodeInfo, openInfo, openManifest, type Manifest } from '../../protocols/image/index.ts'
import type { Golden } from '../../protocols/order/golden.ts'
import type { ArrivingFiles, ImageStore, Incoming, LazyImage } from '../warehouse/image-store.ts'
import type { Pack } from '../warehouse/pack.ts'
import type { GoldenDraft, Warehouse } from '../warehouse/warehouse.ts'
import { FILES_DIR, MANIFEST_FILE, buildImage, ownPackDir, type Bases } from './build-image.ts'
import { INFO_FILE } from './fs-pack.ts'
import { asDiskError, readDescription, sealFiles, takeOver, writeDescription, writeDurably } from './golden-files.ts'
import { FsLazyImage } from './lazy-image.ts'
import { Shelf } from './shelf.ts'
import { MARK_FILE, filesDirOf, type Checking, type Item, type Scope } from './shelf-item.ts'
import { readSigned, takeImage } from './take-image.ts'
import { readyFiles, verifyHashes } from './verify-files.ts'
import { BASES_MAX, INCOMING_MAX, RENDERED_BYTES_MAX } from './warehouse-limits.ts'

export interface FsWarehouseInit {
  dir: string
  clock: Clock
  log: Log
  crypto: Crypto
  /** The plant's key: publisher of what is made here. */
  signer: Signer
  /** Rendered files beyond which unused ones go; RENDERED_BYTES_MAX by default. */
  renderedBytesMax?: number
}

export interface FsWarehouse extends Warehouse, ImageStore, ArrivingFiles {
  /** Takes over, by links, what another warehouse directory has and this one has not; verified at first use. Returns what is new. */
  importFrom (dir: string, signal?: AbortSignal): Promise<Golden[]>
  /** Verifies all files that are on the shelf, so that the first order need not wait for it; altered ones are made again or go off the shelf. */
  verifyAll (signal?: AbortSignal): Promise<void>
  /** Notes what has come of packs, and lets go of all files. */
  close (): Promise<void>
}

/** Opens a warehouse, making its directory where needed; what a crash left half made or half removed is cleaned up, and what was arriving goes on. */
export async function openWarehouse (init: FsWarehouseInit): Promise<FsWarehouse> {
  const dir = resolve(init.dir)
  const shelf = new Shelf({ dir, clock: init.clock, log: init.log, crypto: init.crypto, renderedBytesMax: init.renderedBytesMax ?? RENDERED_BYTES_MAX })
  try {
    await shelf.open()
  } catch (error) {
    throw asDiskError(error, init.dir)
  }
  return new FsShelf({ ...init, dir }, shelf)
}

class FsShelf implements FsWarehouse {
  readonly #init: FsWarehouseInit
  readonly #shelf: Shelf
  /** How many are being received, for the bound: the shelf does not know them yet. */
  #receiving = 0

  constructor (init: FsWarehouseInit, shelf: Shelf) {
    this.#init = init
    this.#shelf = shelf
  }

  async close (): Promise<void> { await this.#shelf.close() }

  list (): Golden[] {
    return [...this.#shelf.items.values()].filter((item) => item.off === undefined).map((item) => item.golden)
  }

  get (id: GoldenId): Golden | undefined {
    return this.#shelf.items.get(id)?.golden
  }

  async verified (id: GoldenId, signal?: AbortSignal): Promise<string> { return this.#verified(id, 'all', signal) }

  async arrivedFiles (id: GoldenId, signal?: AbortSignal): Promise<string> { return this.#verified(id, 'arrived', signal) }

  async verifyAll (signal?: AbortSignal): Promise<void> {
    for (const { goldenId } of this.list()) {
      try {
        await this.#verified(goldenId, 'there', signal)
      } catch (error) {
        signal?.throwIfAborted()
        this.#init.log.warn({ goldenId, error }, 'a golden machine did not pass verification')
      }
    }
  }

  async draft (): Promise<GoldenDraft> {
    const root = await this.#shelf.newDraft()
    const dir = join(root, FILES_DIR)
    const discard = async (): Promise<void> => { for (const path of [root, ownPackDir(root)]) await rm(path, { recursive: true, force: true }) }
    await mkdir(dir, { mode: 0o700 }).catch(async (error: unknown) => {
      await discard()
      throw asDiskError(error, this.#init.dir)
    })
    return {
      dir,
      discard,
      commit: async (description, signal) => {
        try {
          return await this.#commit(root, description, signal)
        } catch (error) {
          await discard()
          throw asDiskError(error, this.#init.dir)
        }
      }
    }
  }

  async remove (id: GoldenId): Promise<void> {
    const item = this.#shelf.items.get(id)
    if (item === undefined || item.off === 'removed' || item.off === 'corrupt') throw new PlantError('GOLDEN_UNKNOWN', { goldenId: id })
    // Removed, its rest would never come.
    if (item.off === 'incoming' && item.pins > 0) throw new PlantError('IMAGE_INCOMPLETE', { goldenId: id, problem: 'machines run from it while it comes; it can be removed when it is here, or they have gone' })
    await this.#shelf.takeOff(item, 'removed')
  }

  pin (id: GoldenId): () => void {
    const item = this.#item(id)
    item.pins++
    let held = true
    return () => {
      if (!held) return
      held = false
      item.pins--
      item.usedAtMs = this.#init.clock.monotonicMs()
      this.#shelf.rendered.look()
      void this.#shelf.clear(item)
    }
  }

  onChange (fn: () => void): () => void { return this.#shelf.onChange(fn) }

  async importFrom (dir: string, signal?: AbortSignal): Promise<Golden[]> {
    const taken: Golden[] = []
    const there = join(resolve(dir), 'golden')
    const names = await readdir(there).catch((cause: unknown) => {
      throw new PlantError('CONFIG_INVALID', { import: dir, problem: 'not a warehouse directory: it has no readable golden/ in it' }, { cause })
    })
    for (const name of names) {
      signal?.throwIfAborted()
      const from = join(there, name)
      try {
        const golden = await readDescription(from)
        if (!this.#shelf.items.has(golden.goldenId) && !await exists(join(from, MARK_FILE))) taken.push(await this.#import(from, join(resolve(dir), 'packs'), golden))
      } catch (error) {
        if (error instanceof PlantError && error.code === 'DISK_FULL') throw error
        this.#init.log.warn({ dir: from, error }, 'a golden machine is broken where it is and was not imported')
      }
    }
    return taken
  }

  async manifestOf (id: GoldenId): Promise<Manifest | undefined> { return this.#shelf.items.get(id)?.image?.manifest }

  async signedManifest (id: GoldenId): Promise<{ manifest: Uint8Array, info: Uint8Array } | undefined> {
    const item = this.#shelf.items.get(id)
    if (item?.image === undefined || item.off === 'removed' || item.off === 'corrupt') return undefined
    const manifest = await readSigned(item.dir)
    const own = item.image.packs.find(({ number }) => number === 0)?.pack
    const info = own === undefined ? encodeInfo(id, new Uint8Array(0)) : await readFile(join(own.dir, INFO_FILE)).catch(() => undefined) // Nobody has it: an earlier fetch was cut off before it was written.
    return manifest === undefined || info === undefined ? undefined : { manifest, info: new Uint8Array(info) }
  }

  async receive (signed: Uint8Array, info: Uint8Array): Promise<Incoming> {
    const manifest = openManifest(this.#init.crypto, signed)
    const { golden, packs: [own] } = manifest
    if (own !== undefined) openInfo(own, info)
    const known = this.#shelf.items.get(golden.goldenId)
    if (known?.off === 'incoming' && known.image !== undefined) return known.image
    // Removed here while machines used it, and wanted again.
    if (known?.off === 'removed' && known.image !== undefined && await this.#shelf.putBack(known)) return known.image
    if (known !== undefined && this.#shelf.items.get(golden.goldenId) === known) throw new PlantError('GOLDEN_EXISTS', { goldenId: golden.goldenId, ...(known.off !== undefined && { problem: 'it was taken off the shelf and clones still use it' }) })
    if (this.incoming().length + this.#receiving >= INCOMING_MAX) throw new PlantError('LIMIT', { bound: 'INCOMING_MAX', max: INCOMING_MAX })
    this.#receiving++
    const release = this.#shelf.hold(own === undefined ? [] : [own.infoHash])
    try {
      return await this.#receive(signed, info, manifest)
    } catch (error) {
      throw asDiskError(error, this.#init.dir)
    } finally {
      this.#receiving--
      release()
    }
  }

  incoming (): Incoming[] {
    return [...this.#shelf.items.values()].flatMap(({ off, image }) => off === 'incoming' && image !== undefined ? [image] : [])
  }

  packs (): Pack[] { return this.#shelf.packs.list() }

  onPacks (fn: () => void): () => void { return this.#shelf.packs.onChange(fn) }

  async lazy (id: GoldenId): Promise<LazyImage> {
    const { image } = this.#item(id)
    if (image === undefined) throw new PlantError('GOLDEN_UNKNOWN', { goldenId: id, problem: 'kept by an earlier version: it has no manifest' })
    return new FsLazyImage(image, this.pin(id))
  }

  #item (id: GoldenId): Item {
    const item = this.#shelf.items.get(id)
    if (item === undefined) throw new PlantError('GOLDEN_UNKNOWN', { goldenId: id })
    return item
  }

  async #commit (root: string, description: Omit<Golden, 'goldenId' | 'files' | 'publisher'>, signal?: AbortSignal): Promise<Golden> {
    const sealed = await sealFiles(join(root, FILES_DIR))
    const bases = this.#bases(description.from)
    const release = this.#shelf.hold(bases.manifests.flatMap(({ packs }) => packs.map(({ infoHash }) => infoHash)))
    try {
      const built = await buildImage(root, sealed, description, bases, this.#init, signal)
      signal?.throwIfAborted()
      const isChild = built.manifest.packs.length > 1
      // A child is what it differs in; the files of what has no base are about to be cloned.
      if (isChild) await rm(join(root, FILES_DIR), { recursive: true })
      const sound = new Map(isChild ? [] : sealed.map(({ name, signature }) => [name, signature]))
      return (await this.#shelf.place({ root, golden: built.manifest.golden, sound, image: built })).golden
    } finally {
      release()
    }
  }

  /** The golden machines that a new one comes from, as far as they are here, nearest first. */
  #bases (from: GoldenId | undefined): Bases {
    const manifests: Manifest[] = []
    for (let id = from; id !== undefined && manifests.length < BASES_MAX;) {
      const item: Item | undefined = this.#shelf.items.get(id)
      if (item?.image !== undefined) manifests.push(item.image.manifest)
      id = item?.golden.from
    }
    return { manifests, has: (infoHash, index) => this.#shelf.packs.get(infoHash)?.has(index) === true }
  }

  async #import (from: string, packs: string, golden: Golden): Promise<Golden> {
    const root = await this.#shelf.newDraft()
    const made: string[] = [root]
    try {
      if (golden.publisher === undefined) {
        for (const { name } of golden.files) await takeOver(join(from, name), join(root, name), name)
        await writeDescription(root, golden)
        return (await this.#shelf.place({ root, golden, sound: new Map() })).golden
      }
      await mkdir(join(root, FILES_DIR), { mode: 0o700 })
      const image = await takeImage({ golden: from, packs }, root, (infoHash, dir) => {
        made.push(dir)
        return this.#shelf.packs.get(infoHash)?.whole !== true
      }, this.#init.crypto)
      if (image.manifest.golden.goldenId !== golden.goldenId) throw new PlantError('MANIFEST_INVALID', { problem: 'the manifest is another\'s' })
      return (await this.#shelf.place({ root, golden: image.manifest.golden, sound: new Map(), image })).golden
    } catch (error) {
      for (const path of made) await rm(path, { recursive: true, force: true })
      await this.#shelf.tidy()
      throw asDiskError(error, this.#init.dir)
    }
  }

  async #receive (signed: Uint8Array, info: Uint8Array, manifest: Manifest): Promise<Incoming> {
    const { golden } = manifest
    const root = await this.#shelf.newDraft()
    try {
      await writeDurably(join(root, MANIFEST_FILE), signed)
      await writeFile(join(root, MARK_FILE), 'incoming', { flush: true })
      await writeDescription(root, golden)
      const { image } = await this.#shelf.place({ root, golden, sound: new Map(), image: { manifest, packDirs: new Map(), info } }, 'incoming')
      if (image === undefined) throw new PlantError('GOLDEN_EXISTS', { goldenId: golden.goldenId })
      return image
    } catch (error) {
      await rm(root, { recursive: true, force: true })
      throw error
    }
  }

  async #verified (id: GoldenId, scope: Scope, signal?: AbortSignal): Promise<string> {
    const item = this.#shelf.items.get(id)
    if (item === undefined || item.off === 'removed') throw new PlantError('GOLDEN_UNKNOWN', { goldenId: id })
    signal?.throwIfAborted()
    await item.dropping
    const isOther = item.checking !== undefined && scope !== item.checking.scope && item.checking.scope !== 'all' && scope !== 'there'
    if (isOther) await item.checking?.done.catch(() => {}) // Done again at once, and heard of then.
    if (item.checking === undefined || item.checking.stop.signal.aborted) item.checking = this.#check(item, scope)
    const { checking } = item
    checking.waiting++
    const onAbort = (): void => { if (--checking.waiting === 0) checking.stop.abort(signal?.reason) }
    try {
      if (signal === undefined) await checking.done
      else await raceAbort(checking.done, signal, onAbort)
    } catch (error) {
      throw asDiskError(error, this.#init.dir)
    }
    item.usedAtMs = this.#init.clock.monotonicMs()
    this.#shelf.rendered.look()
    return filesDirOf(item)
  }

  #check (item: Item, scope: Scope): Checking {
    const stop = new AbortController()
    const checking: Checking = { done: this.#verify(item, scope, stop.signal), scope, waiting: 0, stop }
    const ended = (): void => { if (item.checking === checking) delete item.checking }
    checking.done.then(ended, ended) // Whoever waits hears of a failure.
    return checking
  }

  async #verify (item: Item, scope: Scope, signal: AbortSignal): Promise<void> {
    const { goldenId, name } = item.golden
    if (item.off === 'corrupt') throw new PlantError('GOLDEN_CORRUPT', { goldenId, name, problem: 'found altered before' })
    if (item.image !== undefined) return readyFiles(item, item.image, { crypto: this.#init.crypto, log: this.#init.log, newDraft: async () => this.#shelf.newDraft() }, scope, signal)
    const altered = await verifyHashes(item, signal)
    if (altered === undefined) return
    this.#init.log.error({ goldenId, name, ...altered }, 'a golden machine was altered and is taken off the shelf')
    await this.#shelf.takeOff(item, 'corrupt').catch((error: unknown) => { this.#init.log.error({ goldenId, error }, 'could not set an altered golden machine aside') })
    throw new PlantError('GOLDEN_CORRUPT', { goldenId, name, ...altered })
  }
}

async function exists (path: string): Promise<boolean> {
  return stat(path).then(() => true, () => false)
}

async function raceAbort<T> (work: Promise<T>, signal: AbortSignal, onAbort: () => void): Promise<T> {
  signal.throwIfAborted()
  return new Promise<T>((resolvePromise, reject) => {
    const abort = (): void => {
      onAbort()
      reject(signal.reason)
    }
    signal.addEventListener('abort', abort, { once: true })
    work.then(resolvePromise, reject).finally(() => { signal.removeEventListener('abort', abort) })
  })
}
