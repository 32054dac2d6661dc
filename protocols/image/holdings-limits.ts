/** Names, bounds and times of what plants say of the golden machines they hold (README.md, "Holdings"). */
import type { StreamLimits } from '../kit/index.ts'

/** Gossip of what plants hold. */
export const HOLDINGS_TOPIC = 'image'
/** What is signed begins with this, so that the signature means nothing elsewhere. */
export const HOLDINGS_CONTEXT = 'plantmesh/holdings/1'

/**
 * How often a plant tells what it holds when nothing changes. A plant that joins asks its neighbours, so this only mends what gossip lost: twelve
 * plants with five golden machines each, every message heard three times, come to 12 x 3 x 1 KB / 600 s = 0.5 kbit/s.
 */
export const HOLDINGS_EVERY_MS = 600_000
/** Each period is drawn anew within this share of it, up and down. */
export const HOLDINGS_JITTER_SHARE = 0.1
/** Changes within this time go out as one. */
export const HOLDINGS_DEBOUNCE_MS = 1_000
/** Three tellings at 1.1 x 10 min, all lost. */
export const HOLDINGS_LIFE_MS = 3 * 660_000
/** Tellings of its own that a plant sends at once, and then one in so long. */
export const OWN_HOLDINGS_BURST = 6
export const OWN_HOLDINGS_EVERY_MS = 10_000
/** Twice what a plant may send, as hops bunch messages. */
export const HOLDER_BURST = 2 * OWN_HOLDINGS_BURST
export const HOLDER_EVERY_MS = OWN_HOLDINGS_EVERY_MS / 2

/**
 * How often a plant asks one of its neighbours for what it was not told itself: gossip that is lost is mended within a minute or two. A summary each half minute is
 * 0.15 kbit/s a plant.
 */
export const EXCHANGED_EVERY_MS = 30_000
export const EXCHANGED_JITTER_SHARE = 0.25
/** Buckets of plants in the summary that is compared: of 16,384 plants one that differs has 128 handed on in vain. */
export const SUMMARY_BUCKETS = 128
export const SUMMARY_BUCKET_BYTES = 4
export const SUMMARY_BYTES = SUMMARY_BUCKETS * SUMMARY_BUCKET_BYTES

/** The longest message that is sent or taken. */
export const HOLDINGS_BYTES_MAX = 24 * 1024
/** Golden machines that one message lists, the most recently used; with more it says so (`more`), and the directory has the rest. */
export const HOLDINGS_LISTED_MAX = 64
/** Actions of which a message tells the digests' beginnings; a golden machine with more is listed without and found by its description. */
export const HOLDING_ACTIONS_MAX = 512
export const HOLDING_TEXT_CHARS_MAX = 128

/** Plants whose holdings are kept, as many as a view of the mesh has. */
export const HOLDERS_MAX = 16_384
/** Pairs of plant and golden machine that are kept; one is about 500 bytes. */
export const HOLDINGS_KEPT_MAX = 131_072
/** Authors whose rate is remembered. */
export const HOLDER_RATES_MAX = 2 * HOLDERS_MAX

/** What neighbours were told, descriptions, and what a plant holds of one name. */
export const HOLDINGS_PROTOCOL = '/plantmesh/holdings/1.0.0'
/** A part of what is handed on is closed above this; one more message still fits. */
export const HOLDINGS_PART_BYTES = 64 * 1024
/** The longest description that is handed over here; a longer one comes with its manifest. */
export const DESCRIPTION_SENT_BYTES_MAX = 512 * 1024
/** Keys and values in it, for the same reason: 500 actions come to 4,500. An order has sixteen described, each taken apart at some 4 us an item while all else waits. */
export const DESCRIPTION_SENT_ITEMS_MAX = 2 ** 14
export const HOLDINGS_LIMITS: StreamLimits = { messageBytesMax: DESCRIPTION_SENT_BYTES_MAX + 1_024, idleTimeoutMs: 5_000, inboundMax: 64, inboundPerPeerMax: 4 }
/** Descriptions that one ask may name. */
export const DESCRIBE_AT_ONCE_MAX = 16
/** How long the holders of a golden machine may take to describe it: well within the time that bids are taken. */
export const DESCRIBE_TIMEOUT_MS = 700
/** Holders that are asked for one description, one after the other. */
export const DESCRIBE_TRIES_MAX = 3
/** A peer is handed the whole at most so often. */
export const HANDED_ON_EVERY_MS = 1_000
/** A new neighbour is asked at once, and again when its first gossip may have been lost: its subscription can arrive after the connection. */
export const NEIGHBOUR_ASKED_MS: readonly number[] = [0, 5_000]
export const NEIGHBOURS_ASKED_AT_ONCE_MAX = 4
export const NEIGHBOURS_WAITING_MAX = 128

/** Descriptions and manifests of golden machines elsewhere that are kept, by their bytes. */
export const DESCRIPTIONS_BYTES_MAX = 32 * 2 ** 20
export const MANIFESTS_BYTES_MAX = 160 * 2 ** 20
/** Golden machines whose manifest was found unsound, with who sent it: not asked for again there. */
export const UNSOUND_KEPT_MAX = 1_024

/** Holders that are asked in which order machines read, all at once, and how long they may take: nobody waits that long for it. */
export const TRACE_ASKED_MAX = 4
export const TRACE_TIMEOUT_MS = 2_000

/** Plants that the directory is asked for, for a name and for a golden machine. */
export const DIRECTORY_HOLDERS_MAX = 16
/** The directory is asked again for the same only after this. */
export const SEARCH_EVERY_MS = 30_000
export const SEARCH_TIMEOUT_MS = 600
export const SEARCHES_KEPT_MAX = 1_024
/** What was found through the directory beyond what is gossiped. */
export const FOUND_KEPT_MAX = 4_096
export const FOUND_HOLDERS_MAX = 512
export const FOUND_OF_PLANT_MAX = 256

/** How long a plant keeps what it has promised to keep: whoever asked has given up its own, or has given that up, well before. */
export const KEPT_MS = 60_000
/** How long plants may take to promise, and how many are asked: of what is to have more copies none is given up. */
export const KEPT_TIMEOUT_MS = 5_000
export const KEPT_ASKED_MAX = 256
