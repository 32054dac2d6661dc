/** Bounds and purposes of signed documents; README.md names each. */

/** What a signature is for stands in front of what is signed, so that a document of one kind is never taken for one of another. */
export const PURPOSES = {
  call: 'plantmesh/call/v1',
  credential: 'plantmesh/domain/v1',
  grant: 'plantmesh/grant/v1',
  handOver: 'plantmesh/handover/v1'
} as const
export type Purpose = keyof typeof PURPOSES

/** Client and plant clocks may differ by so much; five minutes is what Kerberos settled on (RFC 4120, 5.5.1). */
export const CALL_FRESH_MS = 5 * 60_000
/** Random bytes that tell two calls apart: 128 bits never repeat by chance. */
export const NONCE_BYTES = 16
/** An order file is at most 1 MiB of text; CBOR of it is no longer, and an envelope and its credentials add under 16 KiB. */
export const CALL_BYTES_MAX = 1024 * 1024 + 32 * 1024
/** A credential or a grant: a name of 253 characters, two keys, two times and an envelope are under 600 bytes. */
export const DOCUMENT_BYTES_MAX = 2048
/** A hand-over: two ids, two digests, a time and an envelope are under 400 bytes. */
export const HAND_OVER_BYTES_MAX = 512
/** From the shop to the plant, and each move of a machine after that: 64 moves, 32 KiB. Beyond, a machine stays where it is. */
export const HAND_OVERS_MAX = 65
/** How long a `join` call may let a proxy in; it is signed anew before that. */
export const JOIN_MS_MAX = 24 * 3_600_000
/** Signed grants that a caller may bring along with a call. */
export const CREDENTIALS_MAX = 4
/** As long as a domain's name may be in an order. */
export const DOMAIN_CHARS_MAX = 253

/** First segment of the keys under which the directory keeps grants, and the topic that tells of new ones. */
export const GRANT_SPACE = 'grant'
export const GRANT_TOPIC = 'plantmesh/grants/1'
/** Grants a plant keeps, of all domains and of one domain's key: 8,192 of at most 2 KiB are 16 MiB. */
export const GRANTS_KEPT_MAX = 8_192
export const GRANTS_PER_KEY_MAX = 512
/** How long an answer of the directory is believed before it is asked again: a revocation that gossip missed works after this. */
export const GRANT_RECHECK_MS = 30_000
/** How long "there is no such grant" is believed: a grant that gossip missed works after this. */
export const GRANT_ABSENT_MS = 3_000
/** Remembered answers of the directory; the oldest goes first. A stranger can only push out answers, which are then asked again. */
export const GRANT_ANSWERS_MAX = 4_096
/** Questions to the directory at once, and those that wait: strangers' calls cannot start more. */
export const GRANT_LOOKUPS_MAX = 8
export const GRANT_LOOKUPS_WAITING_MAX = 64
/** A question to the directory takes at most so long; then what is known here decides. */
export const GRANT_LOOKUP_MS = 2_000
/** The directory forgets records after a day or two (kad-dht keeps them 36 h); those published here are put there again. */
export const GRANT_REPUT_MS = 6 * 3_600_000
