/** What of packs and manifests lies on a host's disk. Outlives every process on it. */
import type { GoldenId } from '../../../protocols/kit/index.ts'
import { hashOf, type Manifest, type PackRef } from '../../../protocols/image/index.ts'
import type { SimImage } from './make-image.ts'

/** One pack, whole or not. */
export interface PackOnDisk {
  ref: PackRef
  /** What each piece must be, by the manifests that are here; absent where none of them names it. */
  digests: Array<Uint8Array | undefined>
  /** What lies there in its place. */
  pieces: Array<Uint8Array | undefined>
}

/** One image: on the shelf, or on its way. */
export interface ImageOnDisk { manifest: Manifest, signed: SimImage['signed'], incoming: boolean }

/** Packs and manifests of one host. */
export class ImageDisk {
  readonly packs = new Map<string, PackOnDisk>()
  readonly images = new Map<GoldenId, ImageOnDisk>()
  /** By pack, pieces that fetches have put here, again those that had been removed: it outlives the disk. */
  readonly written = new Map<string, number>()

  /** The image is here, whole; what it takes of its bases is here already, or is given. */
  put ({ manifest, signed, packs }: SimImage): void {
    this.images.set(manifest.golden.goldenId, { manifest, signed, incoming: false })
    this.expect(manifest)
    for (const { infoHash, pieces } of packs) {
      const there = this.packs.get(infoHash)
      if (there !== undefined) for (const [index, piece] of pieces.entries()) there.pieces[index] ??= piece
    }
  }

  /** Room for all packs of a manifest, with what their pieces must be. */
  expect (manifest: Manifest): void {
    const packs = manifest.packs.map((ref) => {
      const there = this.packs.get(ref.infoHash) ?? { ref, digests: Array.from({ length: ref.pieces }, () => undefined), pieces: Array.from({ length: ref.pieces }, () => undefined) }
      this.packs.set(ref.infoHash, there)
      return there
    })
    for (const { first, count, pack, index } of manifest.places) {
      for (let i = 0; i < count; i++) {
        const { digests } = packs[pack] ?? { digests: [] }
        digests[index + i] ??= hashOf(manifest, first + i)
      }
    }
  }

  /** The image goes, and packs that no other one takes pieces of. */
  remove (id: GoldenId): void {
    this.images.delete(id)
    const used = new Set([...this.images.values()].flatMap(({ manifest }) => manifest.packs.map(({ infoHash }) => infoHash)))
    for (const infoHash of this.packs.keys()) if (!used.has(infoHash)) this.packs.delete(infoHash)
  }

  clear (): void {
    this.packs.clear()
    this.images.clear()
  }
}
