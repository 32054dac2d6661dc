/** What a policy file in TypeScript exports: its functions decide instead of the daemon's. They must be pure: the same inputs, the same answer. */
import type { CostModel } from '../../node/plant/cost/index.ts'
import type { Random } from '../../protocols/kit/index.ts'

/** A bid as a shop sees it when it chooses. */
export interface OfferSeen {
  /** The plant's name in the scenario. */
  plant: string
  total: number
  items: ReadonlyArray<{ item: string, cost: number }>
  /** The order's rank of that plant, when it has one. */
  rank?: number
}

/** What a policy file may export; whatever it leaves out is the daemon's own. */
export interface PolicyModule {
  /** Prices orders at each plant (`policy.costModel: file`). */
  costModel?: CostModel
  /** Picks the index of the offer to award, or undefined for none. Called by the shop, again when an award fails, without those that were tried. */
  choose?: (offers: readonly OfferSeen[], random: Random) => number | undefined
}
