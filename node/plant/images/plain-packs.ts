/**
 * Which packs go to BitTorrent clients outside the mesh, where a plant has a port for them: those of golden machines that everybody may use (built or
 * imported here, or another administrator's that was fetched), whole, while they are on the shelf. What a domain has published stays in the mesh: its
 * memory may hold the domain's secrets, and whoever reaches the port may read what is shared there.
 */
import { PlantError, type Cancel, type GoldenId, type Log } from '../../../protocols/kit/index.ts'
import { PIECE_BYTES, packName, type PackRef } from '../../../protocols/image/index.ts'
import type { Golden } from '../../../protocols/order/golden.ts'
import type { ImageStore } from '../../../storage/warehouse/image-store.ts'
import type { Pack } from '../../../storage/warehouse/pack.ts'
import type { Warehouse } from '../../../storage/warehouse/warehouse.ts'

/** The port for clients of others. */
export interface PlainPort {
  /** Shares a whole pack until cancelled; throws LIMIT when it is not whole. */
  share (pack: Pack, info: Uint8Array): Promise<Cancel>
  /** The `.torrent` file of a pack, by which a client finds the port. */
  torrentOf (info: Uint8Array): Uint8Array
}

/** A pack for clients of others. */
export interface PackTorrent {
  goldenId: GoldenId
  /** What a client will call the file. */
  file: string
  infoHash: string
  bytes: number
  torrent: Uint8Array
}

export interface PlainPacksComponents {
  warehouse: Pick<Warehouse, 'list' | 'onChange'>
  store: Pick<ImageStore, 'manifestOf' | 'signedManifest' | 'packs' | 'onPacks'>
  port: PlainPort
  log: Log
}

/** Shares from `start` to `stop` what there is to share. */
export class PlainPacks {
  readonly #c: PlainPacksComponents
  readonly #shared = new Map<string, Cancel>()
  readonly #cancels: Cancel[] = []
  #looking: Promise<void> | undefined
  #lookAgain = false
  #stopped = false

  constructor (components: PlainPacksComponents) { this.#c = components }

  /** Resolves when all that is on the shelf now is shared. */
  async start (): Promise<void> {
    const look = (): void => { this.#look() }
    this.#cancels.push(this.#c.warehouse.onChange(look), this.#c.store.onPacks(look))
    this.#look()
    await this.#looking
  }

  async stop (): Promise<void> {
    this.#stopped = true
    for (const cancel of this.#cancels) cancel()
    await this.#looking
    for (const cancel of this.#shared.values()) cancel()
    this.#shared.clear()
  }

  /** The packs that a golden machine's files are made of, its own first. Throws GOLDEN_UNKNOWN, or USAGE when it is not shared or the name means several. */
  async torrents (name: string): Promise<PackTorrent[]> {
    await this.#looking
    const golden = this.#chosen(name)
    if (golden.publishedBy !== undefined) throw new PlantError('USAGE', { name, problem: 'it was published by a domain: it is handed to plants of the mesh only' })
    const manifest = await this.#c.store.manifestOf(golden.goldenId)
    if (manifest === undefined) throw new PlantError('USAGE', { name, problem: 'it was kept by an earlier version and has no pieces: build it again' })
    return Promise.all(manifest.packs.filter(({ pieces }) => pieces > 0).map(async (pack) => this.#torrent(name, pack)))
  }

  async #torrent (name: string, { goldenId, infoHash, pieces }: PackRef): Promise<PackTorrent> {
    const info = this.#shared.has(infoHash) ? (await this.#c.store.signedManifest(goldenId))?.info : undefined
    if (info === undefined) throw new PlantError('USAGE', { name, pack: goldenId, problem: 'it takes pieces of a pack that is not shared here: fetch the golden machine of that id first' })
    return { goldenId, file: packName(goldenId), infoHash, bytes: pieces * PIECE_BYTES, torrent: this.#c.port.torrentOf(info) }
  }

  #chosen (name: string): Golden {
    const found = this.#c.warehouse.list().filter((golden) => golden.name === name || golden.goldenId === name)
    const [only, another] = found
    if (only === undefined) throw new PlantError('GOLDEN_UNKNOWN', { name })
    if (another !== undefined) throw new PlantError('USAGE', { name, problem: 'several have this name: say the id', found: found.map(({ goldenId }) => goldenId) })
    return only
  }

  /** One look at a time, and once more for what changed meanwhile. */
  #look (): void {
    if (this.#stopped) return
    if (this.#looking !== undefined) {
      this.#lookAgain = true
      return
    }
    this.#looking = this.#reconcile().catch((error: unknown) => {
      this.#c.log.warn({ error: String(error) }, 'what is on the shelf could not be shared by plain BitTorrent')
    }).finally(() => {
      this.#looking = undefined
      if (!this.#lookAgain) return
      this.#lookAgain = false
      this.#look()
    })
  }

  async #reconcile (): Promise<void> {
    const packs = new Map(this.#c.store.packs().map((pack) => [pack.infoHash, pack]))
    const wanted = new Map<string, { pack: Pack, goldenId: GoldenId }>()
    for (const { goldenId, publishedBy } of this.#c.warehouse.list()) {
      if (publishedBy !== undefined) continue
      const own = (await this.#c.store.manifestOf(goldenId))?.packs[0]
      const pack = own === undefined || own.pieces === 0 ? undefined : packs.get(own.infoHash)
      if (pack !== undefined) wanted.set(pack.infoHash, { pack, goldenId })
    }
    for (const [infoHash, cancel] of this.#shared) {
      if (wanted.has(infoHash)) continue
      cancel()
      this.#shared.delete(infoHash)
    }
    for (const [infoHash, { pack, goldenId }] of wanted) {
      if (this.#shared.has(infoHash) || this.#stopped || !isWhole(pack)) continue
      const info = (await this.#c.store.signedManifest(goldenId))?.info
      if (info !== undefined) this.#shared.set(infoHash, await this.#c.port.share(pack, info))
    }
  }
}

function isWhole (pack: Pack): boolean {
  for (let piece = 0; piece < pack.count; piece++) if (!pack.has(piece)) return false
  return true
}
