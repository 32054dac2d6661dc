/**
 * Images: what a golden machine's files are made of, signed by who made them, and how one plant asks another for that (README.md). The
 * warehouse makes and opens manifests; the swarm fetches the pieces that they name; whoever matches orders asks for manifests.
 */
export { HASH_BYTES, IMAGE_CONTEXT, IMAGE_LIMITS, IMAGE_PROTOCOL, INFO_BYTES_MAX, MANIFEST_BYTES_MAX, PACKED_PIECES_MAX, PACKS_MAX, PIECES_MAX, PIECE_BYTES, POSITIONS_MAX, TRACE_BYTES_MAX, TRACE_PIECES_MAX } from './constants.ts'
export { hashOf, pieceAt, piecesOf, placeOf, placesIn, positionsOf } from './manifest.ts'
export type { Extent, ImageFile, Manifest, PackRef, PlaceRun } from './manifest.ts'
export { fileRoot } from './file-root.ts'
export { signManifest } from './codec.ts'
export { openManifest } from './open-manifest.ts'
export { SHA1_BYTES, encodeInfo, infoHashOf, openInfo, packName } from './torrent.ts'
export { Assembly } from './core.ts'
export type { SignedImage } from './core.ts'
export { decodeRuns, encodeRuns, orderOf, runsOf } from './read-runs.ts'
export type { ReadRuns } from './read-runs.ts'
export { askImage, askTrace, serveImages } from './service.ts'
export type { ImageSource, TraceSource } from './service.ts'
export { decodeImageAsk, decodeImageTell, encodeImageAsk, encodeImageTell } from './messages.ts'
export type { ImageAsk, ImageTell } from './messages.ts'
export { HOLDINGS_TOPIC, KEPT_ASKED_MAX, KEPT_MS } from './holdings-limits.ts'
export { holdingOf, lineDigest, prefixesOfHolding } from './holdings.ts'
export type { Holding } from './holdings.ts'
export { directoryKeys, meshImages } from './mesh-images.ts'
export type { HeldImage, MeshImages, MeshImagesComponents, OpenedImage } from './mesh-images.ts'
