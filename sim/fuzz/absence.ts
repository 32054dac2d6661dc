/** In peace one plant goes away for longer than an advert lives: all the others forget it in time, also one that starts meanwhile; once back it is seen again. */
import { usOf } from '../world/timeline.ts'
import type { Problem, Seen } from './seen.ts'
import { problem } from './seen.ts'

/** Who goes, how, and who starts anew meanwhile, asking the others for their view of the mesh. */
export interface Absence { plant: string, power: boolean, witness?: string }

/** When the witness starts anew: late in an advert's life, so that what is believed anew then outlives the next look. */
const WITNESS_MS = 20_000
/** An advert's life (35 s), a second until it is looked at, and ten for the last word to be heard. */
export const FORGOTTEN_MS = 46_000
/** A start, the connections, and adverts to all: on the worst of drawn links. */
export const BACK_MS = 20_000

/** Begins the absence; the plant is to be looked for after FORGOTTEN_MS. */
export function begin ({ world }: Seen, { plant, power, witness }: Absence): void {
  const gone = world.plant(plant)
  if (power) gone?.powerOff(false)
  else gone?.crash()
  world.tell('absence.began', plant)
  if (witness === undefined) return
  world.timeline.after(usOf(WITNESS_MS), () => {
    world.plant(witness)?.crash()
    world.plant(witness)?.start()
  })
}

/** Who still has the absent plant in view. */
export function remembered (seen: Seen, { plant }: Absence): Problem[] {
  const gone = seen.world.plant(plant)
  return seen.world.plants.filter(({ node }) => node?.shop.plants().some(({ plant: peer }) => peer === gone?.peer) === true)
    .map(({ name }) => problem('absence', seen, `${name} still has ${plant} in view, which has been down for ${FORGOTTEN_MS} ms`))
}

/** The plant is started again. */
export function end ({ world }: Seen, { plant }: Absence): void { world.plant(plant)?.start() }
