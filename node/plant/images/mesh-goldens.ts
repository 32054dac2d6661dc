/**
 * The mesh's golden machines as one plant uses them: what it has is told and served, what others have is found, planned with and fetched.
 */
import { Lifetime, asPlantError, type Cancel, type Clock, type GoldenId, type Log, type PeerId } from '../../../protocols/kit/index.ts'
import { PIECE_BYTES, holdingOf, piecesOf, type HeldImage, type Holding, type Manifest, type MeshImages } from '../../../protocols/image/index.ts'
import type { Golden } from '../../../protocols/order/golden.ts'
import type { Order } from '../../../protocols/order/order.ts'
import type { ImageStore } from '../../../storage/warehouse/image-store.ts'
import type { Warehouse } from '../../../storage/warehouse/warehouse.ts'
import type { Choice } from '../eligible.ts'
import { BootOrders } from './boot-orders.ts'
import { ImageFetcher, type ImageProgress } from './fetcher.ts'
import { LateDisks, type LateDiskParts } from './late-disks.ts'
import { MeshShelf, type Sought } from './mesh-shelf.ts'
import { missingByHoldings } from './missing-bytes.ts'
import type { ImageSwarm } from './pack-fetches.ts'

export interface MeshGoldensComponents {
  clock: Clock
  log: Log
  isa: string
  warehouse: Pick<Warehouse, 'list' | 'onChange' | 'verified' | 'remove'>
  store: ImageStore
  swarm: ImageSwarm
  mesh: MeshImages
  freeDiskBytes: () => number | undefined
  learn: (bytesPerMs: number) => void
  /** Absent: machines start only from what has come whole. */
  lateDisk?: LateDiskParts
  /** A golden machine of others is about to come here. */
  onBegin?: (goldenId: GoldenId) => void
  /** What else is told of what is here; asked at each telling. */
  telling?: () => HoldingsTelling | undefined
}

/** What the life cycle knows of golden machines here, for others to hear. */
export interface HoldingsTelling {
  /** Uses an hour. */
  uses (goldenId: GoldenId): number
  /** What this plant does not give up, as things are now. */
  kept (): (golden: Golden) => boolean
  roomBytes (): number
}

/** A golden machine of the mesh, for people. */
export interface MeshGolden {
  goldenId: GoldenId
  name: string
  os: string
  /** Who says to have it; this plant too. */
  plants: PeerId[]
  ownBytes: number
  totalBytes: number
  /** What of it is not here; 0 when it is on this plant's shelf. */
  missingBytes: number
}

export interface MeshGoldens {
  /** Tells, serves and listens from now on. */
  start (): Promise<void>
  stop (): Promise<void>
  /** Whether anybody says to have something that answers to this family, name or id. */
  has (os: string): boolean
  /** Whether this plant has just started: the mesh may have more than it knows of. */
  isYoung (): boolean
  /** Whether the name is that of a family that an administrator's golden machine somewhere has. */
  isFamily (name: string): boolean
  /** What others have for an order. Throws the signal's reason only. */
  choices (order: Order, sought: Sought, signal: AbortSignal): Promise<Choice[]>
  /** As `MeshImages` has them. */
  held (os?: string): HeldImage[]
  told (peer: PeerId): { more: boolean, roomMiB: number } | undefined
  keptBy (peers: readonly PeerId[], goldenId: GoldenId, signal: AbortSignal): Promise<PeerId[]>
  describe (goldenIds: readonly GoldenId[], signal: AbortSignal): Promise<Golden[]>
  /** The choice again, with its manifest opened; undefined when nobody has a sound one. Throws the signal's reason only. */
  confirmed (choice: Choice, signal: AbortSignal): Promise<Choice | undefined>
  /** Whether the disk has room for so much more. */
  hasRoom (bytes: number): boolean
  /** Resolves with the golden machine on the shelf; see ImageFetcher. */
  fetch (goldenId: GoldenId, onProgress: (progress: ImageProgress) => void, signal: AbortSignal): Promise<Golden>
  /** As `fetch`, giving way to it; see ImageFetcher. */
  fetchAhead (goldenId: GoldenId, signal: AbortSignal): Promise<Golden>
  /** Bytes of its own pack, of what is on the shelf; undefined until it was told, or where it is not offered. */
  ownBytes (goldenId: GoldenId): number | undefined
  /** Of those that are not on the shelf, the ones that have begun to come. */
  incoming (): GoldenId[]
  /** Tells what is here with its uses as they are now; at once only what has changed much. */
  tell (): void
  /** Machines that start before all has come; absent where there are none. */
  readonly late: LateDisks | undefined
  /** A machine was made from it. */
  used (goldenId: GoldenId): void
  /** What the mesh has, this plant's own that are offered included. */
  list (): MeshGolden[]
  /** The golden machine elsewhere that a name or id means, for a fetch by hand; the newest that was described, of several. */
  find (name: string, signal: AbortSignal): Promise<Golden[]>
}

