/** What a client asks for, after validation and with all defaults filled in (VMPlants 3.1; CONTRACT.md, Orders). */

export type RunsWhere = 'guest' | 'host'
export type ChannelKind = 'agent' | 'iso'

/** A node of the configuration DAG. */
export interface Action {
  id: string
  /** Ids of the actions that must have been done before. */
  after: string[]
  run: RunsWhere
  /** Guest: run by `sh` as root. */
  script?: string
  /** Guest: become environment variables. */
  parameters: Record<string, string>
  /** Guest: path and text, placed before the script runs. */
  files: Record<string, string>
  /** Host: name of a built-in of the plant. */
  use?: string
  /** Host: its arguments. */
  with?: Record<string, string>
  timeoutMs: number
  onError?: ErrorGraph
}

/** The client's own error-handling sub-graph of an action. */
export interface ErrorGraph {
  actions: Action[]
  then: 'continue' | 'fail'
}

/** One of its domain's networks that the machine has a card on. */
export interface OrderNetwork {
  name: string
  /** One of its own, `10.1.2.3` or `192.168.7.10/24`; without it one is allotted. */
  address?: string
  /** The multiaddr of the client's own end. */
  proxy?: string
  addressing: 'mesh' | 'external'
  /** The machine may pass on packets of other addresses. */
  router?: boolean
  /** The machine may connect to the world outside, where its plant allows it. */
  egress?: boolean
  /** Ways to what is not on this network; the guest is told by DHCP. */
  routes?: Route[]
}

/** `to` (`10.2.0.0/16`; `0.0.0.0/0`: all else) is reached through the router that has the address `via` on the network. */
export interface Route { to: string, via: string }

export interface Order {
  apiVersion: 'plantmesh/v1'
  kind: 'Machine'
  metadata: { name?: string, labels: Record<string, string> }
  domain: string
  /** isa may be absent in the document; then it is the host's (of the plant that bids). */
  hardware: { isa?: string, cpus: number, memoryMiB: number, diskMiB: number }
  /** The one network that it is on; or else `networks`, of which the first is that of the card that every machine has. */
  network?: OrderNetwork
  networks?: OrderNetwork[]
  software: { os: string, channel: ChannelKind, actions: Action[] }
  /** ClassAd text over the plant's ad. */
  requirements: string
  rank?: string
}

/** All networks that a machine is to be on, in the order of its cards; none for a machine without. */
export function networksOf (order: Pick<Order, 'network' | 'networks'>): readonly OrderNetwork[] {
  return order.networks ?? (order.network === undefined ? [] : [order.network])
}
