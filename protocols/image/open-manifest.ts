/**
 * All that is checked of a manifest before one piece of it is fetched or used. Each check rests on those before it: the id binds the
 * description, the description names the publisher and the roots, the publisher signs for the rest, and the roots bind every byte.
 */
import { publicKeyOf, type Crypto } from '../kit/index.ts'
import { goldenIdOf } from '../order/golden-schema.ts'
import { invalid, readManifest, signedBytes, type ReadManifest } from './codec.ts'
import { PACKED_PIECES_MAX, POSITIONS_MAX } from './constants.ts'
import { fileRoot } from './file-root.ts'
import { piecesOf, positionsOf, type Manifest } from './manifest.ts'

/** The manifest in these bytes, or MANIFEST_INVALID with what is wrong. Whether it is the one that was asked for is for the caller to compare. */
export function openManifest (crypto: Crypto, signed: Uint8Array): Manifest {
  const read = readManifest(signed)
  const { manifest } = read
  checkBinding(crypto, read)
  checkPacks(manifest)
  checkPlaces(manifest)
  checkFiles(manifest)
  checkRoots(crypto, manifest)
  return manifest
}

function checkBinding (crypto: Crypto, { manifest: { golden }, body, signature }: ReadManifest): void {
  const { goldenId, ...rest } = golden
  const found = goldenIdOf(rest)
  if (found !== goldenId) throw invalid('the id is not the digest of the description', { expected: goldenId, found })
  const key = golden.publisher === undefined ? undefined : publicKeyOf(golden.publisher)
  if (key === undefined) throw invalid('the description names no publisher', { goldenId })
  if (!crypto.verify(key, signedBytes(crypto, body), signature)) throw invalid('the signature is not that of the publisher', { goldenId, publisher: golden.publisher })
}

function checkPacks ({ golden, packs }: Manifest): void {
  if (packs[0]?.goldenId !== golden.goldenId) throw invalid('the first pack is not its own')
  const packed = packs.reduce((sum, { pieces }) => sum + pieces, 0)
  if (packed > PACKED_PIECES_MAX) throw invalid('packs are too large together', { pieces: packed, max: PACKED_PIECES_MAX })
  const names = new Set(packs.flatMap(({ goldenId, infoHash }) => [goldenId, infoHash]))
  if (names.size !== packs.length * 2) throw invalid('a pack is named twice')
}

/** Runs cover the table, each within its pack and beyond the one before: no piece of a pack has two places. */
function checkPlaces (manifest: Manifest): void {
  const { packs, places } = manifest
  const used = new Set([0])
  let [pieces, pack, end] = [0, 0, 0]
  for (const run of places) {
    const sizeOfPack = packs[run.pack]?.pieces
    if (sizeOfPack === undefined || run.index + run.count > sizeOfPack) throw invalid('a place is beyond its pack', { ...run })
    if (run.first !== pieces || run.pack < pack || (run.pack === pack && run.index < end)) throw invalid('places are not in order', { ...run })
    ;[pieces, pack, end] = [run.first + run.count, run.pack, run.index + run.count]
    used.add(run.pack)
  }
  if (pieces !== piecesOf(manifest)) throw invalid('places do not cover the table', { pieces, hashes: piecesOf(manifest) })
  if (used.size !== packs.length) throw invalid('a pack is named that nothing is taken of')
  const [own] = places
  const ownCount = own?.pack === 0 ? own.count : 0
  if (ownCount !== packs[0]?.pieces || (ownCount > 0 && own?.index !== 0) || places[1]?.pack === 0) throw invalid('its own pieces do not come first')
}

/** Files are those of the description; extents stay within them and within the table, and leave no piece unused. */
function checkFiles (manifest: Manifest): void {
  const { golden, files } = manifest
  const same = files.length === golden.files.length && files.every(({ name, bytes }, i) => golden.files[i]?.name === name && golden.files[i].bytes === bytes)
  if (!same) throw invalid('the files are not those of the description')
  if (new Set(files.map(({ name }) => name)).size !== files.length) throw invalid('a file is named twice')
  const positions = files.reduce((sum, { bytes }) => sum + positionsOf(bytes), 0)
  if (positions > POSITIONS_MAX) throw invalid('too large', { positions, max: POSITIONS_MAX })
  const used = new Uint8Array(piecesOf(manifest))
  for (const { name, bytes, extents } of files) {
    let end = 0
    for (const { at, count, piece } of extents) {
      if (at < end || at + count > positionsOf(bytes)) throw invalid('extents overlap or leave the file', { file: name, at, count })
      if (piece + count > used.length) throw invalid('an extent leaves the table', { file: name, piece, count })
      used.fill(1, piece, piece + count)
      end = at + count
    }
  }
  const idle = used.indexOf(0)
  if (idle >= 0) throw invalid('a piece is in no file', { piece: idle })
}

function checkRoots (crypto: Crypto, { golden, files, hashes }: Manifest): void {
  for (const [i, file] of files.entries()) {
    const expected = golden.files[i]?.root
    if (expected === undefined) throw invalid('a file has no root', { file: file.name })
    const found = fileRoot(crypto, file, hashes)
    if (found !== expected) throw invalid('a root is not that of the pieces', { file: file.name, expected, found })
  }
}
