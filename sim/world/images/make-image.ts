/** The signed manifest of a golden machine of a scenario: as many distinct pieces as its files have, each a digest of its name and place. */
import { SHA1_BYTES, encodeInfo, fileRoot, infoHashOf, positionsOf, signManifest, type ImageFile, type Manifest } from '../../../protocols/image/index.ts'
import { goldenIdOf } from '../../../protocols/order/golden-schema.ts'
import type { Golden } from '../../../protocols/order/golden.ts'
import type { KeyRing, SimKey } from '../crypto.ts'

/** A golden machine with all that others are given of it. */
export interface SimImage { golden: Golden, manifest: Manifest, signed: { manifest: Uint8Array, info: Uint8Array } }

/** The same golden machine, published by that key, and its image. Equal ones are equal on every host. */
export function imageOf (before: Golden, ring: KeyRing, publisher: SimKey): SimImage {
  const { goldenId: _, files, ...rest } = before
  const counts = files.map(({ bytes }) => positionsOf(bytes))
  const total = counts.reduce((sum, count) => sum + count, 0)
  const hashes = new Uint8Array(total * 32)
  for (let i = 0; i < total; i++) hashes.set(ring.sha256(new TextEncoder().encode(`${before.name}/${i}`)), i * 32)
  let piece = 0
  const imageFiles = files.map(({ name, bytes }, at): ImageFile => {
    const count = counts[at] ?? 0
    const file = { name, bytes, extents: count === 0 ? [] : [{ at: 0, count, piece }] }
    piece += count
    return file
  })
  const description = { ...rest, publisher: publisher.id, files: imageFiles.map((file) => ({ name: file.name, bytes: file.bytes, root: fileRoot(ring, file, hashes) })) }
  const golden: Golden = { goldenId: goldenIdOf(description), ...description }
  const info = encodeInfo(golden.goldenId, new Uint8Array(total * SHA1_BYTES))
  const manifest: Manifest = {
    golden, hashes, files: imageFiles,
    places: total === 0 ? [] : [{ first: 0, count: total, pack: 0, index: 0 }],
    packs: [{ goldenId: golden.goldenId, infoHash: infoHashOf(info), pieces: total }]
  }
  return { golden, manifest, signed: { manifest: signManifest(ring, publisher, manifest), info } }
}
