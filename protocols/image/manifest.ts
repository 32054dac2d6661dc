/** What an image is made of: which piece is where in which file, and which pack has it. */
import type { GoldenId } from '../kit/index.ts'
import type { Golden } from '../order/golden.ts'
import { HASH_BYTES, PIECE_BYTES } from './constants.ts'

/** Positions at … at+count-1 of a file hold pieces piece … piece+count-1 of the table; positions that no extent covers are zero. Sorted, not overlapping. */
export interface Extent { at: number, count: number, piece: number }

/** A file of the image: its last piece is filled with zeros beyond `bytes`. */
export interface ImageFile { name: string, bytes: number, extents: Extent[] }

/** Pieces first … first+count-1 of the table are pieces index … of packs[pack]. */
export interface PlaceRun { first: number, count: number, pack: number, index: number }

/** A pack by its torrent's info hash (40 hex digits), and whose pack it is. */
export interface PackRef { goldenId: GoldenId, infoHash: string, pieces: number }

export interface Manifest {
  /** The description that matching looks at; its id is the digest of the rest of it. */
  golden: Golden
  /** 32 bytes for each distinct piece of the image that is not zero: its own first (index in the table = index in packs[0]), then inherited ones. */
  hashes: Uint8Array
  /** Covers the whole table, in its order; sorted by pack, then index. */
  places: PlaceRun[]
  /** The first is its own (and may be empty); the others are those of its bases that it takes pieces of, however deep they lie. */
  packs: PackRef[]
  files: ImageFile[]
}

/** Pieces that a file of so many bytes has, zeros too. */
export function positionsOf (bytes: number): number { return Math.ceil(bytes / PIECE_BYTES) }

/** Distinct pieces of the image that are not zero. */
export function piecesOf (manifest: Pick<Manifest, 'hashes'>): number { return manifest.hashes.length / HASH_BYTES }

/** The digest of a piece of the table: a view, not a copy. */
export function hashOf (manifest: Pick<Manifest, 'hashes'>, piece: number): Uint8Array {
  return manifest.hashes.subarray(piece * HASH_BYTES, (piece + 1) * HASH_BYTES)
}

/** The piece of the table at a position of a file; undefined for zeros. */
export function pieceAt (file: Pick<ImageFile, 'extents'>, position: number): number | undefined {
  const { extents } = file
  let low = 0
  for (let high = extents.length; low < high;) {
    const middle = (low + high) >>> 1
    if ((extents[middle]?.at ?? 0) <= position) low = middle + 1
    else high = middle
  }
  const extent = extents[low - 1]
  return extent !== undefined && position < extent.at + extent.count ? extent.piece + position - extent.at : undefined
}

/** Where the pieces of a file are kept, in its order; zeros are nowhere. Of these positions only, in their order, when any are given. */
export function placesIn (manifest: Pick<Manifest, 'places'>, file: Pick<ImageFile, 'extents'>, positions?: readonly number[]): Array<{ pack: number, index: number }> {
  const pieces = positions === undefined
    ? file.extents.flatMap(({ piece, count }) => Array.from({ length: count }, (_, i) => piece + i))
    : positions.flatMap((position) => pieceAt(file, position) ?? [])
  return pieces.map((piece) => placeOf(manifest, piece))
}

/** Where a piece of the table is kept. Every piece of a manifest that was opened has a place. */
export function placeOf (manifest: Pick<Manifest, 'places'>, piece: number): { pack: number, index: number } {
  const { places } = manifest
  let low = 0
  for (let high = places.length; low < high;) {
    const middle = (low + high) >>> 1
    if ((places[middle]?.first ?? 0) <= piece) low = middle + 1
    else high = middle
  }
  const run = places[low - 1]
  if (run === undefined || piece >= run.first + run.count) throw new RangeError(`no place for piece ${piece}`)
  return { pack: run.pack, index: run.index + piece - run.first }
}
