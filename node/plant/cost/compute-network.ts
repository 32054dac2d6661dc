/** The paper's cost function (VMPlants 3.4): compute cycles for what runs here, and once for a domain's host-only network. */
import type { CostModel } from './model.ts'

export interface ComputeNetworkCostInit {
  /** For each machine that is on the plant; the paper's 4. */
  computePerMachine?: number
  /** Once for a domain that has no network here yet; the paper's 50. */
  networkOnce?: number
}

/** The paper's cost function (VMPlants 3.4): 4 times the machines here, and 50 once for a domain that needs a new network. */
export function computeNetworkCost (init: ComputeNetworkCostInit = {}): CostModel {
  const perMachine = init.computePerMachine ?? 4
  const networkOnce = init.networkOnce ?? 50
  return {
    name: 'compute+network',
    everyMachineOnNetwork: true,
    price ({ need, used, domainHasNetwork }) {
      const fresh = need.network && !domainHasNetwork
      const why = fresh ? 'the domain gets a host-only network of the plant' : need.network ? 'the domain has a host-only network here' : 'no network is needed'
      return [
        { item: 'compute', cost: perMachine * used.machines, why: `${perMachine} for each of ${used.machines} machines here` },
        { item: 'network', cost: fresh ? networkOnce : 0, why }
      ]
    }
  }
}
