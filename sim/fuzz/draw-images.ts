/** Golden machines of the mesh in a drawn case: who has what at first, how fast lines are, who lies about pieces, what owners publish and remove. */
import type { RandomStream } from '../kernel/index.ts'
import type { ListSource } from '../scenario/index.ts'
import { SWARM_LIES, type Lie } from '../world/liar.ts'

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
}

/** The share of cases where plants have not all golden machines: such a case takes some three times as long as another. */
const IMAGES_SHARE = 0.25
const PUBLISHED_SHARE = 0.3
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
  const liars = random.chance(0.6) ? [{ plant: random.pick(plants) as string, lie: random.pick(SWARM_LIES) as Lie }] : []
  return { bytesPerMs: random.pick(LINES) as number, shelves, liars }
}

/** Owners publish what they ordered, and order of it again; orders for that are added at the end. */
export function drawPublications (random: RandomStream, source: ListSource, untilMs: number): Publication[] {
  if (!random.chance(PUBLISHED_SHARE)) return []
  const asked = source.orders.length
  const published = Array.from({ length: 1 + random.int(2) }, (_, at): Publication => {
    const order = random.int(asked)
    const atMs = Math.min(untilMs - ORDERED_AFTER_MS, (source.orders[order]?.atMs ?? 0) + 2_000 + random.int(20_000))
    // Two of one name now and then.
    return { order, atMs, name: `made-${random.chance(0.3) ? 1 : at + 1}`, ...(random.chance(0.4) && { removeAfterMs: 5_000 + random.int(40_000) }) }
  })
  for (const { order, atMs, name } of published) {
    const first = source.orders[order]
    if (first === undefined || random.chance(0.3)) continue
    const machine = { ...source.machine, ...first.machine, os: name, actions: [] }
    source.orders.push({ atMs: Math.min(untilMs, atMs + ORDERED_AFTER_MS + random.int(10_000)), machine, ...(random.chance(0.5) && { holdMs: 2_000 + random.int(20_000) }) })
  }
  return published
}
