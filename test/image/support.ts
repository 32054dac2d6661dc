/** Images for tests: drawn pieces, laid out as a publisher does it. */
import { createHash } from 'node:crypto'
import { makeKey } from '../../node/drivers/key-file.ts'
import { NodeCrypto } from '../../node/drivers/node-crypto.ts'
import { PIECE_BYTES, SHA1_BYTES, encodeInfo, fileRoot, infoHashOf, positionsOf, signManifest, type Extent, type ImageFile, type Manifest, type PackRef, type PlaceRun } from '../../protocols/image/index.ts'
import { keyIdOf, type GoldenId, type Signer } from '../../protocols/kit/index.ts'
import { goldenIdOf } from '../../protocols/order/golden-schema.ts'
import type { Golden } from '../../protocols/order/golden.ts'

export const crypto = new NodeCrypto()

/** A plant's key. */
export const publisher = (): Signer => makeKey()

/** A digest for each piece: what no piece has, but distinct. */
export function hashesOf (pieces: number): Uint8Array {
  return new Uint8Array(Buffer.concat(Array.from({ length: pieces }, (_, i) => createHash('sha256').update(`piece ${i}`).digest())))
}

export interface Shape { bytes: number, extents: Extent[] }
export interface Layout { own: number, inherited?: Array<{ pieces: number, runs: Array<{ count: number, index: number }> }>, files: Shape[] }

/** A sound manifest of this layout. */
export function manifestOf (layout: Layout, signer = publisher(), more: Partial<Golden> = {}): Manifest {
  const places: PlaceRun[] = layout.own > 0 ? [{ first: 0, count: layout.own, pack: 0, index: 0 }] : []
  let first = layout.own
  for (const [i, { runs }] of (layout.inherited ?? []).entries()) {
    for (const run of runs) {
      places.push({ first, ...run, pack: i + 1 })
      first += run.count
    }
  }
  const hashes = hashesOf(first)
  const files: ImageFile[] = layout.files.map((shape, i) => ({ name: `file${i}`, ...shape }))
  const description = {
    name: 'tiny', os: 'tiny', hardware: { isa: 'x86_64', cpus: 1, memoryMiB: 256, diskMiB: 512 }, lineFingerprint: 'f', actionsDone: [], createdAtMs: 5,
    publisher: keyIdOf(signer.publicKey), ...more, files: files.map((file) => ({ name: file.name, bytes: file.bytes, root: fileRoot(crypto, file, hashes) }))
  }
  const golden: Golden = { goldenId: goldenIdOf(description), ...description }
  const packs: PackRef[] = [
    { goldenId: golden.goldenId, infoHash: infoHashOf(encodeInfo(golden.goldenId, new Uint8Array(layout.own * SHA1_BYTES))), pieces: layout.own },
    ...(layout.inherited ?? []).map(({ pieces }, i) => ({ goldenId: (i + 1).toString(16).padStart(32, 'a') as GoldenId, infoHash: (i + 1).toString(16).padStart(40, 'b'), pieces }))
  ]
  return { golden, hashes, places, packs, files }
}

/** The description again after its files changed, so that only what a test alters is wrong. */
export function redescribed (manifest: Manifest, signer: Signer): Manifest {
  const { goldenId: _, ...rest } = manifest.golden
  const description = { ...rest, publisher: keyIdOf(signer.publicKey), files: manifest.files.map((file) => ({ name: file.name, bytes: file.bytes, root: fileRoot(crypto, { ...file, extents: file.extents.filter(({ at, count }) => at + count <= positionsOf(file.bytes)) }, manifest.hashes) })) }
  const goldenId = goldenIdOf(description)
  return { ...manifest, golden: { goldenId, ...description }, packs: manifest.packs.map((pack, i) => i === 0 ? { ...pack, goldenId } : pack) }
}

export const signed = (manifest: Manifest, signer: Signer): Uint8Array => signManifest(crypto, signer, manifest)

/** A file of that many pieces, filled by one extent. */
export const filled = (count: number, piece = 0): Shape => ({ bytes: count * PIECE_BYTES, extents: [{ at: 0, count, piece }] })
