/** The port ImageStore of one life of a plant over what lies on its host's disk. Pieces have no bytes. */
import { PlantError, type Cancel, type Crypto, type GoldenId } from '../../../protocols/kit/index.ts'
import { PIECE_BYTES, openManifest, type Manifest } from '../../../protocols/image/index.ts'
import type { Golden } from '../../../protocols/order/golden.ts'
import type { ImageStore, Incoming, LazyImage } from '../../../storage/warehouse/image-store.ts'
import type { Pack } from '../../../storage/warehouse/pack.ts'
import { never, type Life } from '../life.ts'
import type { SimHost } from '../host/host.ts'
import type { ImageDisk, PackOnDisk } from './image-disk.ts'

/** What every piece of a world reads as. */
const NO_BYTES = new Uint8Array(PIECE_BYTES)

export interface SimImageStoreComponents { host: SimHost, life: Life, crypto: Crypto, disk: ImageDisk, /** It is whole: the shelf takes it. */ arrived: (golden: Golden) => void }

/** Images of one life. */
export class SimImageStore implements ImageStore {
  readonly #c: SimImageStoreComponents
  readonly #packs = new Map<string, SimPack>()
  readonly #incoming = new Map<GoldenId, Incoming>()
  readonly #listeners = new Set<() => void>()

  constructor (components: SimImageStoreComponents) {
    this.#c = components
    for (const pack of components.disk.packs.values()) this.#pack(pack)
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
    if (host.diskFull) throw new PlantError('DISK_FULL', { path: `/${host.name}/warehouse` })
    disk.images.set(goldenId, { manifest: opened, signed: { manifest, info }, incoming: true })
    for (const ref of opened.packs) this.#pack(disk.pack(ref))
    for (const listener of this.#listeners) listener()
    return this.#begin(opened)
  }

  /** What has left the shelf is gone, with the packs that nothing else needs. */
  sweep (): void {
    const { disk, host } = this.#c
    for (const [goldenId, { incoming }] of disk.images) if (!incoming && !host.shelf.has(goldenId)) disk.images.delete(goldenId)
    const needed = new Set([...disk.images.values()].flatMap(({ manifest }) => manifest.packs.map(({ infoHash }) => infoHash)))
    let gone = false
    for (const infoHash of disk.packs.keys()) {
      if (needed.has(infoHash)) continue
      disk.packs.delete(infoHash)
      gone = this.#packs.delete(infoHash) || gone
    }
    if (gone) for (const listener of this.#listeners) listener()
  }

  incoming (): Incoming[] { return [...this.#incoming.values()] }

  packs (): Pack[] { return [...this.#packs.values()] }

  async lazy (id: GoldenId): Promise<LazyImage> { throw new PlantError('GOLDEN_UNKNOWN', { goldenId: id, problem: 'a simulated image has no bytes' }) }

  onPacks (fn: () => void): Cancel {
    this.#listeners.add(fn)
    return () => { this.#listeners.delete(fn) }
  }

  #pack (onDisk: PackOnDisk): SimPack {
    const { infoHash } = onDisk.ref
    const pack = this.#packs.get(infoHash) ?? new SimPack(onDisk, this.#c.host, this.#c.life)
    this.#packs.set(infoHash, pack)
    return pack
  }

  #begin (manifest: Manifest): Incoming {
    const { goldenId } = manifest.golden
    const done = Promise.withResolvers<void>()
    const packs = manifest.packs.map((ref) => {
      const pack = this.#pack(this.#c.disk.pack(ref))
      return { pack, goldenId: ref.goldenId, needed: new Uint8Array(Math.ceil(ref.pieces / 8)).fill(0xff), missing: () => pack.missing }
    })
    const missing = (): number => packs.reduce((sum, one) => sum + one.missing(), 0)
    const incoming = { goldenId, manifest, packs, missing, complete: done.promise }
    this.#incoming.set(goldenId, incoming)
    const look = (): void => {
      const there = this.#c.disk.images.get(goldenId)
      if (missing() > 0 || there?.incoming !== true) return
      there.incoming = false
      this.#incoming.delete(goldenId)
      this.#c.arrived(manifest.golden)
      done.resolve()
    }
    for (const { pack } of packs) pack.onHave(look)
    look()
    return incoming
  }
}

class SimPack implements Pack {
  readonly infoHash: string
  readonly count: number
  missing: number
  readonly #have: Uint8Array
  readonly #host: SimHost
  readonly #life: Life
  readonly #listeners = new Set<(index: number) => void>()

  constructor ({ ref, have }: PackOnDisk, host: SimHost, life: Life) {
    this.infoHash = ref.infoHash
    this.count = ref.pieces
    this.#have = have
    this.#host = host
    this.#life = life
    this.missing = have.reduce((sum, one) => sum + (one === 0 ? 1 : 0), 0)
  }

  has (index: number): boolean { return this.#have[index] === 1 }

  bitfield (): Uint8Array {
    const bits = new Uint8Array(Math.ceil(this.count / 8))
    for (let i = 0; i < this.count; i++) if (this.has(i)) bits[i >> 3] = (bits[i >> 3] ?? 0) | (0x80 >> (i & 7))
    return bits
  }

  async read (index: number): Promise<Uint8Array> {
    if (!this.has(index)) throw new PlantError('IMAGE_INCOMPLETE', { infoHash: this.infoHash, piece: index })
    return NO_BYTES
  }

  async write (index: number): Promise<boolean> {
    if (this.#life.dead) return never()
    if (this.#host.diskFull) throw new PlantError('DISK_FULL', { path: `/${this.#host.name}/warehouse` })
    if (this.has(index)) return true
    this.#have[index] = 1
    this.missing--
    for (const fn of this.#listeners) fn(index)
    return true
  }

  onHave (fn: (index: number) => void): Cancel {
    this.#listeners.add(fn)
    return () => { this.#listeners.delete(fn) }
  }
}
