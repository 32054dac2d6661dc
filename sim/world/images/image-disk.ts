/** What of packs and manifests lies on a host's disk. Outlives every process on it. */
import type { GoldenId } from '../../../protocols/kit/index.ts'
import type { Manifest, PackRef } from '../../../protocols/image/index.ts'
import type { SimImage } from './make-image.ts'

/** Pieces of one pack that are here. */
export interface PackOnDisk { ref: PackRef, have: Uint8Array }

/** One image: on the shelf, or on its way. */
export interface ImageOnDisk { manifest: Manifest, signed: SimImage['signed'], incoming: boolean }

/** Packs and manifests of one host. */
export class ImageDisk {
  readonly packs = new Map<string, PackOnDisk>()
  readonly images = new Map<GoldenId, ImageOnDisk>()

  /** The image is here, whole. */
  put ({ manifest, signed }: SimImage): void {
    this.images.set(manifest.golden.goldenId, { manifest, signed, incoming: false })
    for (const ref of manifest.packs) this.pack(ref).have.fill(1)
  }

  /** A pack, with nothing of it here at first. */
  pack (ref: PackRef): PackOnDisk {
    const there = this.packs.get(ref.infoHash) ?? { ref, have: new Uint8Array(ref.pieces) }
    this.packs.set(ref.infoHash, there)
    return there
  }

  clear (): void {
    this.packs.clear()
    this.images.clear()
  }
}
