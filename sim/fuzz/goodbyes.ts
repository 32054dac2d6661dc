/**
 * Whom a plant may leave out of the registrars: one that said goodbye to it and that it has not seen since. Nobody else: plants that were not told count all. Listens to what
 * plants say to each other (`overhear.ts`), and asks a plant whether it has the other in view, which the views' own checker (`adverts.ts`) holds to the truth.
 */
import type { PeerId } from '../../protocols/kit/index.ts'
import type { World } from '../world/world.ts'

/** BYE_MS by a clock that is five in a hundred slow, and the looks of both sides: until then either may be. */
const OPEN_MS = 39_000

/** Two rounds of questions, and the pause between: they go to those who were counted when they began. */
const ASKED_MS = 5_000

interface Goodbye { to: PeerId, by: PeerId, atMs: number, seenMs: number }

/** The goodbyes of one run that may still count. */
export class Goodbyes {
  readonly #said = new Map<string, Goodbye>()

  /** `by` begins to say goodbye to `to`, or has its answer. */
  onSaid (by: PeerId, to: PeerId, nowMs: number): void { this.#said.set(`${by}/${to}`, { by, to, atMs: nowMs, seenMs: Infinity }) }

  /** After every event: who was seen again. */
  look (world: World): void {
    const { nowMs } = world.timeline
    for (const [key, bye] of this.#said) {
      const { readyMs = Infinity } = world.at(bye.by) ?? {}
      const isSeen = bye.seenMs === Infinity && readyMs > bye.atMs && world.at(bye.to)?.node?.shop.plants().some(({ plant, ageMs }) => plant === bye.by && nowMs - ageMs > readyMs) === true
      if (isSeen) bye.seenMs = nowMs
      if (nowMs > Math.max(bye.atMs + OPEN_MS, bye.seenMs + ASKED_MS)) this.#said.delete(key)
    }
  }

  /** Whom this plant may count or not. */
  openAt (to: PeerId): PeerId[] { return [...this.#said.values()].filter((bye) => bye.to === to).map(({ by }) => by) }
}
