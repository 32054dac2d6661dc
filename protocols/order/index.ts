/**
 * The language of orders: what a client may ask for (VMPlants 3.1), its YAML, JSON and XML forms, the configuration DAG, digests, and the
 * tests by which golden machines match. Pure; the spec is README.md. ClassAd expressions have their own face, `classad.ts`.
 */
export * from './order.ts'
export * from './golden.ts'
export { ACTIONS_MAX, ERROR_DEPTH_MAX, FILE_BYTES_MAX } from './constants.ts'
export { checkOrder } from './check.ts'
export { orderInvalid, type Problem } from './problems.ts'
export { formatOrders, formatTopology, parseFile, parseOrders, tooLarge, ORDER_FORMATS, type OrderDocument, type OrderFile, type OrderFormat } from './forms/index.ts'
export { cycles, readyNodes, topologicalOrder, transitivePredecessors, type GraphNode } from './graph.ts'
export { examineTopology, TOPOLOGY_LABEL, type Topology, type TopologyCard, type TopologyMachine, type TopologyNetwork, type TopologyRoute } from './topology/index.ts'
export { actionDigest, orderDigest, orderSecret, topologyDigest } from './digest.ts'
export { vmIdOf, type VmIdSource } from './vmid.ts'
export { ATTACH_DISK, ATTACHED_MIB_ALLOWED, attachedDisks, attachedMiB, diskMiBOf } from './attached-disks.ts'
export { DROPPED_TOLD_MAX, isOutputName, Outputs, RESERVED_OUTPUT_NAMES, type DroppedOutputs } from './outputs.ts'
export { matchActions, orderGraph, type Match, type MatchClause, type OrderGraph } from './matching.ts'
export { digestPrefixes, QuickMatcher, type QuickVerdict } from './quick-match.ts'
