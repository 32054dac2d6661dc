/** Cost models by name: what a plant's configuration may say. */
import { PlantError } from '../../../protocols/kit/index.ts'
import { computeNetworkCost, type ComputeNetworkCostInit } from './compute-network.ts'
import { memoryCost, type MemoryCostInit } from './memory.ts'
import type { CostModel } from './model.ts'
import { timeToDoneCost } from './time-to-done.ts'

export * from './compute-network.ts'
export * from './learned.ts'
export * from './memory.ts'
export * from './model.ts'
export * from './time-to-done.ts'

/** Names of the cost models, the default first. */
export const COST_MODELS = ['time-to-done', 'compute+network', 'memory'] as const
export type CostModelName = typeof COST_MODELS[number]

/** The model of that name with its constants; throws CONFIG_INVALID for another name. */
export function costModel (name: string, init: ComputeNetworkCostInit & MemoryCostInit = {}): CostModel {
  switch (name) {
    case 'time-to-done': return timeToDoneCost()
    case 'compute+network': return computeNetworkCost(init)
    case 'memory': return memoryCost(init)
    default: throw new PlantError('CONFIG_INVALID', { field: 'costModel', found: name.slice(0, 64), allowed: COST_MODELS.join(', ') })
  }
}
