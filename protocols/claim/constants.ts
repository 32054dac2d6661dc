/** Bounds and times of the claim protocol; each is named in README.md. */
import type { StreamLimits } from '../kit/index.ts'

/** Protocol id of claims. */
export const CLAIM_PROTOCOL = '/plantmesh/claim/1.0.0'

/** Registrars of a VMID: three stand one failure, and two answers decide. */
export const REGISTRARS = 3
/** A plant that fell silent is still counted a registrar for so long: after that a cut is taken for a departure. */
export const RECENT_MS = 10 * 60_000
/**
 * A plant that said goodbye and falls out of view within this has gone: what it said before keeps it in view no longer (ADVERT_LIFE_MS of `capacity`). One that leaves
 * later has been back meanwhile, and may be beyond a cut.
 */
export const BYE_MS = 35_000
/** How late it may be looked whether it is. */
export const BYE_LOOK_MS = 1_000
/** How often a plant notes who is in view when nothing else has it do so; one that has just started does each YOUNG_QUIET_MS. */
export const KNOWN_LOOK_MS = 5_000
/** A change of the known plants is written down no sooner after the last one: in a big mesh somebody always comes or goes. */
export const KNOWN_SAVED_MS = 500
/** Plants remembered; the view of the mesh is bounded well below. */
export const KNOWN_PLANTS_MAX = 16_384

/**
 * A plant that has just started does not know the mesh yet, and would take itself for the only registrar: for so long after its start it waits until
 * it knows another plant and nothing has changed for YOUNG_QUIET_MS. Five seconds is what joining takes at most.
 */
export const YOUNG_MS = 5_000
export const YOUNG_QUIET_MS = 500
export const YOUNG_LOOK_MS = 50

/** Neighbours that tell a plant which has just started whom they miss; more only say the same. */
export const INTRODUCERS_MAX = 8
/** Questions to them in all: a neighbour of an older version never answers. */
export const INTRODUCTION_TRIES_MAX = 32
/** Plants in one answer to that: 256 of 150 bytes at most are 38 KiB. */
export const MISSED_BATCH_MAX = 256
/** Plants that this plant knows only because others miss them stop being taken in here: a neighbour that makes plants up leaves room for those in view. */
export const INTRODUCED_SIZE_MAX = KNOWN_PLANTS_MAX / 2

/** A claim lapses when its shop has not renewed it for so long: three renewals may be lost. */
export const CLAIM_TTL_MS = 10_000
export const CLAIM_RENEW_MS = 3_000
/** How long a registrar or a holder may take to answer. */
export const ANSWER_TIMEOUT_MS = 2_000
/** Once a majority has granted, how long the others may still say that the machine exists. */
export const GRACE_MS = 100
/** Between rounds of a claim that was not granted: doubling, times a random factor of 0.5 to 1.5, so that two shops come apart. */
export const BACKOFF_MIN_MS = 20
export const BACKOFF_MAX_MS = 1_000
/** Rounds in which too few registrars answer before the mesh is taken to be cut. */
export const CUT_ROUNDS = 2
/** The pause before the second of them. */
export const CUT_PAUSE_MS = 250

/** Holders tell their registrars so often what they hold, and look so often whether anything is due. */
export const REFRESH_MS = 30_000
export const REFRESH_LOOK_MS = 5_000
/** After a change (a new neighbour, a machine confirmed or collected) it is looked so soon: one batch for what comes together. */
export const REFRESH_SOON_MS = 100
/** Machines in one `hold` message: 256 of about 130 bytes are 33 KiB. */
export const HOLD_BATCH_MAX = 256
/** Machines one plant holds, and collected ones it still has to tell of. */
export const HOLDINGS_MAX = 4_096
export const GONE_MAX = 4_096

/** What a registrar keeps: in all, of one peer, and collected machines of one peer. An entry has about 400 bytes. */
export const ENTRIES_MAX = 65_536
export const ENTRIES_PER_PEER_MAX = 8_192
export const COLLECTED_PER_PEER_MAX = 4_096
/** How long a collected machine is remembered, and one whose holder has fallen silent: a day, within which its plant comes back or is given up. */
export const COLLECTED_KEPT_MS = 24 * 3_600_000
export const HELD_SILENT_MS = 24 * 3_600_000

/** Questions under way at once, and waiting. */
export const ASKS_AT_ONCE_MAX = 64
export const ASKS_WAITING_MAX = 16_384
/** Messages on one stream; a client opens another for more. */
export const MESSAGES_PER_STREAM_MAX = 64
/** Neighbours that are told when a plant stops. */
export const BYES_MAX = 64

/** Bounds of a stream of CLAIM_PROTOCOL. */
export const CLAIM_LIMITS: StreamLimits = { messageBytesMax: 64 * 1024, idleTimeoutMs: ANSWER_TIMEOUT_MS, inboundMax: 1_024, inboundPerPeerMax: 128 }
