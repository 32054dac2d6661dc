/** Topologies: several networks and the machines on them in one document, and the orders that it stands for. Pure; the spec is README.md. */
export type { Topology, TopologyCard, TopologyMachine, TopologyNetwork, TopologyRoute } from './topology.ts'
export { examineTopology, isTopology } from './check.ts'
export { TOPOLOGY_LABEL } from './orders.ts'
