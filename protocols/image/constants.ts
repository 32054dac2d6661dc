/** Bounds of images and of the protocol that hands their manifests over (README.md). */
import type { StreamLimits } from '../kit/index.ts'

/** A piece: small enough that a boot fetches little that it does not read, large enough that digests are a two-thousandth of the content. */
export const PIECE_BYTES = 65_536
/** SHA-256. */
export const HASH_BYTES = 32

/** What the publisher signs for. */
export const IMAGE_CONTEXT = 'plantmesh/image/1'
/** What a file's root is a digest of. */
export const ROOT_CONTEXT = 'plantmesh/file-root/1'

/** Distinct pieces that are not zero: 64 GiB of content. */
export const PIECES_MAX = 2 ** 20
/** Places in all files of an image, zeros too: 128 GiB. A root goes over each of them: 64 MiB of digests at most. */
export const POSITIONS_MAX = 2 ** 21
/** Packs that an image takes pieces of, its own included. A deeper image stores for itself what the least used ones would give. */
export const PACKS_MAX = 256
/** Pieces of all packs that an image names: what it makes others keep account of, needed or not. */
export const PACKED_PIECES_MAX = 4 * PIECES_MAX
/** PIECES_MAX digests, as many extents and runs of a few bytes each, and a long description. */
export const MANIFEST_BYTES_MAX = 64 * 2 ** 20
/**
 * Runs of pieces in all files, and in the table: in memory each is some 60 bytes for three on the wire. Pieces are laid out in the order in which they
 * first occur, so that images have some thousand.
 */
export const RUNS_MAX = 2 ** 20
/** Keys and values in a manifest, most of them of actions and their outputs (256 of a machine): read at some 5 us each, on the thread that all else waits for. */
export const MANIFEST_ITEMS_MAX = 2 ** 17
/** Fields and name around PIECES_MAX SHA-1 digests. */
export const INFO_BYTES_MAX = 1_024 + PIECES_MAX * 20

/** Asks for a golden machine's manifest. */
export const IMAGE_PROTOCOL = '/plantmesh/image/1.0.0'
/** Of one part: a 64 MiB manifest is sixty-four. */
export const PART_BYTES_MAX = 2 ** 20

/** A part and the few bytes around it. A manifest is asked for once for each image that is fetched. */
export const IMAGE_LIMITS: StreamLimits = { messageBytesMax: PART_BYTES_MAX + 1_024, idleTimeoutMs: 10_000, inboundMax: 64, inboundPerPeerMax: 4 }
/** Pieces that the trace of a file holds: 1 GiB of content. A boot reads some hundred. */
export const TRACE_PIECES_MAX = 16_384
/** Two numbers below 2^21, of three bytes each, for each piece at worst. */
export const TRACE_BYTES_MAX = 6 * TRACE_PIECES_MAX
/** Manifests read at once for others: each is in memory whole while it is sent. */
export const SERVED_AT_ONCE_MAX = 4
/** Others wait for their turn, within the time that they wait for an answer. */
export const SERVED_WAITING_MAX = 60
