/** Makes an image out of a draft's files: cut, laid out against its bases, packed, described and signed. */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { PlantError, keyIdOf, type Crypto, type Signer } from '../../protocols/kit/index.ts'
import { MANIFEST_BYTES_MAX, PACKED_PIECES_MAX, PIECES_MAX, POSITIONS_MAX, encodeInfo, fileRoot, infoHashOf, openManifest, positionsOf, signManifest, type Manifest, type PackRef } from '../../protocols/image/index.ts'
import { goldenIdOf } from '../../protocols/order/golden-schema.ts'
import type { Golden } from '../../protocols/order/golden.ts'
import { layOut, type CutFile, type Layout } from '../warehouse/layout.ts'
import { INFO_FILE, PACK_FILE } from './fs-pack.ts'
import { syncPath, writeDescription, writeDurably, type SealedFile } from './golden-files.ts'
import { cutFiles, packPieces } from './piece-jobs.ts'
import type { PackSource } from './piece-work.ts'

/** Where a draft's files lie, and a golden machine's rendered ones. */
export const FILES_DIR = 'files'
/** The signed manifest. */
export const MANIFEST_FILE = 'manifest'

export interface BuildComponents { crypto: Crypto, signer: Signer }
/** What it may take pieces of, nearest first. */
export interface Bases { manifests: Manifest[], has: (infoHash: string, index: number) => boolean }

export interface Built {
  manifest: Manifest
  /** Directories to become packs, by their numbers. */
  packDirs: Map<number, string>
}

/** Where a draft's own pack is made: beside it, as the draft becomes the golden machine's directory and the pack does not. */
export function ownPackDir (root: string): string { return `${root}.own` }

/** Files in `root/files` become `root.own` (the pack), `root/manifest` and `root/description.json`, all durable. Throws LIMIT, the file system's error or the signal's reason. */
export async function buildImage (root: string, sealed: SealedFile[], description: Omit<Golden, 'goldenId' | 'files' | 'publisher'>, bases: Bases, c: BuildComponents, signal?: AbortSignal): Promise<Built> {
  const positions = sealed.reduce((sum, { bytes }) => sum + positionsOf(bytes), 0)
  if (positions > POSITIONS_MAX) throw new PlantError('LIMIT', { bound: 'POSITIONS_MAX', positions, max: POSITIONS_MAX })
  const cut = await cutFiles(join(root, FILES_DIR), sealed, signal)
  signal?.throwIfAborted()
  const layout = layOut(cut, bases.manifests, bases.has)
  const golden = describe(description, layout, c)
  const packDir = layout.own.length > 0 ? ownPackDir(root) : undefined
  const sha1s = packDir === undefined ? new Uint8Array(0) : await packOwn(root, packDir, cut, layout, signal)
  const info = encodeInfo(golden.goldenId, sha1s)
  const own: PackRef = { goldenId: golden.goldenId, infoHash: infoHashOf(info), pieces: layout.own.length }
  const manifest: Manifest = { golden, hashes: layout.hashes, places: layout.places, packs: [own, ...layout.basePacks], files: layout.files }
  checkBounds(manifest)
  const signed = signManifest(c.crypto, c.signer, manifest)
  if (signed.length > MANIFEST_BYTES_MAX) throw new PlantError('LIMIT', { bound: 'MANIFEST_BYTES_MAX', bytes: signed.length, max: MANIFEST_BYTES_MAX })
  if (packDir !== undefined) {
    await writeDurably(join(packDir, INFO_FILE), info)
    await syncPath(packDir)
  }
  await writeDurably(join(root, MANIFEST_FILE), signed)
  await writeDescription(root, golden)
  // What others would refuse must not get onto the shelf.
  return { manifest: openManifest(c.crypto, signed), packDirs: new Map(packDir === undefined ? [] : [[0, packDir]]) }
}

function checkBounds ({ packs, hashes }: Manifest): void {
  const pieces = hashes.length / 32
  if (pieces > PIECES_MAX) throw new PlantError('LIMIT', { bound: 'PIECES_MAX', pieces, max: PIECES_MAX })
  const packed = packs.reduce((sum, { pieces: count }) => sum + count, 0)
  if (packed > PACKED_PIECES_MAX) throw new PlantError('LIMIT', { bound: 'PACKED_PIECES_MAX', pieces: packed, max: PACKED_PIECES_MAX })
}

function describe (description: Omit<Golden, 'goldenId' | 'files' | 'publisher'>, { files, hashes }: Layout, { crypto, signer }: BuildComponents): Golden {
  const whole = { ...description, files: files.map((file) => ({ name: file.name, bytes: file.bytes, root: fileRoot(crypto, file, hashes) })), publisher: keyIdOf(signer.publicKey) }
  return { goldenId: goldenIdOf(whole), ...whole }
}

async function packOwn (root: string, packDir: string, cut: CutFile[], { own }: Layout, signal?: AbortSignal): Promise<Uint8Array> {
  await mkdir(packDir, { mode: 0o700 })
  const sources: PackSource[] = cut.map(({ name }, file) => ({ path: join(root, FILES_DIR, name), positions: Uint32Array.from(own.filter((one) => one.file === file), ({ position }) => position) }))
  return packPieces(join(packDir, PACK_FILE), sources.filter(({ positions }) => positions.length > 0), signal)
}
