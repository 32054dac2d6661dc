/** Several networks and the machines on them, routers among them, in one document (README.md). */
import type { Order } from '../order.ts'

export interface Topology {
  apiVersion: 'plantmesh/v1'
  kind: 'Topology'
  /** The name is the label `topology` of its machines. */
  metadata: { name: string, labels: Record<string, string> }
  domain: string
  networks: TopologyNetwork[]
  machines: TopologyMachine[]
  /** Beyond its own networks: what is reached through one of its routers. */
  routes: TopologyRoute[]
}

export interface TopologyNetwork {
  name: string
  /** `192.168.7.0/24`: its machines get addresses in it, and routers lead to it. Without one the mesh gives addresses. */
  subnet?: string
  addressing: 'mesh' | 'external'
  /** The multiaddr of the client's own end. */
  proxy?: string
}

/** An order, but for what the topology says. Its name is its own in the topology. */
export interface TopologyMachine extends Omit<Order, 'apiVersion' | 'kind' | 'domain' | 'network' | 'networks' | 'metadata'> {
  metadata: { name: string, labels: Record<string, string> }
  /** A router of all networks that it is on. */
  router: boolean
  networks: TopologyCard[]
}

/** A machine on one of the networks. */
export interface TopologyCard {
  name: string
  /** In the network's subnet; without one the next that is free. */
  address?: string
}

/** `to` (a subnet; `0.0.0.0/0` is all else) is reached through the router `via`, a machine of the topology. */
export interface TopologyRoute { to: string, via: string }
