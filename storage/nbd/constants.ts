/** The numbers of the NBD protocol (doc/proto.md of github.com/NetworkBlockDevice/nbd), and the bounds that this server keeps. */

/** "NBDMAGIC", "IHAVEOPT", and what option replies, requests and simple replies begin with. */
export const INIT_MAGIC = 0x4e42444d41474943n
export const OPTION_MAGIC = 0x49484156454f5054n
export const OPTION_REPLY_MAGIC = 0x0003e889045565a9n
export const REQUEST_MAGIC = 0x25609513
export const SIMPLE_REPLY_MAGIC = 0x67446698

/** Handshake flags: the server's and the client's have the same values. */
export const FLAG_FIXED_NEWSTYLE = 1
export const FLAG_NO_ZEROES = 2

/** Options that are known; every other is answered with ERR_UNSUP. */
export const OPTION = { exportName: 1, abort: 2, list: 3, info: 6, go: 7 } as const

/** Kinds of option replies. */
export const REPLY = { ack: 1, server: 2, info: 3, errUnsup: 0x80000001, errInvalid: 0x80000003, errUnknown: 0x80000006 } as const

/** What an INFO reply tells. */
export const INFO = { export: 0, name: 1, blockSize: 3 } as const

/** Flags of the export: they are there, it is read-only, several connections see the same. */
export const EXPORT_FLAGS = 1 | 2 | 1 << 8

/** Commands that are known. Those that write are refused with EPERM, every other with EINVAL. */
export const COMMAND = { read: 0, write: 1, disconnect: 2, trim: 4, writeZeroes: 6, resize: 8 } as const

/** Error numbers as they are on the wire. */
export const ERROR = { none: 0, perm: 1, io: 5, inval: 22, overflow: 75 } as const

/** A longer option is no client that we know: a name has at most 4096 bytes, information requests are two bytes each. */
export const OPTION_BYTES_MAX = 16 * 1024
/** A client asks for a list, for information, and goes; one that only asks is let go of. */
export const OPTIONS_MAX = 64
/** The specification's own default; larger reads are refused. QEMU's are of 2 MiB at most. */
export const READ_BYTES_MAX = 32 * 1024 * 1024
/** Small enough for every client, and what a cluster's parts are asked in; the largest that pays is a piece. */
export const BLOCK_BYTES_MIN = 1
export const BLOCK_BYTES_PREFERRED = 64 * 1024
/** Reads of one connection that are answered at the same time: QEMU has at most 16 open. More wait unread in the socket. */
export const READS_MAX = 32
/** Bytes that these may hold together; one read alone may be longer. */
export const READS_BYTES_MAX = 8 * 1024 * 1024
/** From the connection to the first command: a client does it at once. */
export const HANDSHAKE_WITHIN_MS = 10_000
/** From the last answer to the end of a connection, for a client that has still to read it. */
export const GOODBYE_WITHIN_MS = 2_000
/** Connections at a time: each machine has one for its disk, and a copy of it another while it is made. */
export const CONNECTIONS_MAX = 256
