/** How well plants know each other: samples of their views, and when they agree again after a fault. */
import type { FaultResult, ViewSample } from '../scenario/index.ts'
import type { SimPlant } from './plant.ts'
import type { World } from './world.ts'

/** Plants whose views are looked at in one sample; in a greater mesh a sample of so many, drawn anew each time. */
const LOOKED_AT_MAX = 32

/** A fault whose aftermath is watched: from when it is over. */
interface Watched { result: FaultResult, fromMs: number, overMs: number, goneLookedAt: boolean }

/** Samples views, and watches them come together after faults. */
export class Views {
  readonly samples: ViewSample[] = []
  readonly #world: World
  readonly #watched = new Set<Watched>()

  constructor (world: World) { this.#world = world }

  /** Agreement is measured from when the fault is over (never, when that is Infinity), forgetting from when it struck, where it took plants away. */
  watch (result: FaultResult, overMs: number, goneLookedAt: boolean): void { this.#watched.add({ result, fromMs: result.atMs, overMs, goneLookedAt }) }

  sample (): void {
    const world = this.#world
    const up = world.plants.filter((plant) => plant.node !== undefined)
    const looking = up.length <= LOOKED_AT_MAX ? up : world.random.fork('views', world.timeline.handled).shuffled(up).slice(0, LOOKED_AT_MAX)
    const peers = new Set(up.map(({ peer }) => peer))
    let least = 1
    let shares = 0
    let ages = 0
    let entries = 0
    let gone = 0
    for (const plant of looking) {
      const seen = viewOf(plant)
      let found = 0
      for (const { peer, ageMs } of seen) {
        if (peers.has(peer)) found++
        else gone++
        ages += ageMs
        entries++
      }
      const share = up.length <= 1 ? 1 : found / (up.length - 1)
      shares += share
      least = Math.min(least, share)
    }
    const atMs = world.timeline.nowMs
    this.samples.push({
      atMs, up: up.length,
      machines: world.plants.reduce((sum, { host }) => sum + host.inUse().machines, 0),
      viewShare: looking.length === 0 ? 0 : shares / looking.length,
      viewShareLeast: looking.length === 0 ? 0 : least,
      viewAgeMs: entries === 0 ? 0 : ages / entries,
      messages: world.messages
    })
    for (const watched of this.#watched) this.#look(watched, atMs, least === 1 && looking.length > 0, gone === 0)
  }

  #look (watched: Watched, atMs: number, agreed: boolean, forgotten: boolean): void {
    const { result, fromMs, overMs, goneLookedAt } = watched
    if (goneLookedAt && forgotten && atMs > fromMs) result.forgottenAfterMs ??= atMs - fromMs
    if (agreed && atMs > overMs) result.agreedAfterMs ??= atMs - overMs
    if ((result.agreedAfterMs !== undefined || overMs === Infinity) && (result.forgottenAfterMs !== undefined || !goneLookedAt)) this.#watched.delete(watched)
  }
}

/** The others that a plant has in view, with the age of what it knows. */
export function viewOf (plant: SimPlant): Array<{ peer: SimPlant['peer'], ageMs: number }> {
  return (plant.node?.shop.plants() ?? []).filter(({ self }) => !self).map(({ plant: peer, ageMs }) => ({ peer, ageMs }))
}
