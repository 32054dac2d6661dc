/** What the mesh says it holds, by golden machine and by the names that orders use. Pure and bounded; who says what is verified by the caller. */
import type { GoldenId, PeerId } from '../kit/index.ts'
import type { Holding } from './holdings.ts'
import { HOLDERS_MAX, HOLDINGS_KEPT_MAX } from './holdings-limits.ts'

/** One golden machine of the mesh and who holds it. */
export interface Held {
  goldenId: GoldenId
  /** As each holder tells of it. They should agree; only the description, which the id binds, is sure. */
  said: ReadonlyMap<PeerId, Holding>
}

export interface CatalogueInit { holdersMax?: number, keptMax?: number }

/** The catalogue: what each plant holds, found by id, name or family. */
export class Catalogue {
  readonly #holdersMax: number
  readonly #keptMax: number
  readonly #ofPeer = new Map<PeerId, { holdings: readonly Holding[], more: boolean, roomMiB: number }>()
  readonly #golden = new Map<GoldenId, Map<PeerId, Holding>>()
  /** How many say that a golden machine answers to a name. */
  readonly #byName = new Map<string, Map<GoldenId, number>>()
  #kept = 0

  constructor (init: CatalogueInit = {}) {
    this.#holdersMax = init.holdersMax ?? HOLDERS_MAX
    this.#keptMax = init.keptMax ?? HOLDINGS_KEPT_MAX
  }

  /** Pairs of plant and golden machine. */
  get size (): number { return this.#kept }

  /** What this plant holds from now on. False when there is no room: then nothing of it is kept. */
  set (peer: PeerId, holdings: readonly Holding[], more: boolean, roomMiB = 0): boolean {
    this.remove(peer)
    const distinct = [...new Map(holdings.map((one) => [one.goldenId, one])).values()]
    if (this.#ofPeer.size >= this.#holdersMax || this.#kept + distinct.length > this.#keptMax) return false
    this.#ofPeer.set(peer, { holdings: distinct, more, roomMiB })
    for (const holding of distinct) this.#add(peer, holding)
    return true
  }

  remove (peer: PeerId): void {
    const before = this.#ofPeer.get(peer)
    if (before === undefined) return
    this.#ofPeer.delete(peer)
    for (const holding of before.holdings) this.#drop(peer, holding)
  }

  /** What this plant holds, whether it holds more than it tells, and what it would still take ahead of use. */
  of (peer: PeerId): { holdings: readonly Holding[], more: boolean, roomMiB: number } | undefined { return this.#ofPeer.get(peer) }

  get (goldenId: GoldenId): Held | undefined {
    const said = this.#golden.get(goldenId)
    return said && { goldenId, said }
  }

  /** Golden machines that somebody says answer to this: a family, a name or an id. */
  * named (os: string): Generator<Held> {
    for (const goldenId of this.#byName.get(os)?.keys() ?? []) {
      const held = this.get(goldenId)
      if (held !== undefined) yield held
    }
    const byId = this.get(os as GoldenId)
    if (byId !== undefined) yield byId
  }

  /** All golden machines that are known of. */
  * all (): Generator<Held> {
    for (const [goldenId, said] of this.#golden) yield { goldenId, said }
  }

  #add (peer: PeerId, holding: Holding): void {
    this.#kept++
    const said = this.#golden.get(holding.goldenId)
    if (said === undefined) this.#golden.set(holding.goldenId, new Map([[peer, holding]]))
    else said.set(peer, holding)
    for (const name of namesOf(holding)) {
      const ids = this.#byName.get(name) ?? new Map<GoldenId, number>()
      this.#byName.set(name, ids.set(holding.goldenId, (ids.get(holding.goldenId) ?? 0) + 1))
    }
  }

  #drop (peer: PeerId, holding: Holding): void {
    this.#kept--
    const said = this.#golden.get(holding.goldenId)
    said?.delete(peer)
    if (said?.size === 0) this.#golden.delete(holding.goldenId)
    for (const name of namesOf(holding)) {
      const ids = this.#byName.get(name)
      const left = (ids?.get(holding.goldenId) ?? 0) - 1
      if (left > 0) ids?.set(holding.goldenId, left)
      else ids?.delete(holding.goldenId)
      if (ids?.size === 0) this.#byName.delete(name)
    }
  }
}

function namesOf ({ name, os }: Holding): string[] { return name === os ? [os] : [name, os] }
