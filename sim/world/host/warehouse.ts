/**
 * The warehouse of one life of a plant (the port Warehouse) over the shelf on its host's disk. Files have a size and a made-up digest, no bytes.
 * Verification takes as long as hashing does and is done once a life; drafts that a crash left go when the next life opens it.
 */
import { PlantError, toHex, type Crypto, type GoldenId } from '../../../protocols/kit/index.ts'
import type { Golden } from '../../../protocols/order/golden.ts'
import { goldenIdOf } from '../../../protocols/order/golden-schema.ts'
import { bytesOf, type GoldenDraft, type Warehouse } from '../../../storage/warehouse/warehouse.ts'
import { never, type Life } from '../life.ts'
import type { SimHost } from './host.ts'

/** SHA-256 at 0.4 GB/s (`storage/drivers/warehouse-limits.ts`). */
const HASHED_BYTES_PER_MS = 400_000

/** Where plants fetch golden machines of each other: what is made here becomes an image, and what goes takes its own away. */
export interface DraftImages {
  commit (golden: Omit<Golden, 'goldenId'>, label: string): Golden
  remove (id: GoldenId): void
}

/** See the head of this file. */
export class SimWarehouse implements Warehouse {
  readonly #host: SimHost
  readonly #life: Life
  readonly #crypto: Crypto
  readonly #images: DraftImages | undefined
  readonly #pins = new Map<GoldenId, number>()
  readonly #sound = new Map<GoldenId, Promise<void>>()
  readonly #listeners = new Set<() => void>()

  constructor (host: SimHost, life: Life, crypto: Crypto, images?: DraftImages) {
    this.#images = images
    this.#host = host
    this.#life = life
    this.#crypto = crypto
    host.drafts.clear()
    // As the daemon does in the background: one after the other, so that no order waits for it later.
    let shelf = Promise.resolve()
    for (const { golden } of host.shelf.values()) shelf = this.#hash(golden, shelf)
  }

  /** Pins that were taken and not given back. */
  get pins (): number { return [...this.#pins.values()].reduce((sum, count) => sum + count, 0) }

  list (): Golden[] { return [...this.#host.shelf.values()].filter(({ off }) => !off).map(({ golden }) => golden) }

  get (id: GoldenId): Golden | undefined { return this.#host.shelf.get(id)?.golden }

  async verified (id: GoldenId, signal?: AbortSignal): Promise<string> {
    if (!this.#life.may('warehouse')) return never()
    const item = this.#host.shelf.get(id)
    if (item === undefined || item.off) throw new PlantError('GOLDEN_UNKNOWN', { goldenId: id })
    signal?.throwIfAborted()
    await raceAbort(this.#sound.get(id) ?? this.#hash(item.golden, Promise.resolve()), signal)
    return `/golden/${id}`
  }

  #hash (golden: Golden, after: Promise<void>): Promise<void> {
    const takesMs = this.#host.timings.name.startsWith('none') ? 0 : bytesOf(golden.files) / HASHED_BYTES_PER_MS
    const hashing = after.then(async () => new Promise<void>((resolve) => { this.#host.timeline.after(Math.round(takesMs * 1_000), resolve, this.#life) }))
    this.#sound.set(golden.goldenId, hashing)
    return hashing
  }

  async draft (): Promise<GoldenDraft> {
    const host = this.#host
    if (!this.#life.may('warehouse')) return never()
    this.#room()
    const dir = host.newDraft()
    const discard = async (): Promise<void> => {
      if (this.#life.may('warehouse')) host.drafts.delete(dir)
    }
    return {
      dir,
      discard,
      commit: async (description, signal) => {
        if (!this.#life.may('warehouse')) return never()
        try {
          this.#room()
          signal?.throwIfAborted()
          const { memoryMiB, diskMiB } = description.hardware
          const files = [{ name: 'disk', bytes: diskMiB * 2 ** 18 }, { name: 'ram', bytes: memoryMiB * 2 ** 20 }].map((file) => ({ ...file, sha256: toHex(this.#crypto.sha256(new TextEncoder().encode(`${host.peer}${dir}/${file.name}`))) }))
          const golden = { ...description, files }
          const whole: Golden = this.#images?.commit(golden, `${host.peer}${dir}/${host.timeline.nowUs}`) ?? { goldenId: goldenIdOf(golden), ...golden }
          host.drafts.delete(dir)
          host.shelf.set(whole.goldenId, { golden: whole, off: false })
          host.event('golden.shelved', { golden: whole.goldenId, name: whole.name })
          this.#changed()
          return whole
        } catch (error) {
          host.drafts.delete(dir)
          throw error
        }
      }
    }
  }

  async remove (id: GoldenId): Promise<void> {
    if (!this.#life.may('warehouse')) return never()
    const item = this.#host.shelf.get(id)
    if (item === undefined || item.off) throw new PlantError('GOLDEN_UNKNOWN', { goldenId: id })
    item.off = true
    this.#clear(id)
    this.#changed()
  }

  pin (id: GoldenId): () => void {
    if (!this.#host.shelf.has(id)) throw new PlantError('GOLDEN_UNKNOWN', { goldenId: id })
    this.#pins.set(id, (this.#pins.get(id) ?? 0) + 1)
    let held = true
    return () => {
      if (!held) return
      held = false
      const left = (this.#pins.get(id) ?? 1) - 1
      if (left === 0) this.#pins.delete(id)
      else this.#pins.set(id, left)
      this.#clear(id)
    }
  }

  onChange (fn: () => void): () => void {
    this.#listeners.add(fn)
    return () => { this.#listeners.delete(fn) }
  }

  /** A golden machine of another plant has arrived, each of its pieces verified. */
  arrived (golden: Golden): void {
    this.#host.shelf.set(golden.goldenId, { golden, off: false })
    this.#sound.set(golden.goldenId, Promise.resolve())
    this.#host.event('golden.arrived', { golden: golden.goldenId, name: golden.name })
    this.#changed()
  }

  #clear (id: GoldenId): void {
    if (this.#host.shelf.get(id)?.off !== true || this.#pins.has(id) || this.#life.dead) return
    this.#host.shelf.delete(id)
    this.#images?.remove(id)
  }

  #changed (): void { for (const listener of this.#listeners) listener() }

  #room (): void { if (this.#host.refusesWrite()) throw new PlantError('DISK_FULL', { path: `/${this.#host.name}/warehouse` }) }
}

async function raceAbort<T> (work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work
  signal.throwIfAborted()
  return new Promise<T>((resolve, reject) => {
    const onAbort = (): void => { reject(signal.reason) }
    signal.addEventListener('abort', onAbort, { once: true })
    work.then(resolve, reject).finally(() => { signal.removeEventListener('abort', onAbort) })
  })
}
