/** Golden machines of the mesh in a drawn case: who has what at first, how fast lines are, who lies about pieces, what owners publish and remove. */
import type { RandomStream } from '../kernel/index.ts'
import type { ListSource } from '../scenario/index.ts'
import type { LifePolicy } from '../../storage/templates/life-policy.ts'
import { START_WALL_MS } from '../world/clock.ts'
import { SWARM_LIES, type Lie } from '../world/liar.ts'
import type { World } from '../world/world.ts'

/** An owner publishes its machine. */
export interface Publication {
  /** Index of the order whose machine it is. */
  order: number
  atMs: number
  name: string
  /** So long after it was published its owner wants it removed; undefined: it stays. */
  removeAfterMs?: number
}

/** What a case has where plants fetch golden machines of each other. */
export interface DrawnImages {
  /** Each plant's line, up and down. */
  bytesPerMs: number
  /** By plant, the golden machines on its shelf at first. */
  shelves: Map<string, string[]>
  /** Plants that lie about pieces from the start. */
  liars: Array<{ plant: string, lie: Lie }>
  /** How copies are taken and given up, soon enough to be seen; what is on shelves at first are copies then. Undefined: as the daemon does by itself. */
  life?: Partial<LifePolicy>
}

/** The share of cases where plants have not all golden machines: such a case takes some three times as long as another. */
const IMAGES_SHARE = 0.25
/** Of those, the share in which copies are taken and given up so soon that it is seen. */
const LIFE_SHARE = 0.6
const PUBLISHED_SHARE = 0.4
/** 100 Mbit/s, 400 Mbit/s, 1.6 Gbit/s. */
const LINES = [12_500, 50_000, 200_000]
/** Whoever orders what was published does so when it has had time to be told. */
const ORDERED_AFTER_MS = 8_000

/** Undefined: every plant has every golden machine, and none is fetched. `plants`: those with the least room first. */
export function drawImages (random: RandomStream, plants: readonly string[], goldens: readonly string[]): DrawnImages | undefined {
  if (!random.chance(IMAGES_SHARE)) return undefined
  const shelves = new Map(plants.map((name): [string, string[]] => [name, []]))
  for (const golden of goldens) {
    // Mostly one or two have it, and those have the least room: others must fetch it.
    const few = random.chance(0.7)
    const holders = few ? plants.slice(0, 1 + random.int(2)) : random.shuffled(plants).slice(0, 1 + random.int(plants.length))
    for (const name of holders) shelves.get(name)?.push(golden)
  }
  const liars = random.chance(0.9) ? [{ plant: random.pick(plants) as string, lie: random.pick(SWARM_LIES) as Lie }] : []
  return { bytesPerMs: random.pick(LINES) as number, shelves, liars, ...(random.fork('life').chance(LIFE_SHARE) && { life: drawLife(random.fork('policy')) }) }
}

/** Hold-offs of 3 to 10 s, three looks a second to one. */
function drawLife (random: RandomStream): Partial<LifePolicy> {
  return { coolDownMs: random.pick([36_000, 48_000, 120_000]) as number, copiesMin: 1 + random.int(3), usesPerCopy: random.pick([1, 2, 4]) as number, ...(random.chance(0.15) && { copyBytesMax: 0 }) }
}

/** One copy of what is used little is enough: of two one goes while orders come. */
export const GIVEN_UP: Partial<LifePolicy> = { coolDownMs: 24_000, copiesMin: 1, usesPerCopy: 8 }

/** What lies on shelves at first counts as copies that came when the world began: any of them may be given up. */
export function shelvesAreCopies ({ plants }: World): void {
  for (const { host } of plants) for (const goldenId of host.shelf.keys()) host.records.copies.set(goldenId, { goldenId, atMs: START_WALL_MS })
}

/** Owners publish what they ordered, and order of it again; orders for that are added at the end. */
export function drawPublications (random: RandomStream, source: ListSource, untilMs: number): Publication[] {
  if (!random.chance(PUBLISHED_SHARE)) return []
  const asked = source.orders.length
  const published = Array.from({ length: 1 + random.int(2) }, (_, at): Publication => {
    const order = random.int(asked)
    const atMs = Math.min(untilMs - ORDERED_AFTER_MS, (source.orders[order]?.atMs ?? 0) + 2_000 + random.int(20_000))
    // Two of one name now and then.
    return { order, atMs, name: `made-${random.chance(0.3) ? 1 : at + 1}`, ...(random.chance(0.6) && { removeAfterMs: 5_000 + random.int(40_000) }) }
  })
  for (const { order, atMs, name } of published) {
    const first = source.orders[order]
    if (first === undefined || random.chance(0.3)) continue
    const machine = { ...source.machine, ...first.machine, os: name, actions: [] }
    source.orders.push({ atMs: Math.min(untilMs, atMs + ORDERED_AFTER_MS + random.int(10_000)), machine, ...(random.chance(0.5) && { holdMs: 2_000 + random.int(20_000) }) })
  }
  return published
}
