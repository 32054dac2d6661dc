/** What a plant keeps while nothing is asked of it. Reads what plants say they have under way: the invariant is about that. */
import type { SimPlant } from '../world/plant.ts'
import { problem, type Checker, type Problem, type Seen } from './seen.ts'

/**
 * What a plant has planned at its quietest: the look at its host, the monitor of its machines, the looks at holdings, the wake of its view, the round of the
 * directory, the grants that are put anew, the exchange of marks, the look at known plants, and a dial for each plant that it joins by. Machines need none.
 */
const TIMERS = 8
/** Where plants fetch golden machines of each other: the next telling of what it holds, the next question to a neighbour about that, and the next look at templates. */
const IMAGE_TIMERS = 3
/** While a copy comes ahead of use: its batches, and what gives it up when it takes too long. */
const COPY_TIMERS = 3
/** Where spares are made: the next look at them. */
const SPARE_TIMERS = 1
/** For each network that its machines are on: the look for members, the check of their proofs and the switch's next wake. */
const NETWORK_TIMERS = 3
/** For each other member: the next word that the tunnel is alive, and how long its silence is borne. */
const MEMBER_TIMERS = 2

function isCopying ({ life }: SimPlant, { world }: Seen): boolean { return life !== undefined && (world.swarms?.under(life).length ?? 0) > 0 }

function networkTimers ({ node }: SimPlant): number {
  return (node?.networks?.list() ?? []).reduce((sum, { members }) => sum + NETWORK_TIMERS + MEMBER_TIMERS * members.filter(({ state }) => state === 'up').length, 0)
}

/** In peace a plant has its periodic work planned and nothing else, and its books of what is under way are empty. */
export function peaceful (): Checker {
  const name = 'peace'
  const check = (seen: Seen): Problem[] => seen.world.plants.flatMap((plant) => {
    const { node } = plant
    if (node === undefined) return []
    const timers = seen.lulls.of(plant.name)
    const most = TIMERS + plant.bootstraps + (plant.imageDisk === undefined ? 0 : IMAGE_TIMERS) + (node.spares === undefined ? 0 : SPARE_TIMERS) + (isCopying(plant, seen) ? COPY_TIMERS : 0) + networkTimers(plant)
    return [
      ...(timers > most ? [problem(name, seen, `${plant.name} has ${timers} timers in peace at least, and ${most} are what it needs`)] : []),
      ...Object.entries(node.underWay()).filter(([, count]) => count > 0).map(([what, count]) => problem(name, seen, `${plant.name} has ${count} ${what} in peace`))
    ]
  })
  return { name, atRest: check, atEnd: check }
}
