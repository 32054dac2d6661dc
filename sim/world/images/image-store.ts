/** The port ImageStore of one life of a plant over what lies on its host's disk. A piece is its digest's content, short; it is checked as a real one is. */
import { PlantError, type Cancel, type Crypto, type GoldenId } from '../../../protocols/kit/index.ts'
import { openManifest, type Manifest } from '../../../protocols/image/index.ts'
import type { Golden } from '../../../protocols/order/golden.ts'
import type { ImageStore, Incoming, LazyImage } from '../../../storage/warehouse/image-store.ts'
import { noBits, setBit } from '../../../storage/warehouse/bits.ts'
import { never, type Life } from '../life.ts'
import type { SimHost } from '../host/host.ts'
import type { ImageDisk } from './image-disk.ts'
import { SimPack } from './sim-pack.ts'

export interface SimImageStoreComponents { host: SimHost, life: Life, crypto: Crypto, disk: ImageDisk, /** It is whole: the shelf takes it. */ arrived: (golden: Golden) => void }

/** Images of one life. */
export class SimImageStore implements ImageStore {
  readonly #c: SimImageStoreComponents
  readonly #packs = new Map<string, SimPack>()
  readonly #incoming = new Map<GoldenId, Incoming>()
  readonly #listeners = new Set<() => void>()

  constructor (components: SimImageStoreComponents) {
    this.#c = components
    for (const { manifest, incoming } of components.disk.images.values()) if (incoming) this.#begin(manifest)
  }

  async manifestOf (id: GoldenId): Promise<Manifest | undefined> { return this.#c.disk.images.get(id)?.manifest }

  async signedManifest (id: GoldenId): Promise<{ manifest: Uint8Array, info: Uint8Array } | undefined> { return this.#c.disk.images.get(id)?.signed }

  async receive (manifest: Uint8Array, info: Uint8Array): Promise<Incoming> {
    const { host, life, crypto, disk } = this.#c
    const opened = openManifest(crypto, manifest)
    const { goldenId } = opened.golden
    const begun = this.#incoming.get(goldenId)
    if (begun !== undefined) return begun
    if (!life.may('warehouse')) return never()
    if (disk.images.has(goldenId)) throw new PlantError('GOLDEN_EXISTS', { goldenId })
    if (host.refusesWrite()) throw new PlantError('DISK_FULL', { path: `/${host.name}/warehouse` })
    disk.images.set(goldenId, { manifest: opened, signed: { manifest, info }, incoming: true })
    disk.expect(opened)
    this.packsChanged()
    return this.#begin(opened)
  }

  incoming (): Incoming[] { return [...this.#incoming.values()] }

  packs (): SimPack[] { return [...this.#c.disk.packs.keys()].flatMap((infoHash) => this.#pack(infoHash) ?? []) }

  async lazy (id: GoldenId): Promise<LazyImage> { throw new PlantError('GOLDEN_UNKNOWN', { goldenId: id, problem: 'a simulated image has no bytes' }) }

  onPacks (fn: () => void): Cancel {
    this.#listeners.add(fn)
    return () => { this.#listeners.delete(fn) }
  }

  /** Packs came or went. */
  packsChanged (): void { for (const listener of this.#listeners) listener() }

  #pack (infoHash: string): SimPack | undefined {
    const onDisk = this.#c.disk.packs.get(infoHash)
    const known = this.#packs.get(infoHash)
    if (onDisk === undefined || known?.onDisk === onDisk) return onDisk && known
    const pack = new SimPack(onDisk, this.#c)
    this.#packs.set(infoHash, pack)
    return pack
  }

  #begin (manifest: Manifest): Incoming {
    const { goldenId } = manifest.golden
    const done = Promise.withResolvers<void>()
    const packs = manifest.packs.flatMap((ref, at) => {
      const pack = this.#pack(ref.infoHash)
      if (pack === undefined) return []
      const indexes = manifest.places.flatMap((run) => run.pack === at ? Array.from({ length: run.count }, (_, i) => run.index + i) : [])
      const needed = noBits(ref.pieces)
      for (const index of indexes) setBit(needed, index)
      let missing = indexes.filter((index) => !pack.has(index)).length
      pack.onHave((index) => {
        if ((needed[index >> 3] ?? 0) & (0x80 >> (index & 7))) missing--
        if (missing === 0) look()
      })
      return { pack, goldenId: ref.goldenId, needed, missing: () => missing }
    })
    const missing = (): number => packs.reduce((sum, one) => sum + one.missing(), 0)
    const incoming = { goldenId, manifest, packs, missing, complete: done.promise }
    this.#incoming.set(goldenId, incoming)
    const look = (): void => {
      const there = this.#c.disk.images.get(goldenId)
      if (missing() > 0 || there?.incoming !== true || this.#c.life.dead) return
      there.incoming = false
      this.#incoming.delete(goldenId)
      this.#c.arrived(manifest.golden)
      done.resolve()
    }
    look()
    return incoming
  }
}