/** Connections stand within a second or two of a start, and neighbours are asked at once and again after 5 s. */
const YOUNG_MS = 8_000

/** The mesh's golden machines over these components. */
export function meshGoldens (components: MeshGoldensComponents): MeshGoldens {
  return new MeshGoldensService(components)
}

class MeshGoldensService implements MeshGoldens {
  readonly #c: MeshGoldensComponents
  readonly #shelf: MeshShelf
  readonly #fetcher: ImageFetcher
  readonly late: LateDisks | undefined
  readonly #lifetime = new Lifetime()
  readonly #served = new Map<string, Cancel>()
  readonly #sizes = new Map<GoldenId, { ownBytes: number, totalBytes: number }>()
  readonly #usedMs = new Map<GoldenId, number>()
  #telling: Promise<void> | undefined
  #tellAgain = false
  #youngUntilMs = -Infinity

  constructor (components: MeshGoldensComponents) {
    this.#c = components
    const { lateDisk: parts } = components
    const orders = parts && new BootOrders({ ...components, parts, signal: this.#lifetime.signal })
    this.#shelf = new MeshShelf({ ...components, ...(orders && { orders }) })
    this.#fetcher = new ImageFetcher(components)
    this.late = parts && orders && new LateDisks({ ...components, fetcher: this.#fetcher, parts, orders })
  }

  async start (): Promise<void> {
    const { swarm, mesh, store, warehouse, clock } = this.#c
    this.#youngUntilMs = clock.monotonicMs() + YOUNG_MS
    this.#lifetime.own(async () => swarm.stop())
    await swarm.start()
    this.#lifetime.own(async () => mesh.stop())
    await mesh.start()
    this.#lifetime.own(swarm.onWrong((wrong) => { this.#c.log.warn({ ...wrong }, 'a plant sent a wrong piece and is not asked again') }))
    this.#lifetime.own(store.onPacks(() => { this.#serve() }))
    this.#lifetime.own(warehouse.onChange(() => { this.#tell() }))
    this.#serve()
    this.#tell()
  }

  async stop (): Promise<void> {
    await this.late?.stop()
    this.#fetcher.stop()
    await this.#lifetime.end()
    await this.#telling
  }

  has (os: string): boolean { return this.#shelf.has(os) }

  isYoung (): boolean { return this.#c.clock.monotonicMs() < this.#youngUntilMs }

  isFamily (name: string): boolean {
    return this.#c.mesh.held(name).some(({ said }) => [...said.values()].some(({ os, domainKey }) => os === name && domainKey === undefined))
  }

  async choices (order: Order, sought: Sought, signal: AbortSignal): Promise<Choice[]> { return this.#shelf.choices(order, sought, signal) }

  held (os?: string): HeldImage[] { return this.#c.mesh.held(os) }

  async describe (goldenIds: readonly GoldenId[], signal: AbortSignal): Promise<Golden[]> { return this.#c.mesh.describe(goldenIds, signal) }

  async confirmed (choice: Choice, signal: AbortSignal): Promise<Choice | undefined> { return this.#shelf.confirmed(choice, signal) }

  hasRoom (bytes: number): boolean { return this.#fetcher.hasRoom(bytes) }

  async fetch (goldenId: GoldenId, onProgress: (progress: ImageProgress) => void, signal: AbortSignal): Promise<Golden> {
    return this.#fetcher.fetch(goldenId, onProgress, AbortSignal.any([signal, this.#lifetime.signal]))
  }

  told (peer: PeerId): { more: boolean, roomMiB: number } | undefined { return this.#c.mesh.told(peer) }

  async keptBy (peers: readonly PeerId[], goldenId: GoldenId, signal: AbortSignal): Promise<PeerId[]> { return this.#c.mesh.keptBy(peers, goldenId, signal) }

  async fetchAhead (goldenId: GoldenId, signal: AbortSignal): Promise<Golden> {
    return this.#fetcher.fetchAhead(goldenId, AbortSignal.any([signal, this.#lifetime.signal]))
  }

  ownBytes (goldenId: GoldenId): number | undefined { return this.#sizes.get(goldenId)?.ownBytes }

  incoming (): GoldenId[] { return this.#c.store.incoming().map(({ goldenId }) => goldenId) }

  tell (): void { this.#tell() }

  used (goldenId: GoldenId): void { this.#usedMs.set(goldenId, this.#c.clock.nowMs()) }

  list (): MeshGolden[] {
    const here = new Set(this.#c.warehouse.list().map(({ goldenId }) => goldenId))
    return this.#c.mesh.held().map(({ goldenId, said }) => {
      const [first] = said.values()
      return {
        goldenId, name: first?.name ?? '', os: first?.os ?? '', plants: [...said.keys()], ownBytes: first?.ownBytes ?? 0, totalBytes: first?.totalBytes ?? 0,
        missingBytes: here.has(goldenId) ? 0 : this.#missing(goldenId, said, here)
      }
    })
  }

  async find (name: string, signal: AbortSignal): Promise<Golden[]> {
    const { mesh } = this.#c
    if (mesh.held(name).length === 0) await mesh.search(name, signal)
    const described = await mesh.describe(mesh.held(name).map(({ goldenId }) => goldenId).slice(0, FOUND_BY_NAME_MAX), signal)
    return described.filter((golden) => golden.goldenId === name || golden.name === name)
  }

  /** Of one that is on its way, exactly; of one that is only told of, as far as that goes. */
  #missing (goldenId: GoldenId, said: HeldImage['said'], here: ReadonlySet<GoldenId>): number {
    const { store, mesh } = this.#c
    const begun = store.incoming().find((one) => one.goldenId === goldenId)
    if (begun !== undefined) return begun.missing() * PIECE_BYTES
    const known = mesh.knownManifest(goldenId)
    if (known !== undefined) return this.#shelf.missingBytes(known.manifest.golden)
    const [first] = said.values()
    if (first === undefined) return 0
    const told = { goldenId, ...(first.base !== undefined && { from: first.base }), files: [{ name: 'all', bytes: first.totalBytes }] }
    return missingByHoldings(told, { isHere: (id) => here.has(id), held: (id) => mesh.held(id).find((one) => one.goldenId === id) })
  }

  /** Every pack of which there is something here is served to whoever asks. */
  #serve (): void {
    const packs = new Map(this.#c.store.packs().map((pack) => [pack.infoHash, pack]))
    for (const [infoHash, stop] of this.#served) {
      if (packs.has(infoHash)) continue
      stop()
      this.#served.delete(infoHash)
    }
    for (const [infoHash, pack] of packs) if (!this.#served.has(infoHash)) this.#served.set(infoHash, this.#c.swarm.serve(pack))
  }

  /** Tells what is on the shelf; one telling at a time, and once more for what changed meanwhile. */
  #tell (): void {
    if (this.#telling !== undefined) {
      this.#tellAgain = true
      return
    }
    this.#telling = this.#holdings().then((holdings) => { if (!this.#lifetime.ended) this.#c.mesh.setOwn(holdings, Math.floor((this.#c.telling?.()?.roomBytes() ?? 0) / 2 ** 20)) }).catch((error: unknown) => {
      this.#c.log.warn({ code: asPlantError(error).code, error: String(error) }, 'what is on the shelf could not be told to the others')
    }).finally(() => {
      this.#telling = undefined
      if (!this.#tellAgain || this.#lifetime.ended) return
      this.#tellAgain = false
      this.#tell()
    })
  }

  /** Those that can be offered: with a manifest that is signed. */
  async #holdings (): Promise<Holding[]> {
    const shelf = this.#c.warehouse.list()
    const ids = new Set(shelf.map(({ goldenId }) => goldenId))
    for (const known of [this.#sizes, this.#usedMs]) for (const id of known.keys()) if (!ids.has(id)) known.delete(id)
    const holdings: Holding[] = []
    const telling = this.#c.telling?.()
    const isKept = telling?.kept()
    for (const golden of shelf) {
      const sizes = this.#sizes.get(golden.goldenId) ?? sizesOf(await this.#c.store.manifestOf(golden.goldenId))
      if (sizes === undefined) continue
      this.#sizes.set(golden.goldenId, sizes)
      holdings.push(holdingOf(golden, {
        ...sizes,
        ...(golden.publisher !== undefined && { publisher: golden.publisher }),
        usedS: Math.floor((this.#usedMs.get(golden.goldenId) ?? golden.createdAtMs) / 1_000),
        ...(telling !== undefined && { uses: Math.round(telling.uses(golden.goldenId)), kept: isKept?.(golden) ?? false })
      }))
    }
    return holdings
  }
}

/** Golden machines of one name that are described for a fetch by hand. */
const FOUND_BY_NAME_MAX = 64

function sizesOf (manifest: Manifest | undefined): { ownBytes: number, totalBytes: number } | undefined {
  return manifest && { ownBytes: (manifest.packs[0]?.pieces ?? 0) * PIECE_BYTES, totalBytes: piecesOf(manifest) * PIECE_BYTES }
}
