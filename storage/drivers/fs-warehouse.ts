/**
 * The warehouse in a directory; its layout and promises are in warehouse/README.md.
 *
 *   draft ──commit──> on the shelf ──remove──> removed ──(no pin)──> gone
 *                          └──(altered)──> corrupt ──(no pin)──> quarantine
 */
import { randomBytes } from 'node:crypto'
import { mkdir, readFile, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { PlantError, type Cancel, type Clock, type GoldenId, type Log } from '../../protocols/kit/index.ts'
import type { Golden, GoldenFile } from '../../protocols/order/golden.ts'
import { goldenIdOf } from '../warehouse/description.ts'
import type { GoldenDraft, Warehouse } from '../warehouse/warehouse.ts'
import { asDiskError, readDescription, sealFiles, signatureOf, syncPath, takeOver, writeDescription } from './golden-files.ts'
import { hashFile } from './hash-file.ts'
import { QUARANTINE_MAX, REMOVED_KEPT_MS } from './warehouse-limits.ts'

export interface FsWarehouseInit { dir: string, clock: Clock, log: Log }

export interface FsWarehouse extends Warehouse {
  /** Takes over, by links, what another warehouse directory has and this one has not; verified at first use. Returns what is new. */
  importFrom (dir: string, signal?: AbortSignal): Promise<Golden[]>
  /** Verifies all that is on the shelf, so that the first order need not wait for it; altered ones go off the shelf. */
  verifyAll (signal?: AbortSignal): Promise<void>
  close (): void
}

/** In the directory of a golden machine that is off the shelf while clones use its files: says why. */
const MARK_FILE = 'off-shelf'
type OffShelf = 'removed' | 'corrupt'

interface Item {
  golden: Golden
  dir: string
  pins: number
  off?: OffShelf
  /** Signature of each file when its digest was last found right. */
  sound: Map<string, string>
  /** A verification under way, for all who wait for it; aborted when nobody does. */
  checking?: Checking
}

interface Checking { done: Promise<void>, waiting: number, stop: AbortController }

/** Opens a warehouse, making its directory where needed; what a crash left half made or half removed is cleaned up. */
export async function openWarehouse (init: FsWarehouseInit): Promise<FsWarehouse> {
  const warehouse = new FsShelf(init)
  try {
    await warehouse.open()
  } catch (error) {
    throw asDiskError(error, init.dir)
  }
  return warehouse
}

class FsShelf implements FsWarehouse {
  readonly #init: FsWarehouseInit
  readonly #golden: string
  readonly #drafts: string
  readonly #quarantine: string
  readonly #items = new Map<GoldenId, Item>()
  readonly #listeners = new Set<() => void>()
  #cancelSweep: Cancel = () => {}

  constructor (init: FsWarehouseInit) {
    const dir = resolve(init.dir)
    this.#init = { ...init, dir }
    this.#golden = join(dir, 'golden')
    this.#drafts = join(dir, 'drafts')
    this.#quarantine = join(dir, 'quarantine')
  }

  async open (): Promise<void> {
    await rm(this.#drafts, { recursive: true, force: true })
    for (const dir of [this.#golden, this.#drafts, this.#quarantine]) await mkdir(dir, { recursive: true, mode: 0o700 })
    for (const name of await readdir(this.#golden)) await this.#readIn(name)
    if ([...this.#items.values()].some((item) => item.off !== undefined)) {
      this.#cancelSweep = this.#init.clock.after(REMOVED_KEPT_MS, () => { for (const item of this.#items.values()) void this.#clear(item) })
    }
  }

  close (): void {
    this.#cancelSweep()
    for (const item of this.#items.values()) item.checking?.stop.abort(new PlantError('INTERRUPTED'))
  }

  list (): Golden[] {
    return [...this.#items.values()].filter((item) => item.off === undefined).map((item) => item.golden)
  }

  get (id: GoldenId): Golden | undefined {
    return this.#items.get(id)?.golden
  }

  async verified (id: GoldenId, signal?: AbortSignal): Promise<string> {
    const item = this.#items.get(id)
    if (item === undefined || item.off === 'removed') throw new PlantError('GOLDEN_UNKNOWN', { goldenId: id })
    signal?.throwIfAborted()
    if (item.checking === undefined || item.checking.stop.signal.aborted) item.checking = this.#check(item)
    const { checking } = item
    checking.waiting++
    const onAbort = (): void => { if (--checking.waiting === 0) checking.stop.abort(signal?.reason) }
    try {
      if (signal === undefined) await checking.done
      else await raceAbort(checking.done, signal, onAbort)
    } catch (error) {
      throw asDiskError(error, this.#init.dir)
    }
    return item.dir
  }

  async verifyAll (signal?: AbortSignal): Promise<void> {
    for (const { goldenId } of this.list()) {
      try {
        await this.verified(goldenId, signal)
      } catch (error) {
        signal?.throwIfAborted()
        this.#init.log.warn({ goldenId, error }, 'a golden machine did not pass verification')
      }
    }
  }

  async draft (): Promise<GoldenDraft> {
    const dir = join(this.#drafts, randomName())
    await mkdir(dir, { mode: 0o700 }).catch((error: unknown) => { throw asDiskError(error, this.#init.dir) })
    const discard = async (): Promise<void> => rm(dir, { recursive: true, force: true })
    return {
      dir,
      discard,
      commit: async (description, signal) => {
        try {
          const { files, sound } = await sealFiles(dir, signal)
          signal?.throwIfAborted()
          const golden = { ...description, files }
          return await this.#shelve(dir, { goldenId: goldenIdOf(golden), ...golden }, sound)
        } catch (error) {
          await discard()
          throw asDiskError(error, this.#init.dir)
        }
      }
    }
  }

  async remove (id: GoldenId): Promise<void> {
    const item = this.#items.get(id)
    if (item === undefined || item.off !== undefined) throw new PlantError('GOLDEN_UNKNOWN', { goldenId: id })
    await this.#takeOff(item, 'removed')
  }

  pin (id: GoldenId): () => void {
    const item = this.#items.get(id)
    if (item === undefined) throw new PlantError('GOLDEN_UNKNOWN', { goldenId: id })
    item.pins++
    let held = true
    return () => {
      if (!held) return
      held = false
      item.pins--
      void this.#clear(item)
    }
  }

  onChange (fn: () => void): () => void {
    this.#listeners.add(fn)
    return () => { this.#listeners.delete(fn) }
  }

  async importFrom (dir: string, signal?: AbortSignal): Promise<Golden[]> {
    const taken: Golden[] = []
    const shelf = join(resolve(dir), 'golden')
    const names = await readdir(shelf).catch((cause: unknown) => {
      throw new PlantError('CONFIG_INVALID', { import: dir, problem: 'not a warehouse directory: it has no readable golden/ in it' }, { cause })
    })
    for (const name of names) {
      signal?.throwIfAborted()
      const from = join(shelf, name)
      try {
        const golden = await readDescription(from)
        if (!this.#items.has(golden.goldenId) && !await exists(join(from, MARK_FILE))) taken.push(await this.#import(from, golden))
      } catch (error) {
        if (error instanceof PlantError && error.code === 'DISK_FULL') throw error
        this.#init.log.warn({ dir: from, error }, 'a golden machine is broken where it is and was not imported')
      }
    }
    return taken
  }

  async #import (from: string, golden: Golden): Promise<Golden> {
    const draft = await this.draft()
    try {
      for (const { name } of golden.files) await takeOver(join(from, name), join(draft.dir, name), name)
      return await this.#shelve(draft.dir, golden, new Map())
    } catch (error) {
      await draft.discard()
      throw asDiskError(error, this.#init.dir)
    }
  }

  /** Puts a finished draft on the shelf in one rename. What is there already stays, and the draft goes. */
  async #shelve (draftDir: string, golden: Golden, sound: Map<string, string>): Promise<Golden> {
    await writeDescription(draftDir, golden)
    const known = this.#items.get(golden.goldenId)
    if (known !== undefined && known.off === undefined) {
      await rm(draftDir, { recursive: true, force: true })
      return known.golden
    }
    const dir = join(this.#golden, golden.goldenId)
    if (known !== undefined) throw new PlantError('GOLDEN_EXISTS', { goldenId: golden.goldenId, problem: 'it was taken off the shelf and clones still use it' })
    await rename(draftDir, dir)
    await syncPath(this.#golden)
    this.#items.set(golden.goldenId, { golden, dir, pins: 0, sound })
    this.#changed()
    return golden
  }

  #check (item: Item): Checking {
    const stop = new AbortController()
    const checking: Checking = { done: this.#verify(item, stop.signal), waiting: 0, stop }
    const ended = (): void => { if (item.checking === checking) delete item.checking }
    checking.done.then(ended, ended) // Whoever waits hears of a failure.
    return checking
  }

  async #verify (item: Item, signal: AbortSignal): Promise<void> {
    if (item.off === 'corrupt') throw new PlantError('GOLDEN_CORRUPT', { goldenId: item.golden.goldenId, name: item.golden.name, problem: 'found altered before' })
    const altered = (await Promise.all(item.golden.files.map(async (file) => this.#verifyFile(item, file, signal)))).find((found) => found !== undefined)
    if (altered === undefined) return
    const { goldenId, name } = item.golden
    this.#init.log.error({ goldenId, name, ...altered }, 'a golden machine was altered and is taken off the shelf')
    await this.#takeOff(item, 'corrupt').catch((error: unknown) => { this.#init.log.error({ goldenId, error }, 'could not set an altered golden machine aside') })
    throw new PlantError('GOLDEN_CORRUPT', { goldenId, name, ...altered })
  }

  /** Hashes a file unless nothing about it has changed since it was last found right. Undefined when it is what it was. */
  async #verifyFile (item: Item, file: GoldenFile, signal: AbortSignal): Promise<{ file: string, expected: string, found: string } | undefined> {
    const path = join(item.dir, file.name)
    const wrong = (found: string): { file: string, expected: string, found: string } => ({ file: file.name, expected: file.sha256, found })
    let before: { signature: string, bytes: number }
    try {
      before = await signatureOf(path)
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return wrong('missing')
      throw error
    }
    if (item.sound.get(file.name) === before.signature) return undefined
    if (before.bytes !== file.bytes) return wrong(`${before.bytes} bytes instead of ${file.bytes}`)
    const found = await hashFile(path, before.bytes, signal)
    if (found !== file.sha256) return wrong(found)
    // Of the moment before hashing: what changes meanwhile has another signature and is hashed again next time.
    item.sound.set(file.name, before.signature)
    return undefined
  }

  async #takeOff (item: Item, off: OffShelf): Promise<void> {
    item.off = off
    this.#changed()
    // Durable before it is told: a restart must not put it back. Until the pins are gone its path stays, as overlays name it.
    await writeFile(join(item.dir, MARK_FILE), off, { flush: true }).catch((error: unknown) => {
      if (item.pins > 0) throw asDiskError(error, this.#init.dir)
    })
    await this.#clear(item)
  }

  /** Takes the files away of what is off the shelf and in nobody's use. */
  async #clear (item: Item): Promise<void> {
    const { goldenId } = item.golden
    if (item.off === undefined || item.pins > 0 || this.#items.get(goldenId) !== item) return
    this.#items.delete(goldenId)
    try {
      if (item.off === 'corrupt') await this.#setAside(item.dir, goldenId)
      else await this.#trash(item.dir)
    } catch (error) {
      this.#init.log.error({ goldenId, error }, 'a golden machine that is off the shelf could not be moved away')
    }
  }

  /** Renamed first: what a crash leaves half removed is among the drafts, which are removed at the next start. */
  async #trash (dir: string): Promise<void> {
    const to = join(this.#drafts, randomName())
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

  async #readIn (name: string): Promise<void> {
    const dir = join(this.#golden, name)
    try {
      const golden = await readDescription(dir)
      if (golden.goldenId !== name) throw new PlantError('GOLDEN_CORRUPT', { expected: name, found: golden.goldenId })
      const mark = await readFile(join(dir, MARK_FILE), 'utf8').catch(() => undefined) // On the shelf.
      const off: OffShelf = mark === 'corrupt' ? mark : 'removed'
      this.#items.set(golden.goldenId, { golden, dir, pins: 0, sound: new Map(), ...(mark !== undefined && { off }) })
    } catch (error) {
      this.#init.log.error({ dir, error }, 'not a golden machine; set aside')
      await this.#setAside(dir, 'unreadable')
    }
  }

  #changed (): void {
    for (const listener of this.#listeners) listener()
  }
}

function randomName (): string { return randomBytes(8).toString('hex') }

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
