/** Bounds of the records (records/README.md). */

/** Decisions kept for `plantmesh why`: at some 20 KiB each, 200 MiB. */
export const ORDERS_KEPT_MAX = 10_000
/** Machines that have ended, in all: half of what a plant may hold by `protocols/claim`, which counts those that failed. */
export const ENDED_MAX = 2_048
/** Ended machines of one owner: more than one orders of a plant in a day, and a quarter of all, so that others' are not pushed out at once. */
export const ENDED_PER_OWNER_MAX = 512
/** Calls of all who may call, remembered for a quarter of an hour: 200 a second. */
export const NONCES_MAX = 200_000
/** Calls of one key: 20 a second, a tenth of all, so that no one key keeps others from calling. */
export const NONCES_PER_CALLER_MAX = 20_000
/** Golden machines whose use is remembered: eight times what a plant publishes at most. */
export const TEMPLATE_USES_MAX = 4_096
/** Golden machines noted as fetched from others. */
export const COPIES_MAX = 4_096
/** How long a writer waits for another process that reads the file (a person with sqlite3, a back-up). */
export const BUSY_TIMEOUT_MS = 5_000
