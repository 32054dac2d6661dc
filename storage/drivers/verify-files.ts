/** Finds out whether a golden machine's files are what its description says, and renders what is not there or not right. */
import { chmod, mkdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { PlantError, type Crypto, type Log } from '../../protocols/kit/index.ts'
import { fileRoot, placesIn, type ImageFile } from '../../protocols/image/index.ts'
import type { GoldenFile } from '../../protocols/order/golden.ts'
import { modeOf, signatureOf } from './golden-files.ts'
import { hashFile } from './hash-file.ts'
import { cutFiles, render } from './piece-jobs.ts'
import { filesDirOf, type Item, type Scope } from './shelf-item.ts'
import type { ShelfImage } from './shelf-image.ts'

/** What is wrong with a file. */
export interface FileFault { file: string, expected: string, found: string }

/** Of a golden machine that earlier versions kept: the first file that is not what it was. Files of which nothing has changed since they were found right are not hashed. */
export async function verifyHashes (item: Item, signal: AbortSignal): Promise<FileFault | undefined> {
  const faults = await Promise.all(item.golden.files.map(async (file) => verifyHash(item, file, signal)))
  return faults.find((fault) => fault !== undefined)
}

async function verifyHash (item: Item, file: GoldenFile, signal: AbortSignal): Promise<FileFault | undefined> {
  const path = join(item.dir, file.name)
  const wrong = (found: string): FileFault => ({ file: file.name, expected: file.sha256 ?? '', found })
  const before = await signatureIfThere(path)
  if (before === undefined) return wrong('missing')
  if (item.sound.get(file.name) === before.signature) return undefined
  if (before.bytes !== file.bytes) return wrong(`${before.bytes} bytes instead of ${file.bytes}`)
  const found = await hashFile(path, before.bytes, signal)
  if (found !== file.sha256) return wrong(found)
  // Of the moment before hashing: what changes meanwhile has another signature and is hashed again next time.
  item.sound.set(file.name, before.signature)
  return undefined
}

async function signatureIfThere (path: string): Promise<{ signature: string, bytes: number } | undefined> {
  try {
    return await signatureOf(path)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}

export interface RenderComponents { crypto: Crypto, log: Log, newDraft: () => Promise<string> }

/**
 * All files of an image, found right or rendered anew. Throws IMAGE_INCOMPLETE, or GOLDEN_CORRUPT when a pack does not have what it had: those
 * pieces are missing from then on.
 */
export async function readyFiles (item: Item, image: ShelfImage, c: RenderComponents, scope: Scope, signal: AbortSignal): Promise<void> {
  const { goldenId, name } = item.golden
  const dir = filesDirOf(item)
  const there = await Promise.all(image.manifest.files.map(async (file, number) => ({ number, ...file, now: await signatureIfThere(join(dir, file.name)) })))
  const unsure = there.filter((file) => file.now === undefined || file.now.signature !== item.sound.get(file.name))
  if (unsure.length === 0) return
  const sized = unsure.filter((file) => file.now?.bytes === file.bytes)
  const cut = await cutFiles(dir, sized, signal)
  const right = new Set<string>()
  for (const [i, file] of sized.entries()) {
    const hashes = cut[i]?.hashes
    // Cut anew, each position is a piece of its own.
    const found = hashes === undefined ? '' : fileRoot(c.crypto, { bytes: file.bytes, extents: hashes.length > 0 ? [{ at: 0, count: hashes.length / 32, piece: 0 }] : [] }, hashes)
    if (found === item.golden.files[file.number]?.root && file.now !== undefined) {
      item.sound.set(file.name, file.now.signature)
      right.add(file.name)
    } else {
      c.log.warn({ goldenId, name, file: file.name, found }, 'a rendered file was altered and is made again')
    }
  }
  const wanted = unsure.filter((file) => !right.has(file.name) && isIn(scope, file, image))
  if (wanted.length === 0) return
  if (!wanted.every((file) => hasArrived(file, image))) throw new PlantError('IMAGE_INCOMPLETE', { goldenId, name, missing: image.missing() })
  await renderInto(dir, item, image, wanted, c, signal)
}

function isIn (scope: Scope, file: ImageFile & { now: unknown }, image: ShelfImage): boolean {
  switch (scope) {
    case 'all': return true
    case 'there': return file.now !== undefined
    case 'arrived': return hasArrived(file, image)
    default: throw new Error(`no such scope: ${String(scope satisfies never)}`)
  }
}

/** Whether all its pieces are here. */
function hasArrived (file: ImageFile, { manifest, packs }: ShelfImage): boolean {
  if (packs.every((pack) => pack.missing() === 0)) return true
  const byNumber = new Map(packs.map(({ number, pack }) => [number, pack]))
  return placesIn(manifest, file).every(({ pack, index }) => byNumber.get(pack)?.has(index) === true)
}

async function renderInto (dir: string, item: Item, image: ShelfImage, wanted: Array<{ number: number, name: string }>, c: RenderComponents, signal: AbortSignal): Promise<void> {
  const draft = await c.newDraft()
  try {
    const { hashes, places, files, packs } = image.manifest
    const packPaths = packs.map((_, number) => image.packs.find((pack) => pack.number === number)?.pack.path)
    const altered = await render({ manifest: { hashes, places, files }, packPaths, files: wanted.map(({ number, name }) => ({ file: number, to: join(draft, name) })) }, signal)
    if (altered.length > 0) {
      for (const { pack, index } of altered) image.packs.find(({ number }) => number === pack)?.pack.lost(index)
      throw new PlantError('GOLDEN_CORRUPT', { goldenId: item.golden.goldenId, name: item.golden.name, file: files[altered[0]?.file ?? 0]?.name, pieces: altered.length, problem: 'pieces were altered and are missing now' })
    }
    // Not what is above it: a golden machine that was removed meanwhile must leave nothing.
    await mkdir(dir, { mode: 0o700 }).catch((error: unknown) => {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
    })
    for (const { name } of wanted) {
      await chmod(join(draft, name), modeOf(name))
      // Whoever has the old file open keeps it.
      await rename(join(draft, name), join(dir, name))
      item.sound.set(name, (await signatureOf(join(dir, name))).signature)
    }
  } finally {
    await rm(draft, { recursive: true, force: true })
  }
}
