/** The port of the warehouse's pieces: manifests, packs, images that arrive, and reads that need not wait for all of it. */
import type { Cancel, GoldenId } from '../../protocols/kit/index.ts'
import type { Manifest } from '../../protocols/image/index.ts'
import type { Pack } from './pack.ts'

/** A pack that an image takes pieces of, with the pieces that it needs. */
export interface WantedPack {
  pack: Pack
  goldenId: GoldenId
  /** Bit set, highest first as in BitTorrent: pieces that the image needs, here or not. */
  needed: Uint8Array
  /** Needed pieces that are not here now. */
  missing (): number
}

/** An image on its way, or one of which pieces were found altered. */
export interface Incoming {
  readonly goldenId: GoldenId
  readonly manifest: Manifest
  /** Those that it needs pieces of, its own first. */
  readonly packs: WantedPack[]
  /** Pieces that are still to come; 0: it is on the shelf, or about to be. */
  missing (): number
  /** Resolves once it is on the shelf; rejects with GOLDEN_UNKNOWN when it is removed before. */
  readonly complete: Promise<void>
}

/** Asked for a piece that is not here; resolves once it is. The caller of a read decides how to get it. */
export type FetchPiece = (want: { pack: Pack, goldenId: GoldenId, index: number }, signal?: AbortSignal) => Promise<void>

/** Bytes of an image's files, whether it has arrived or not. Holds its packs until closed. */
export interface LazyImage {
  readonly manifest: Manifest
  /** Up to `length` bytes (fewer at the end of the file); zeros cost nothing, missing pieces are fetched first. Throws what `fetch` throws. */
  read (file: string, offset: number, length: number, fetch: FetchPiece, signal?: AbortSignal): Promise<Uint8Array>
  /** The pack's pieces behind a range, in the order of the file; without those that are zero. */
  pieces (file: string, offset: number, length: number): Array<{ pack: Pack, goldenId: GoldenId, index: number }>
  close (): void
}

export interface ImageStore {
  /** The manifest of what is on the shelf or arriving; undefined for what earlier versions kept, and for what is not here. */
  manifestOf (id: GoldenId): Promise<Manifest | undefined>
  /** What is handed to other plants: the manifest as it was signed, and the info dictionary of its own pack. */
  signedManifest (id: GoldenId): Promise<{ manifest: Uint8Array, info: Uint8Array } | undefined>
  /**
   * Begins, or goes on with, an image: on disk at once, with what is here already of its packs. Throws MANIFEST_INVALID (nothing is kept),
   * GOLDEN_EXISTS when it is on the shelf, LIMIT or DISK_FULL.
   */
  receive (manifest: Uint8Array, info: Uint8Array): Promise<Incoming>
  /** Images on their way, also those that a crash interrupted. */
  incoming (): Incoming[]
  /** Every pack of which there is something here: what is served to others. */
  packs (): Pack[]
  /** Reads from an image on the shelf or arriving; throws GOLDEN_UNKNOWN. */
  lazy (id: GoldenId): Promise<LazyImage>
  /** Called after a pack came or went. */
  onPacks (fn: () => void): Cancel
}

/** What is on its way, as files. */
export interface ArrivingFiles {
  /** Directory of those of its files whose pieces are all here, on the shelf or arriving: found right, or rendered. Throws as `Warehouse.verified`. */
  arrivedFiles (id: GoldenId, signal?: AbortSignal): Promise<string>
}
