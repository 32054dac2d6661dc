/** A topology as the orders of its machines. */
import type { Order, OrderNetwork, Route } from '../order.ts'
import { allotAddresses } from './allot.ts'
import { routesOf } from './routes.ts'
import type { Topology, TopologyCard, TopologyMachine } from './topology.ts'

/** The label by which the machines of a topology are told from others. */
export const TOPOLOGY_LABEL = 'topology'

/** One order a machine, as they stand in the document. The topology's meaning must have been checked. */
export function ordersOf (topology: Topology): Order[] {
  const { apiVersion, domain, metadata, networks, machines } = topology
  const addresses = allotAddresses(networks, machines)
  const routes = routesOf({ ...topology, addresses })
  const networkOf = (card: TopologyCard, router: boolean, index: number): OrderNetwork => {
    const network = networks.find(({ name }) => name === card.name)
    const prefix = network?.subnet?.split('/')[1]
    const allotted = addresses.get(card.name)?.get(index)
    const address = allotted === undefined || prefix === undefined ? card.address : `${allotted}/${prefix}`
    const ways: Route[] = routes[index]?.get(card.name) ?? []
    return {
      name: card.name,
      ...(address !== undefined && { address }),
      ...(network?.proxy !== undefined && { proxy: network.proxy }),
      addressing: network?.addressing ?? 'mesh',
      ...(router && { router }),
      ...(ways.length > 0 && { routes: ways })
    }
  }
  return machines.map((machine: TopologyMachine, index) => {
    const { hardware, software, requirements, rank, router } = machine
    const cards = machine.networks.map((card) => networkOf(card, router, index))
    return {
      apiVersion, kind: 'Machine', domain, hardware, software, requirements,
      metadata: { name: machine.metadata.name, labels: { [TOPOLOGY_LABEL]: metadata.name, ...metadata.labels, ...machine.metadata.labels } },
      ...(cards.length > 0 && { networks: cards }),
      ...(rank !== undefined && { rank })
    }
  })
}
