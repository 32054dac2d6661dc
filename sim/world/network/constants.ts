/**
 * The bounds and times of the real mesh's drivers that the model keeps (`node/drivers/mesh-limits.ts`; a test compares the two), and those of TCP
 * and libp2p that it stands for.
 */

/** As in `mesh-limits.ts`. */
export const NEIGHBOURS_WANTED = 8
export const CONNECTIONS_MAX = 300
export const STREAMS_PER_CONNECTION_MAX = 512
export const OPEN_TIMEOUT_MS = 10_000
export const STREAM_WINDOW_BYTES_MAX = 1024 * 1024
export const MESSAGE_BYTES_PER_S_MIN = 64 * 1024
export const MESSAGE_BASE_MS = 5_000
export const SEND_MARK_BYTES = 256 * 1024
export const REDIAL_FIRST_MS = 500
export const REDIAL_MS_MAX = 15_000
export const REDIALS_MAX = 8
export const REDIAL_PEERS_MAX = 64
export const LOOK_FIRST_MS = 150
export const LOOK_MS_MAX = 30_000
export const DIRECTORY_KEY_CHARS_MAX = 256
export const DIRECTORY_VALUE_BYTES_MAX = 16 * 1024
export const DIRECTORY_HELD_MAX = 16_384
export const DIRECTORY_TIMEOUT_MS = 5_000
export const REPROVIDE_MS = 5 * 60_000
export const REPROVIDE_LIVES = 3
export const STORE_ENTRIES_MAX = 50_000

/** yamux header, our own length, TLS record. */
export const FRAME_OVERHEAD_BYTES = 12 + 4 + 22
/** TCP's payload on Ethernet with time stamps (RFC 9293, RFC 7323). */
export const SEGMENT_BYTES = 1_448
/** Linux's least and greatest time before a segment is sent again. */
export const RTO_MS_MIN = 200
export const RTO_MS_MAX = 120_000
/** A segment that is lost so often in a row is taken for a broken connection. */
export const LOSSES_IN_A_ROW_MAX = 6
/** TCP, TLS 1.3 (or noise), yamux and our greeting by identify: round trips until a connection is a neighbour's. */
export const DIAL_ROUND_TRIPS = 4
/** Processor time of the handshakes, both sides together (`mesh-limits.ts`, NEIGHBOURS_WANTED). */
export const DIAL_WORK_MS = 40
/** When Linux sends a SYN again that nobody answered. */
export const SYN_AGAIN_MS: readonly number[] = [1_000, 3_000, 7_000]
/** libp2p's connection monitor pings every 10 s and gives up after 10 s: a dead peer is noticed between the two. */
export const SILENCE_MS_MIN = 10_000
export const SILENCE_MS_MAX = 20_000

/** Gossip: at most so many neighbours get a message at once (Dhi), the others hear of it at their next heartbeat. */
export const GOSSIP_DEGREE = 6
export const GOSSIP_HEARTBEAT_MS = 1_000
/** How long message ids are remembered (gossipsub's seenTTL). */
export const GOSSIP_SEEN_MS = 120_000
/** A new neighbour's subscriptions are known after so many round trips. */
export const SUBSCRIPTION_ROUND_TRIPS = 2

/** Kademlia's k, and how many peers a lookup asks at once. */
export const DIRECTORY_K = 20
export const DIRECTORY_ALPHA = 3
