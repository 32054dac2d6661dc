/** What the warehouse does with files: durable, read-only, whole. */
import { chmod, link, open, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { PlantError } from '../../protocols/kit/index.ts'
import type { Golden } from '../../protocols/order/golden.ts'
import { GOLDEN_FILES_MAX, GOLDEN_FILE_NAME } from '../../protocols/order/golden-schema.ts'
import { DESCRIPTION_BYTES_MAX, DESCRIPTION_FILE, parseDescription } from '../warehouse/description.ts'
import { sparseCopy } from './sparse-copy.ts'

/** QEMU before 8.2 opens a memory file for reading and writing even where it maps it privately: its owner must be able to. */
const MEMORY_FILE = 'ram'
const READ_ONLY = 0o444
const OWNER_WRITES = 0o644

/** What changes when a file does: size, times and inode. Hard links change ctime too; then the file is hashed once more. */
export async function signatureOf (path: string): Promise<{ signature: string, bytes: number }> {
  const { size, mtimeNs, ctimeNs, ino, dev } = await stat(path, { bigint: true })
  return { signature: [size, mtimeNs, ctimeNs, ino, dev].join(' '), bytes: Number(size) }
}

/** Turns the file system's ways of saying "no room" into DISK_FULL; anything else stays what it is. */
export function asDiskError (error: unknown, dir: string): unknown {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  // EFBIG: a limit on file sizes, which ends the same way.
  return code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG' ? new PlantError('DISK_FULL', { dir, problem: code }, { cause: error }) : error
}

/** Makes what a file or directory holds durable. */
export async function syncPath (path: string): Promise<void> {
  const file = await open(path, 'r')
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}

/** A file of a draft, and its signature before it is cut. */
export interface SealedFile { name: string, bytes: number, signature: string }

/** A draft's files by name, read-only from here on. Throws GOLDEN_BUILD_FAILED when there is what may not be there. */
export async function sealFiles (dir: string): Promise<SealedFile[]> {
  const entries = await readdir(dir, { withFileTypes: true })
  for (const entry of entries) {
    const sound = entry.isFile() && GOLDEN_FILE_NAME.test(entry.name)
    if (!sound) throw new PlantError('GOLDEN_BUILD_FAILED', { file: entry.name, problem: 'only plain files may be in a golden machine' })
  }
  if (entries.length === 0 || entries.length > GOLDEN_FILES_MAX) throw new PlantError('GOLDEN_BUILD_FAILED', { files: entries.length, allowed: `1 to ${GOLDEN_FILES_MAX}` })
  return Promise.all(entries.map(({ name }) => name).sort().map(async (name) => {
    const path = join(dir, name)
    await chmod(path, modeOf(name))
    return { name, ...await signatureOf(path) }
  }))
}

/** Of a golden machine's file. */
export function modeOf (name: string): number {
  return name === MEMORY_FILE && process.getuid?.() !== 0 ? OWNER_WRITES : READ_ONLY
}

/** Writes the description and makes it and the directory durable. */
export async function writeDescription (dir: string, golden: Golden): Promise<void> {
  await writeDurably(join(dir, DESCRIPTION_FILE), JSON.stringify(golden, undefined, 1) + '\n')
  await syncPath(dir)
}

/** Writes a new read-only file that is on the disk when this returns; its directory is the caller's to make durable. */
export async function writeDurably (path: string, content: string | Uint8Array): Promise<void> {
  const file = await open(path, 'wx', READ_ONLY)
  try {
    await file.writeFile(content)
    await file.sync()
  } finally {
    await file.close()
  }
}

/** Reads and checks a description; GOLDEN_CORRUPT, or the file system's error when there is none. */
export async function readDescription (dir: string): Promise<Golden> {
  const file = await open(join(dir, DESCRIPTION_FILE), 'r')
  try {
    const { size } = await file.stat()
    if (size > DESCRIPTION_BYTES_MAX) throw new PlantError('GOLDEN_CORRUPT', { file: DESCRIPTION_FILE, problem: 'too long', bytes: size })
    return parseDescription(await file.readFile('utf8'))
  } finally {
    await file.close()
  }
}

/** Takes a file over from another directory: linked, or copied where the file system does not link. */
export async function takeOver (from: string, to: string, name: string): Promise<void> {
  try {
    await link(from, to)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    // Another file system, one that has no links, too many of them, or another user's file (protected_hardlinks).
    if (code !== 'EXDEV' && code !== 'EPERM' && code !== 'EMLINK' && code !== 'ENOTSUP') throw error
    await sparseCopy(from, to)
    await chmod(to, modeOf(name))
    await syncPath(to)
  }
}
