/** Drops rendered files that nobody uses, now and then; which ones is decided in `warehouse/rendered-cache.ts`. */
import type { Cancel, Clock, Log } from '../../protocols/kit/index.ts'
import { toDrop } from '../warehouse/rendered-cache.ts'
import { filesDirOf, renderedBytes, type Item } from './shelf-item.ts'
import { REMOVED_KEPT_MS, RENDERED_IDLE_MS, RENDERED_LOOK_MS } from './warehouse-limits.ts'

export interface RenderedCacheInit { clock: Clock, log: Log, bytesMax: number, items: () => Iterable<Item>, trash: (path: string) => Promise<void> }

/** Looks every RENDERED_LOOK_MS while there is something that could go. */
export class RenderedCache {
  readonly #init: RenderedCacheInit
  #cancel: Cancel | undefined
  #openedAtMs = 0
  #closed = false

  constructor (init: RenderedCacheInit) { this.#init = init }

  async open (): Promise<void> {
    this.#openedAtMs = this.#init.clock.monotonicMs()
    for (const item of this.#init.items()) if (isDroppable(item) && await renderedBytes(item) > 0) return this.look()
  }

  close (): void {
    this.#closed = true
    this.#cancel?.()
  }

  /** Something was rendered, used or let go of. */
  look (): void {
    if (!this.#closed) this.#cancel ??= this.#init.clock.after(RENDERED_LOOK_MS, () => { void this.#look() })
  }

  async #look (): Promise<void> {
    this.#cancel = undefined
    const nowMs = this.#init.clock.monotonicMs()
    const all = await Promise.all([...this.#init.items()].map(async (item) => ({ item, goldenId: item.golden.goldenId, bytes: await renderedBytes(item), usedAtMs: item.usedAtMs })))
    const unpinned = all.filter(({ item, bytes }) => bytes > 0 && isDroppable(item))
    const pinnedBytes = all.reduce((sum, { bytes }) => sum + bytes, 0) - unpinned.reduce((sum, { bytes }) => sum + bytes, 0)
    // Machines that outlived the plant are pinned anew by then: until then nothing goes for want of room.
    const bytesMax = nowMs - this.#openedAtMs < REMOVED_KEPT_MS ? Infinity : this.#init.bytesMax
    const going = toDrop(unpinned, pinnedBytes, nowMs, { idleMs: RENDERED_IDLE_MS, bytesMax })
    for (const { item } of unpinned.filter(({ goldenId }) => going.includes(goldenId))) {
      if (!isDroppable(item)) continue // Pinned meanwhile.
      item.sound.clear()
      item.dropping = this.#init.trash(filesDirOf(item)).catch((error: unknown) => { this.#init.log.warn({ goldenId: item.golden.goldenId, error }, 'rendered files could not be dropped') })
      await item.dropping
      delete item.dropping
    }
    if (going.length < unpinned.length || pinnedBytes > 0) this.look()
  }
}

/** Nobody uses its files, and they can be made again. */
function isDroppable (item: Item): boolean {
  return item.image !== undefined && item.off === undefined && item.pins === 0 && item.checking === undefined && item.image.missing() === 0
}
