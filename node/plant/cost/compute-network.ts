/** The paper's cost function (VMPlants 3.4): compute cycles for what runs here, and once for each network that is new here. */
import type { CostModel } from './model.ts'

export interface ComputeNetworkCostInit {
  /** For each machine that is on the plant; the paper's 4. */
  computePerMachine?: number
  /** Once for each network that has no machine here yet; the paper's 50. */
  networkOnce?: number
}

/** The paper's cost function (VMPlants 3.4): 4 times the machines here, and 50 once for each network that has none here yet. */
export function computeNetworkCost (init: ComputeNetworkCostInit = {}): CostModel {
  const perMachine = init.computePerMachine ?? 4
  const networkOnce = init.networkOnce ?? 50
  return {
    name: 'compute+network',
    everyMachineOnNetwork: true,
    price ({ need, used, freshNetworks }) {
      const none = need.networks.length === 0 ? 'no network is needed' : 'machines of the network are here already'
      const why = freshNetworks > 0 ? `${networkOnce} for each network that has no machine here yet: ${freshNetworks}` : none
      return [
        { item: 'compute', cost: perMachine * used.machines, why: `${perMachine} for each of ${used.machines} machines here` },
        { item: 'network', cost: freshNetworks * networkOnce, why }
      ]
    }
  }
}
