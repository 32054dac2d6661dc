/** What the mesh has for an order besides what is here: found by what plants say, described, and with its manifest opened before a bid counts on it. */
import { PlantError, asPlantError, type Clock, type GoldenId, type KeyId, type Log } from '../../../protocols/kit/index.ts'
import { PIECE_BYTES, prefixesOfHolding, type HeldImage, type Holding, type Manifest, type MeshImages } from '../../../protocols/image/index.ts'
import { orderGraph } from '../../../protocols/order/matching.ts'
import { QuickMatcher } from '../../../protocols/order/quick-match.ts'
import type { Golden } from '../../../protocols/order/golden.ts'
import type { Order } from '../../../protocols/order/order.ts'
import type { ImageStore } from '../../../storage/warehouse/image-store.ts'
import type { Pack } from '../../../storage/warehouse/pack.ts'
import type { Warehouse } from '../../../storage/warehouse/warehouse.ts'
import type { Choice } from '../eligible.ts'
import { orAborted } from '../or-aborted.ts'
import type { BootOrders } from './boot-orders.ts'
import type { LateDiskParts } from './late-disks.ts'
import { missingByHoldings, missingByManifest, missingToStart } from './missing-bytes.ts'

export interface MeshShelfComponents {
  clock: Clock
  log: Log
  mesh: Pick<MeshImages, 'held' | 'search' | 'describe' | 'manifest' | 'knownManifest'>
  store: Pick<ImageStore, 'packs' | 'incoming'>
  warehouse: Pick<Warehouse, 'list'>
  isa: string
  /** Absent: machines start only from what has come whole. */
  lateDisk?: Pick<LateDiskParts, 'file' | 'boots'>
  /** With `lateDisk`. */
  orders?: Pick<BootOrders, 'ask' | 'told'>
}

/** Golden machines elsewhere that are described for one order. */
export const DESCRIBED_MAX = 16
/** How long a bid waits for a manifest; one that takes longer is bid for by what plants say of it. */
export const MANIFEST_WAIT_MS = 800

/** What an order is looked for by: names, families or ids that its `software.os` stands for, and the key that speaks for its domain. */
export interface Sought { names: readonly string[], domainKey: KeyId | undefined }

/** Of these names so many are looked for in the directory. */
const SEARCHED_MAX = 8

/** See the head of this file. */
export class MeshShelf {
  readonly #c: MeshShelfComponents
  /** Bids that need the same manifest wait for one. */
  readonly #opening = new Map<GoldenId, Promise<unknown>>()

