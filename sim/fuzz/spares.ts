/** Machines that were made before they were ordered: nobody's, and no more of them than their plant wants. */
import type { HostMachine } from '../world/host/host.ts'
import type { SimPlant } from '../world/plant.ts'
import { problem, type Checker, type Problem, type Seen } from './seen.ts'

/** A plant looks every five seconds whether spares are wanted; one that is being made may take a minute to give up. */
const UNWANTED_MS_MAX = 75_000
/** Events between two looks here. */
const LOOK_EVERY = 256

/** Machines of a host of which no record speaks. */
export function unrecorded ({ host }: SimPlant): HostMachine[] { return [...host.machines.values()].filter(({ vmId }) => !host.records.machines.has(vmId)) }

/**
 * In peace a host has the spares that its plant counts and no other machine without a record, within the memory for them; and at no time are spares kept for long where no more orders are
 * expected. (One too many stays while another order is.)
 */
export function sparesWanted (budgetMiB: number): Checker {
  const name = 'spares'
  const unwantedSince = new Map<string, number>()
  const check = (seen: Seen): Problem[] => seen.world.plants.flatMap((plant) => {
    const { host, node } = plant
    if (node === undefined) return []
    const here = unrecorded(plant)
    const memoryMiB = here.reduce((sum, one) => sum + one.memoryMiB, 0)
    const views = [...host.shelf.keys()].flatMap((goldenId) => node.spares?.view(goldenId) ?? [])
    const counted = views.reduce((sum, { ready, making }) => sum + ready + making, 0)
    return [
      ...(here.length > counted ? [problem(name, seen, `${host.name} has ${here.length} machines without a record, and its plant knows of ${counted} spares`, here[0]?.vmId)] : []),
      ...(memoryMiB > budgetMiB ? [problem(name, seen, `${host.name} has spares of ${memoryMiB} MiB, and ${budgetMiB} are for them`)] : []),
    ]
  })
  return {
    name,
    afterEvent (seen) {
      const { plants, timeline } = seen.world
      if (budgetMiB === 0 || timeline.handled % LOOK_EVERY !== 0) return undefined
      for (const { host, node, life } of plants) {
        for (const goldenId of host.shelf.keys()) {
          const key = `${host.name}/${life?.incarnation}/${goldenId}`
          const view = node?.spares?.view(goldenId)
          if (view === undefined || view.target > 0 || view.ready + view.making === 0 || timeline.nowUs < (life?.stillUntilUs ?? 0)) {
            unwantedSince.delete(key)
            continue
          }
          const sinceMs = unwantedSince.get(key) ?? timeline.nowMs
          unwantedSince.set(key, sinceMs)
          if (timeline.nowMs - sinceMs > UNWANTED_MS_MAX) return problem(name, seen, `${host.name} keeps ${view.ready + view.making} spares of a golden machine of which no more orders are expected`)
        }
      }
      return undefined
    },
    atRest: check,
    atEnd: check
  }
}
