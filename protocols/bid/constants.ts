/** Bounds and times of the bid and award protocols; each is named in README.md. */
import type { StreamLimits } from '../kit/index.ts'

/** Protocol id of calls for bids. */
export const BID_PROTOCOL = '/plantmesh/bid/1.0.0'
/** Protocol id of awards, and of what became of them. */
export const AWARD_PROTOCOL = '/plantmesh/award/1.0.0'

/** A signed order: the document of at most 1 MiB and its envelope. */
export const SIGNED_ORDER_BYTES_MAX = 1_150_000

/** Hand-overs that an award brings, and the bytes of each (`protocols/member`). */
export { HAND_OVERS_MAX, HAND_OVER_BYTES_MAX } from '../member/constants.ts'

/** A call or an award: the signed order, hand-overs and a few short fields. */
export const ASK_BYTES_MAX = 1_200_000

/** An answer: ITEMS_MAX items or REASONS_MAX reasons of a few short texts each, with room to spare. */
export const ANSWER_BYTES_MAX = 128 * 1024

/** Items of a bid. The built-in cost models use at most five. */
export const ITEMS_MAX = 32

/** Reasons of a refusal: every clause of long requirements, and every capacity. */
export const REASONS_MAX = 32

/** Ways to mend one reason, and changes of each: as many as explanations of requirements have. */
export const ALTERNATIVES_MAX = 8
export const ALTERNATIVE_CHANGES_MAX = 8

/** A short text in a message: a name, a code, an id. */
export const NAME_CHARS_MAX = 256

/** A clause, or a sentence that says why. */
export const TEXT_CHARS_MAX = 1_024

/** How many plants a shop asks (issue 2, line 4). */
export const CANDIDATES_MAX = 16

/** How long a shop takes bids. It stops earlier when all have answered. */
export const DEADLINE_MS = 1_500

/** With no bid at the deadline, the first one until then is taken: a busy mesh is slow, not unwilling. Three deadlines. */
export const LAST_DEADLINE_MS = 4_500

/** How long a bid stands: the last deadline, and one award that times out and is settled before it. */
export const BID_TTL_MS = 15_000

/** How long a shop waits for the answer to an award: the plant writes it durably first. */
export const AWARD_TIMEOUT_MS = 5_000

/** How long a shop waits to hear what became of an award that went unanswered. */
export const SETTLE_TIMEOUT_MS = 2_000

/** Cancels of an award of unknown fate: 0.5 s doubling to 32 s, ten tries, is about two minutes: longer than an unstarted lease lives. */
export const CANCEL_TRIES_MAX = 10
export const CANCEL_FIRST_PAUSE_MS = 500
export const CANCEL_PAUSE_MS_MAX = 32_000

/** Cancels that are being repeated at once; above, the oldest is given up (its lease expires, the claim of the VMID decides). */
export const LOOSE_MAX = 64

/** Standing bids of one peer and of all; an entry is well under 1 KiB. */
export const BIDS_PER_PEER_MAX = 512
export const BIDS_MAX = 4_096

/** Granted awards that are remembered, so that one repeated or asked after gets the same answer. */
export const GRANTS_KEPT_MAX = 1_024

/** Calls and awards that are read and judged at once, from one peer and from all: 64 orders of 1.2 MB are 77 MB. */
export const READ_PER_PEER_MAX = 8
export const READ_MAX = 64

/** Calls of one peer, and of all, that wait unread; above, the answer is LIMIT. */
export const WAITING_PER_PEER_MAX = 256
export const WAITING_MAX = 1_024

/** How long a peer may take over sending its message. */
export const ASK_IDLE_TIMEOUT_MS = 5_000

/** How long a plant may take over judging a call or granting an award. */
export const JUDGE_TIMEOUT_MS = 10_000

/** What a broker takes off a shop's times for its own round trip and handling: a busy gateway answers within this. */
export const BROKER_MARGIN_MS = 200

/** How long a broker waits for the plant that it passed an award, or a question about one, on to: the shop waits 1 s and 0.5 s longer. */
export const BROKER_AWARD_TIMEOUT_MS = AWARD_TIMEOUT_MS - 1_000
export const BROKER_SETTLE_TIMEOUT_MS = SETTLE_TIMEOUT_MS - 500

/** Plants that a broker passes a call on to. */
export const BROKER_PLANTS_MAX = 16

/** Calls of one peer, and of all, whose bids a broker remembers; each holds a bid of at most every plant of the site, some 1 KiB each: 16 MiB. */
export const BROKERED_PER_PEER_MAX = 256
export const BROKERED_MAX = 1_024

/** Bids that an auction takes in place of refused ones: as many as one site has. */
export const INSTEAD_MAX = BROKER_PLANTS_MAX

/** Plants that a shop asks brokers to leave out: as many as may give an order back. */
export const WITHOUT_MAX = 16

/** A broker that started so recently may have passed on awards that it does not remember: longer than shops repeat a cancel, and an award's times. */
export const BROKER_YOUNG_MS = 180_000

/** Bounds of a stream of BID_PROTOCOL. */
export const BID_LIMITS: StreamLimits = {
  messageBytesMax: ASK_BYTES_MAX,
  idleTimeoutMs: ASK_IDLE_TIMEOUT_MS,
  // More than may wait and be read, so that a peer above its share is told LIMIT rather than reset.
  inboundMax: 1_280,
  inboundPerPeerMax: 320
}

/** Bounds of a stream of AWARD_PROTOCOL. */
export const AWARD_LIMITS: StreamLimits = BID_LIMITS
