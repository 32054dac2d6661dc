/** The plants of a scenario, one by one, in the order in which they are numbered everywhere. */
import type { PlantGroup } from './plants.ts'

export interface PlantSpec {
  /** Unique: `node-3`, or the group's name alone where it has one plant. */
  name: string
  /** From 0, over all groups. */
  index: number
  group: PlantGroup
}

/** Every plant, group by group. For `mode: cores`; a million of them are better counted (`plantCount`). */
export function * plantsOf ({ plants }: { plants: readonly PlantGroup[] }): Generator<PlantSpec> {
  let index = 0
  for (const group of plants) {
    for (let i = 1; i <= group.count; i++) yield { name: group.count === 1 ? group.name : `${group.name}-${i}`, index: index++, group }
  }
}

/** How many plants there are. */
export function plantCount ({ plants }: { plants: readonly PlantGroup[] }): number {
  return plants.reduce((sum, { count }) => sum + count, 0)
}
