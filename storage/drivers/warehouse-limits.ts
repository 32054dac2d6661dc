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
/** How late the bits of a pack that is arriving are written: under the second that a kill may cost, and each write is two flushes of the disk. */
export const HAVE_FLUSH_MS = 500
/** Images on their way at once, those that a crash interrupted included. */
export const INCOMING_MAX = 64
/** Read from an image at once: QEMU's NBD client asks for 32 MiB at most (BDRV_REQUEST_MAX is cut to the server's maximum). */
export const LAZY_READ_BYTES_MAX = 32 * 1024 * 1024
/** Rendered files that nobody used for so long go; packs stay, and rendering takes less than a second for most. */
export const RENDERED_IDLE_MS = 30 * 60_000
/** Rendered files of all golden machines, pinned ones too, beyond which unused ones go at once. */
export const RENDERED_BYTES_MAX = 32 * 2 ** 30
/** How often rendered files are looked at. */
export const RENDERED_LOOK_MS = 60_000
/**
 * Generations in which pieces of a new golden machine are looked for. The nearest names all that it is made of, whichever packs have it; those
 * before it only add what it no longer had.
 */
export const BASES_MAX = 16
/** Orders of reads that are kept: of the disk and of the memory of so many golden machines at most. */
export const BOOT_TRACES_MAX = 2 * 128
/** One of them: TRACE_PIECES_MAX runs of some 12 characters. */
export const BOOT_TRACE_BYTES_MAX = 512 * 1024
