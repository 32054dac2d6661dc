/** What is done with pieces, holding up the thread that does it: `piece-jobs.ts` says which. Throws the file system's errors. */
import { createHash } from 'node:crypto'
import { closeSync, fstatSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs'
import { HASH_BYTES, PIECE_BYTES } from '../../protocols/image/constants.ts'
import { placeOf, positionsOf, type Manifest } from '../../protocols/image/manifest.ts'
import type { CutFile } from '../warehouse/layout.ts'

/** Pieces read at once. */
const BATCH = 16
const ZEROS = Buffer.alloc(PIECE_BYTES)
const SHA1_BYTES = 20

/** Cuts a file: digests of its pieces. Node cannot ask where a file's holes are; comparing with zeros goes at memory's speed. */
export function cutFile (path: string, name: string): CutFile {
  const file = openSync(path, 'r')
  try {
    const bytes = fstatSync(file).size
    const hashes = new Uint8Array(positionsOf(bytes) * HASH_BYTES)
    const buffer = Buffer.alloc(BATCH * PIECE_BYTES)
    for (let position = 0; position * PIECE_BYTES < bytes; position += BATCH) {
      readPieces(file, buffer, position, Math.min(BATCH, positionsOf(bytes) - position))
      for (let i = 0; i < BATCH && position + i < positionsOf(bytes); i++) {
        const piece = buffer.subarray(i * PIECE_BYTES, (i + 1) * PIECE_BYTES)
        if (!piece.equals(ZEROS)) hashes.set(createHash('sha256').update(piece).digest(), (position + i) * HASH_BYTES)
      }
    }
    return { name, bytes, hashes }
  } finally {
    closeSync(file)
  }
}

/** Pieces to be copied into a pack: positions of a file, in their order. */
export interface PackSource { path: string, positions: Uint32Array }

/** Writes a pack and gives the SHA-1 digests of its pieces. */
export function writePack (to: string, sources: PackSource[]): Uint8Array {
  const pack = openSync(to, 'wx', 0o444)
  try {
    const sha1s = new Uint8Array(sources.reduce((sum, { positions }) => sum + positions.length, 0) * SHA1_BYTES)
    const buffer = Buffer.alloc(BATCH * PIECE_BYTES)
    let written = 0
    for (const { path, positions } of sources) {
      const file = openSync(path, 'r')
      try {
        for (let i = 0; i < positions.length;) {
          const position = positions[i] ?? 0
          let count = 1
          while (count < BATCH && positions[i + count] === position + count) count++
          readPieces(file, buffer, position, count)
          for (let n = 0; n < count; n++) sha1s.set(createHash('sha1').update(buffer.subarray(n * PIECE_BYTES, (n + 1) * PIECE_BYTES)).digest(), (written + n) * SHA1_BYTES)
          writeAll(pack, buffer.subarray(0, count * PIECE_BYTES), written * PIECE_BYTES)
          written += count
          i += count
        }
      } finally {
        closeSync(file)
      }
    }
    return sha1s
  } finally {
    closeSync(pack)
  }
}

export interface RenderJob {
  manifest: Pick<Manifest, 'hashes' | 'places' | 'files'>
  /** By the number of the pack; those of which nothing is needed may be missing. */
  packPaths: Array<string | undefined>
  /** Numbers of the files, and where each goes; nothing may be there. */
  files: Array<{ file: number, to: string }>
}

/** Pieces of packs that are not what the manifest says. */
export interface Altered { pack: number, index: number, file: number }

/** Writes files from packs, every piece compared with its digest, zeros as holes. Files are whole when nothing was altered. */
export function renderFiles ({ manifest, packPaths, files }: RenderJob): Altered[] {
  const packs = new Map<number, number>()
  const altered: Altered[] = []
  const buffer = Buffer.alloc(BATCH * PIECE_BYTES)
  const openPack = (pack: number): number => {
    const there = packs.get(pack) ?? openSync(packPaths[pack] ?? '', 'r')
    packs.set(pack, there)
    return there
  }
  try {
    for (const { file, to } of files) {
      const image = manifest.files[file]
      if (image === undefined) throw new RangeError(`no file ${file}`)
      const target = openSync(to, 'wx', 0o600)
      try {
        for (const run of runsOf(manifest, image.extents)) {
          readPieces(openPack(run.pack), buffer, run.index, run.count)
          for (let i = 0; i < run.count; i++) {
            const found = createHash('sha256').update(buffer.subarray(i * PIECE_BYTES, (i + 1) * PIECE_BYTES)).digest()
            if (!found.equals(manifest.hashes.subarray((run.piece + i) * HASH_BYTES, (run.piece + i + 1) * HASH_BYTES))) altered.push({ pack: run.pack, index: run.index + i, file })
          }
          writeAll(target, buffer.subarray(0, run.count * PIECE_BYTES), run.at * PIECE_BYTES)
        }
        ftruncateSync(target, image.bytes)
      } finally {
        closeSync(target)
      }
    }
    return altered
  } finally {
    for (const file of packs.values()) closeSync(file)
  }
}

/** Extents cut where packs are: each at most BATCH pieces that lie one after the other in file, table and pack. */
function * runsOf (manifest: RenderJob['manifest'], extents: Manifest['files'][number]['extents']): Generator<{ at: number, piece: number, pack: number, index: number, count: number }> {
  for (const extent of extents) {
    for (let done = 0; done < extent.count;) {
      const piece = extent.piece + done
      const { pack, index } = placeOf(manifest, piece)
      let count = 1
      while (count < BATCH && done + count < extent.count) {
        const next = placeOf(manifest, piece + count)
        if (next.pack !== pack || next.index !== index + count) break
        count++
      }
      yield { at: extent.at + done, piece, pack, index, count }
      done += count
    }
  }
}

/** Reads whole pieces; what is beyond the end is zeros. */
function readPieces (file: number, buffer: Buffer, position: number, count: number): void {
  const bytes = count * PIECE_BYTES
  let filled = 0
  while (filled < bytes) {
    const got = readSync(file, buffer, filled, bytes - filled, position * PIECE_BYTES + filled)
    if (got === 0) break
    filled += got
  }
  buffer.fill(0, filled, bytes)
}

function writeAll (file: number, bytes: Uint8Array, at: number): void {
  for (let done = 0; done < bytes.length;) done += writeSync(file, bytes, done, bytes.length - done, at + done)
}

/** What a thread is told. */
export type PieceJob = { kind: 'cut', files: Array<{ path: string, name: string }> } | { kind: 'pack', to: string, sources: PackSource[] } | ({ kind: 'render' } & RenderJob)

/** Does it, here and now. */
export function workOn (job: PieceJob): CutFile[] | Uint8Array | Altered[] {
  switch (job.kind) {
    case 'cut': return job.files.map(({ path, name }) => cutFile(path, name))
    case 'pack': return writePack(job.to, job.sources)
    case 'render': return renderFiles(job)
  }
}