  constructor (components: MeshShelfComponents) { this.#c = components }

  /** Whether anybody says to have something that answers to this. */
  has (os: string): boolean { return this.#c.mesh.held(os).length > 0 }

  /** Choices for an order, at most DESCRIBED_MAX: those that seem the least to fetch and to do. Throws the signal's reason only. */
  async choices (order: Order, sought: Sought, signal: AbortSignal): Promise<Choice[]> {
    const { mesh, warehouse } = this.#c
    const { names } = sought
    const here = new Map(warehouse.list().map((golden) => [golden.goldenId, golden]))
    const heldAll = (): HeldImage[] => [...new Map(names.flatMap((name) => mesh.held(name)).map((held) => [held.goldenId, held])).values()]
    const isHere = [...here.values()].some((golden) => names.includes(golden.os) || names.includes(golden.name) || names.includes(golden.goldenId))
    let held = heldAll()
    if (held.length === 0 && !isHere) {
      await Promise.all(names.slice(0, SEARCHED_MAX).map(async (name) => mesh.search(name, signal)))
      held = heldAll()
    }
    const hints = held.filter(({ goldenId }) => !here.has(goldenId)).flatMap((one) => {
      const hint = this.#hintOf(one, order, sought)
      return hint === undefined ? [] : [{ goldenId: one.goldenId, ...hint }]
    })
    // What is on its way is known by its manifest, whoever is in view.
    const begun = this.#c.store.incoming().map((one): Choice => ({ golden: one.manifest.golden, missingBytes: one.missing() * PIECE_BYTES }))
    if (hints.length === 0) return begun
    const graph = orderGraph(order.software.actions)
    const quick = new QuickMatcher(graph)
    const likely = hints.filter(({ holding, named }) => {
      const done = prefixesOfHolding(holding)
      return named || done === undefined || quick.test(done).verdict !== 'fails'
    })
    // Named ones first: whether several have the name must be known. Then the most done, then the smaller.
    likely.sort((a, b) => Number(b.named) - Number(a.named) || (b.holding.done?.length ?? 0) - (a.holding.done?.length ?? 0) || a.holding.totalBytes - b.holding.totalBytes || (a.goldenId < b.goldenId ? -1 : 1))
    const described = await mesh.describe(likely.slice(0, DESCRIBED_MAX).map(({ goldenId }) => goldenId), signal)
    const parts = this.#parts()
    return [...begun, ...described.filter(({ goldenId }) => !begun.some(({ golden }) => golden.goldenId === goldenId)).map((golden) => ({ golden, missingBytes: this.missingBytes(golden, parts) }))]
  }

  /** Opens the manifest of what a bid is to count on. Undefined: nobody has a sound one, so it is no choice. Throws the signal's reason only. */
  async confirmed (choice: Choice, signal: AbortSignal): Promise<Choice | undefined> {
    const { goldenId } = choice.golden
    const begun = this.#c.store.incoming().find((one) => one.goldenId === goldenId)
    if (begun !== undefined) return this.#startable(choice, begun.manifest, signal)
    void this.#c.orders?.ask(goldenId) // Comes while the manifest does.
    if (this.#c.mesh.knownManifest(goldenId) === undefined) {
      try {
        await orAborted(this.#open(goldenId), signal)
      } catch (error) {
        signal.throwIfAborted()
        const { code } = asPlantError(error)
        if (code === 'GOLDEN_UNKNOWN') {
          this.#c.log.info({ goldenId, ...asPlantError(error).details }, 'a golden machine of the mesh is passed over: nobody gives a sound manifest of it')
          return undefined
        }
        this.#c.log.debug({ goldenId, code }, 'a manifest is late: the bid goes by what plants say')
      }
    }
    return this.#startable({ golden: choice.golden, missingBytes: this.missingBytes(choice.golden) }, this.#c.mesh.knownManifest(goldenId)?.manifest, signal)
  }

  /** Bytes of it that are not here: exactly where its manifest is known, else by what plants say. Who asks for many gathers `parts` once. */
  missingBytes (golden: Golden, parts = this.#parts()): number {
    const { mesh } = this.#c
    const known = mesh.knownManifest(golden.goldenId)
    if (known !== undefined) return missingByManifest(known.manifest, parts.packs)
    return missingByHoldings(golden, { isHere: (id) => parts.here.has(id), held: (id) => mesh.held(id).find(({ goldenId }) => goldenId === id) })
  }

  /** What is here that others may be made of. */
  #parts (): { packs: ReadonlyMap<string, Pack>, here: ReadonlySet<GoldenId> } {
    const { store, warehouse } = this.#c
    return { packs: new Map(store.packs().map((pack) => [pack.infoHash, pack])), here: new Set(warehouse.list().map(({ goldenId }) => goldenId)) }
  }

  /** With what must come before a machine of it starts, where that is known and is less than all. */
  async #startable (choice: Choice, manifest: Manifest | undefined, signal: AbortSignal): Promise<Choice> {
    const { lateDisk, orders, store } = this.#c
    if (lateDisk === undefined || orders === undefined || manifest === undefined) return choice
    const runs = await orders.told(choice.golden.goldenId, signal)
    const startBytes = missingToStart(manifest, new Map(store.packs().map((pack) => [pack.infoHash, pack])), { name: lateDisk.file, runs })
    return startBytes === undefined ? choice : { ...choice, startBytes, boots: lateDisk.boots(choice.golden) }
  }

  #open (goldenId: GoldenId): Promise<unknown> {
    const under = this.#opening.get(goldenId)
    if (under !== undefined) return under
    const late = new AbortController()
    const cancel = this.#c.clock.after(MANIFEST_WAIT_MS, () => { late.abort(new PlantError('STREAM_TIMEOUT', { timeoutMs: MANIFEST_WAIT_MS })) })
    const opening = this.#c.mesh.manifest(goldenId, late.signal).finally(() => {
      cancel()
      this.#opening.delete(goldenId)
    })
    this.#opening.set(goldenId, opening)
    return opening
  }

  /** What is said of it that might fit; undefined when nobody says anything of the sort. */
  #hintOf ({ goldenId, said }: HeldImage, order: Order, { names, domainKey }: Sought): { holding: Holding, named: boolean } | undefined {
    const isa = order.hardware.isa ?? this.#c.isa
    for (const holding of said.values()) {
      if (holding.isa !== isa || holding.diskMiB > order.hardware.diskMiB) continue
      const named = names.includes(goldenId) || (names.includes(holding.name) && holding.name !== holding.os)
      const mine = holding.domainKey === undefined || (holding.domainKey === domainKey && holding.domain === order.domain)
      if (named || (names.includes(holding.os) && mine)) return { holding, named }
    }
    return undefined
  }
}
