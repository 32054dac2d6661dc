/** Cutting, packing and rendering: large files each in a thread of its own, so many at once as there are processors; a few small ones here. */
import { join } from 'node:path'
import { PIECE_BYTES } from '../../protocols/image/index.ts'
import type { CutFile } from '../warehouse/layout.ts'
import { syncPath } from './golden-files.ts'
import { hashing, inThread } from './in-thread.ts'
import { workOn, type Altered, type PackSource, type PieceJob, type RenderJob } from './piece-work.ts'
import { HASH_SLICE_BYTES, HASH_THREAD_BYTES_MIN } from './warehouse-limits.ts'

const WORKER = new URL('./piece-worker.ts', import.meta.url)

async function run (job: PieceJob, bytes: number, signal?: AbortSignal): Promise<unknown> {
  return hashing.run(async () => bytes <= HASH_SLICE_BYTES ? workOn(job) : inThread(WORKER, job, signal), signal)
}

/** Cuts the files of a directory, in this order. Throws the file system's error, LIMIT, or the signal's reason. */
export async function cutFiles (dir: string, files: Array<{ name: string, bytes: number }>, signal?: AbortSignal): Promise<CutFile[]> {
  const groups = [files.filter(({ bytes }) => bytes < HASH_THREAD_BYTES_MIN), ...files.filter(({ bytes }) => bytes >= HASH_THREAD_BYTES_MIN).map((file) => [file])]
  const cut = await Promise.all(groups.filter(({ length }) => length > 0).map(async (group) =>
    run({ kind: 'cut', files: group.map(({ name }) => ({ path: join(dir, name), name })) }, sumOf(group), signal) as Promise<CutFile[]>))
  const byName = new Map(cut.flat().map((file) => [file.name, file]))
  return files.flatMap(({ name }) => byName.get(name) ?? [])
}

/** Writes a pack, makes it durable and gives its SHA-1 digests; throws as `cutFiles` does. What an abort leaves half written is the caller's to remove. */
export async function packPieces (to: string, sources: PackSource[], signal?: AbortSignal): Promise<Uint8Array> {
  const pieces = sources.reduce((sum, { positions }) => sum + positions.length, 0)
  const sha1s = await run({ kind: 'pack', to, sources }, pieces * PIECE_BYTES, signal) as Uint8Array
  await syncPath(to)
  return sha1s
}

/** Renders files; what is altered is told, and then the files are not to be used. Throws as `cutFiles` does. */
export async function render (job: RenderJob, signal?: AbortSignal): Promise<Altered[]> {
  return await run({ kind: 'render', ...job }, sumOf(job.files.flatMap(({ file }) => job.manifest.files[file] ?? [])), signal) as Altered[]
}

function sumOf (files: Array<{ bytes: number }>): number { return files.reduce((sum, { bytes }) => sum + bytes, 0) }
