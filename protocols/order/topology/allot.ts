/** The addresses of a topology's machines: those that are asked for, then routers', then the others', as they stand in the document. */
import type { TopologyMachine, TopologyNetwork } from './topology.ts'
import { addressNumber, addressText, contains, isMachines, subnetOf } from './subnet.ts'

/** What of a machine its addresses depend on. */
export type Placed = Pick<TopologyMachine, 'router' | 'networks'>

/**
 * Addresses by network, then by machine's index; none on networks without a subnet. A network that has not enough of them gives what it has: those without
 * one are not in the map.
 */
export function allotAddresses (networks: readonly TopologyNetwork[], machines: readonly Placed[]): Map<string, Map<number, string>> {
  return new Map(networks.flatMap((network) => network.subnet === undefined ? [] : [[network.name, allotIn(network.name, network.subnet, machines)]]))
}

function allotIn (network: string, text: string, machines: readonly Placed[]): Map<number, string> {
  const subnet = subnetOf(text)
  if (subnet === undefined) return new Map()
  const here = machines.flatMap(({ router, networks }, index) => networks.filter(({ name }) => name === network).map(({ address }) => ({ index, router, address })))
  const given = new Map(here.flatMap(({ index, address }) => address === undefined ? [] : [[index, address]]))
  const taken = new Set([...given.values()].map(addressNumber))
  let next = subnet.base
  for (const { index, address } of [...here.filter(({ router }) => router), ...here.filter(({ router }) => !router)]) {
    if (address !== undefined) continue
    while (contains(subnet, next) && (taken.has(next) || !isMachines(subnet, next))) next++
    if (!contains(subnet, next)) break
    given.set(index, addressText(next++))
  }
  return given
}
