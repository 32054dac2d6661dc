/**
 * Addresses of a tenant network (README.md): who gets which, so that none is given twice, and the gateway that every plant is for its own machines, which tells
 * them by DHCP and DNS. Pure: claims go through protocols/claim, frames in and out of the switch.
 */
import { ClaimedAddressing, type AddressingComponents, type MeshAddressing } from './addressing.ts'

export * from './constants.ts'
export * from './subnet.ts'
export { wantedAddress, type Placed } from './allot.ts'
export { NetworkGateway, type DnsForward, type GatewayCounters, type GatewayInit } from './gateway.ts'
export { domainOf } from './names.ts'
export type { AddressingComponents, LostAddress, MeshAddressing } from './addressing.ts'

/** Addresses over the given components. One for all networks of a plant. */
export function addressing (): (components: AddressingComponents) => MeshAddressing {
  return (components) => new ClaimedAddressing(components)
}
