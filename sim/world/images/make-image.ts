/** The signed manifest of a golden machine of a world: as many distinct pieces as its files have. A piece's content is its name: short, and of that digest. */
import {
  HASH_BYTES, SHA1_BYTES, encodeInfo, fileRoot, hashOf, infoHashOf, placeOf, positionsOf, signManifest, type ImageFile, type Manifest, type PackRef, type PlaceRun
} from '../../../protocols/image/index.ts'
import type { GoldenId } from '../../../protocols/kit/index.ts'
import { goldenIdOf } from '../../../protocols/order/golden-schema.ts'
import type { Golden } from '../../../protocols/order/golden.ts'
import type { KeyRing, SimKey } from '../crypto.ts'

/** A golden machine with all that others are given of it; `packs`: the content of its own pieces. */
export interface SimImage {
  golden: Golden
  manifest: Manifest
  signed: { manifest: Uint8Array, info: Uint8Array }
  packs: Array<{ infoHash: string, pieces: readonly Uint8Array[] }>
}

/** What an image is made of. */
export interface ImageInit {
  golden: Omit<Golden, 'goldenId'> & { goldenId?: GoldenId }
  /** Pieces of equal labels are equal. */
  label: string
  /** Files of the same name and size are this one's. */
  base?: Manifest
}

/** The golden machine, published by that key, and its image. Equal ones are equal on every host. */
export function imageOf ({ golden: before, label, base }: ImageInit, ring: KeyRing, publisher: SimKey): SimImage {
  const inherits = (name: string, bytes: number): ImageFile | undefined => base?.files.find((file) => file.name === name && file.bytes === bytes)
  const own = before.files.filter(({ name, bytes }) => inherits(name, bytes) === undefined)
  const ownCount = own.reduce((sum, { bytes }) => sum + positionsOf(bytes), 0)
  const pieces = Array.from({ length: ownCount }, (_, i) => new TextEncoder().encode(`${label}/${i}`))
  const inherited = inheritedPieces(before.files.flatMap(({ name, bytes }) => inherits(name, bytes) ?? []))
  const hashes = new Uint8Array((ownCount + inherited.length) * HASH_BYTES)
  for (const [i, piece] of pieces.entries()) hashes.set(ring.sha256(piece), i * HASH_BYTES)
  if (base !== undefined) for (const [i, piece] of inherited.entries()) hashes.set(hashOf(base, piece), (ownCount + i) * HASH_BYTES)

  let next = 0
  const placeInTable = new Map(inherited.map((piece, i) => [piece, ownCount + i]))
  const files = before.files.map(({ name, bytes }): ImageFile => {
    const of = inherits(name, bytes)
    if (of !== undefined) return { name, bytes, extents: of.extents.map(({ at, count, piece }) => ({ at, count, piece: placeInTable.get(piece) ?? 0 })) }
    const count = positionsOf(bytes)
    const file = { name, bytes, extents: count === 0 ? [] : [{ at: 0, count, piece: next }] }
    next += count
    return file
  })
  const { goldenId: _id, files: _files, ...rest } = before
  const description = { ...rest, publisher: publisher.id, files: files.map((file) => ({ name: file.name, bytes: file.bytes, root: fileRoot(ring, file, hashes) })) }
  const golden: Golden = { goldenId: goldenIdOf(description), ...description }
  const info = encodeInfo(golden.goldenId, new Uint8Array(ownCount * SHA1_BYTES))
  const ownPack: PackRef = { goldenId: golden.goldenId, infoHash: infoHashOf(info), pieces: ownCount }
  const manifest: Manifest = { golden, hashes, files, ...placed(ownPack, inherited, base) }
  return { golden, manifest, signed: { manifest: signManifest(ring, publisher, manifest), info }, packs: [{ infoHash: ownPack.infoHash, pieces }] }
}

/** Pieces of a base's table, in its order. */
function inheritedPieces (files: readonly ImageFile[]): number[] {
  const all = files.flatMap(({ extents }) => extents.flatMap(({ piece, count }) => Array.from({ length: count }, (_, i) => piece + i)))
  return [...new Set(all)].sort((a, b) => a - b)
}

/** Where the table's pieces are: its own pack first, then the base's packs in the base's order. */
function placed (own: PackRef, inherited: readonly number[], base: Manifest | undefined): Pick<Manifest, 'packs' | 'places'> {
  const packs = [own]
  const places: PlaceRun[] = own.pieces === 0 ? [] : [{ first: 0, count: own.pieces, pack: 0, index: 0 }]
  for (const [i, piece] of inherited.entries()) {
    const from = placeOf(base as Manifest, piece)
    const ref = base?.packs[from.pack] as PackRef
    const known = packs.findIndex(({ infoHash }) => infoHash === ref.infoHash)
    const pack = known < 0 ? packs.push(ref) - 1 : known
    const last = places.at(-1)
    if (last !== undefined && last.pack === pack && last.index + last.count === from.index) last.count++
    else places.push({ first: own.pieces + i, count: 1, pack, index: from.index })
  }
  return { packs, places }
}
