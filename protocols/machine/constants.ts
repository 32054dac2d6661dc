/** Bounds of the machine protocol; each is named in README.md. */
import type { StreamLimits } from '../kit/index.ts'

/** Protocol id of calls on machines. */
export const MACHINE_PROTOCOL = '/plantmesh/machine/1.0.0'

/** A signed order of 1 MiB, plus its envelope. */
export const MACHINE_MESSAGE_BYTES_MAX = 1_200_000

/** Machines in one `machines` message: half a frame, so that one more of the largest still fits. */
export const LIST_BATCH_BYTES_MAX = 600_000

/** Stations of one network that are told of: about 200 bytes each. */
export const STATIONS_TOLD_MAX = 2_048

/** A piece of output or input in one message. */
export const PIECE_BYTES_MAX = 64 * 1024

/** How long an order may be in the making before a follower gives up: the longest chain of 10-minute actions is the order's own affair. */
export const FOLLOW_IDLE_TIMEOUT_MS = 120_000

/** How often a plant that has nothing to tell says so, to keep a follower's idle timer from firing. */
export const FOLLOW_HEARTBEAT_MS = 20_000

/** A console at which nothing is typed for so long is closed: half a day, someone who went home. */
export const CONSOLE_IDLE_TIMEOUT_MS = 12 * 3_600_000

/** Bounds of a stream of MACHINE_PROTOCOL. */
export const MACHINE_LIMITS: StreamLimits = {
  messageBytesMax: MACHINE_MESSAGE_BYTES_MAX,
  idleTimeoutMs: FOLLOW_IDLE_TIMEOUT_MS,
  // A client that starts some hundred machines follows each on a stream of its own.
  inboundMax: 1_000,
  inboundPerPeerMax: 500
}
