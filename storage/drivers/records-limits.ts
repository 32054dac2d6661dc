/** Bounds of the records (records/README.md). */

/** Decisions kept for `plantmesh why`: at some 20 KiB each, 200 MiB. */
export const ORDERS_KEPT_MAX = 10_000
/** Events of one machine or order, and of all: a machine's life has some twenty. */
export const HISTORY_PER_SUBJECT_MAX = 200
export const HISTORY_MAX = 200_000
/** Calls of all who may call, remembered for a quarter of an hour: 200 a second. */
export const NONCES_MAX = 200_000
/** Calls of one key: 20 a second, a tenth of all, so that no one key keeps others from calling. */
export const NONCES_PER_CALLER_MAX = 20_000
/** How long a writer waits for another process that reads the file (a person with sqlite3, a back-up). */
export const BUSY_TIMEOUT_MS = 5_000
/** Bounds that need a count are enforced each so many writes: the excess is at most this. */
export const TRIM_EVERY = 64
