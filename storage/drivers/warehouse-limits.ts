/** Bounds of the warehouse on disk (warehouse/README.md). */

/** Altered golden machines that are kept for a look; the oldest goes first, as each may have gigabytes. */
export const QUARANTINE_MAX = 4
/** Files hashed at once, each in a thread of its own; never more than there are processors. */
export const HASHERS_MAX = 4
/** Files that wait for a hasher: some hundred golden machines at once. */
export const HASHES_WAITING_MAX = 4_096
/** A thread costs some 40 ms and 5 MB to start: below this a file is hashed where we are, in slices of HASH_SLICE_BYTES. */
export const HASH_THREAD_BYTES_MIN = 8 * 1024 * 1024
/** A slice takes about 2.5 ms (SHA-256 at 0.4 GB/s), within which the event loop stands. */
export const HASH_SLICE_BYTES = 1024 * 1024
/** Removed golden machines that nobody has pinned anew so long after opening are in no clone's use: adoption is over by then. */
export const REMOVED_KEPT_MS = 10 * 60_000
