/** The paper's prototype (VMPlants 4.1): the plant with the most host memory left for clones wins. */
import type { CostModel } from './model.ts'

export interface MemoryCostInit {
  /** A plant with this much left costs nothing. 16 TiB: more than any host has, so that the order of plants is that of their free memory. */
  ceilingMiB?: number
}

/** The paper's prototype (VMPlants 4.1): the more of the memory is taken, the dearer. */
export function memoryCost (init: MemoryCostInit = {}): CostModel {
  const ceilingMiB = init.ceilingMiB ?? 2 ** 24
  return {
    name: 'memory',
    everyMachineOnNetwork: false,
    price ({ capacity, used }) {
      const freeMiB = Math.max(0, capacity.memoryMiB - used.memoryMiB)
      return [{ item: 'memory', cost: Math.max(0, ceilingMiB - freeMiB), why: `${freeMiB} of ${capacity.memoryMiB} MiB are free` }]
    }
  }
}
