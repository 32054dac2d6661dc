/** Names, bounds and times of the capacity protocol (README.md). */

export const CAPACITY_TOPIC = 'capacity'
export const VIEW_PROTOCOL = '/plantmesh/capacity/1.0.0'
/** What is signed begins with this, so that the signature means nothing elsewhere. */
export const ADVERT_CONTEXT = 'plantmesh/capacity/1'

/** How often a plant adverts when nothing changes (issue 2, line 2). */
export const ADVERT_EVERY_MS = 10_000
/** Each period is drawn anew within this share of it, up and down: plants started together spread out. */
export const ADVERT_JITTER_SHARE = 0.1
/** Changes within this time go out as one; the promise is 200 ms. */
export const ADVERT_DEBOUNCE_MS = 100
/** Told again to a new neighbour at these times, as its subscription may arrive after the connection (one gossip heartbeat is 1 s). */
export const NEIGHBOUR_TOLD_AGAIN_MS: readonly number[] = [1_000, 3_000]
/** Three adverts at 1.1 x 10 s, all lost, and two seconds of spread. */
export const ADVERT_LIFE_MS = 35_000
export const OWN_ADVERTS_BURST = 20
export const OWN_ADVERTS_PER_S = 1

/** The longest advert that is sent or taken. */
export const ADVERT_BYTES_MAX = 8 * 1024
/** Golden machines that an advert lists; with more it says so (`goldenMore`). */
export const GOLDEN_LISTED_MAX = 32
/** The longest text in an advert. */
export const TEXT_CHARS_MAX = 128
/** Twice what a plant may send, as hops bunch messages. */
export const AUTHOR_BURST = 40
export const AUTHOR_PER_S = 2

/** Other plants that a view holds. */
export const VIEW_PLANTS_MAX = 16_384
/** Authors remembered beyond the view: their last (epoch, seq) and their rate. */
export const AUTHORS_MAX = 2 * VIEW_PLANTS_MAX

/** A part of a view is closed above this; one more advert and its wrapping still fit the message. */
export const VIEW_PART_BYTES = 64 * 1024
export const VIEW_MESSAGE_BYTES_MAX = 96 * 1024
export const VIEW_TIMEOUT_MS = 5_000
export const VIEW_STREAMS_MAX = 32
export const VIEW_STREAMS_PER_PEER_MAX = 2
export const VIEW_SERVED_EVERY_MS = 1_000
export const VIEW_ASKS_AT_ONCE_MAX = 4
export const VIEW_ASKS_WAITING_MAX = 64
/** Asked again after these times when the neighbour does not answer: it may still be starting. */
export const VIEW_ASK_AGAIN_MS: readonly number[] = [1_000, 2_000, 4_000]

/** The shop asks at most so many plants; of these a quarter are drawn at random, so that shops with the same view do not all ask the same. */
export const CANDIDATES_MAX = 16
export const CANDIDATES_RANDOM_SHARE = 0.25
