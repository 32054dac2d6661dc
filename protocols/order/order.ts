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

export interface Order {
  apiVersion: 'plantmesh/v1'
  kind: 'Machine'
  metadata: { name?: string, labels: Record<string, string> }
  domain: string
  /** isa may be absent in the document; then it is the host's (of the plant that bids). */
  hardware: { isa?: string, cpus: number, memoryMiB: number, diskMiB: number }
  network?: { name: string, address?: string, proxy?: string, addressing: 'mesh' | 'external' }
  software: { os: string, channel: ChannelKind, actions: Action[] }
  /** ClassAd text over the plant's ad. */
  requirements: string
  rank?: string
}
