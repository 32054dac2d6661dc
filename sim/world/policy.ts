/** A scenario's policy as the daemon takes it. */
import { costModel } from '../../node/plant/cost/index.ts'
import { PlantError, type PeerId } from '../../protocols/kit/index.ts'
import type { PlantNodeInit } from '../../node/composition/plant-node.ts'
import type { Policy, PolicyModule } from '../scenario/index.ts'

/** Throws CONFIG_INVALID for a policy that asks for a file's cost model and has none. */
export function policyOf (policy: Policy, file: PolicyModule | undefined, nameOf: (peer: PeerId) => string): Pick<PlantNodeInit, 'costModel' | 'bidding' | 'candidatesMax'> {
  const { computePerMachine, networkOnce, ceilingMiB, k, bidDeadlineMs, lastBidDeadlineMs } = policy
  const choose = file?.choose
  return {
    costModel: policy.costModel === 'file'
      ? file?.costModel ?? missing()
      : costModel(policy.costModel, { ...(computePerMachine !== undefined && { computePerMachine }), ...(networkOnce !== undefined && { networkOnce }), ...(ceilingMiB !== undefined && { ceilingMiB }) }),
    candidatesMax: k,
    bidding: {
      deadlineMs: bidDeadlineMs,
      lastDeadlineMs: lastBidDeadlineMs,
      ...(choose !== undefined && {
        choose: (bids, random) => choose(bids.map(({ plant, total, items, rank }) => ({ plant: nameOf(plant), total, items, ...(rank !== undefined && { rank }) })), random)
      })
    }
  }
}

function missing (): never {
  throw new PlantError('CONFIG_INVALID', { field: 'policy.costModel', found: 'file', allowed: 'a policy file that exports costModel' })
}
