/** The thread that unpacks one kernel; started by `kernels.ts` only. Posts the path of the ELF image, or undefined for a kernel that has none. */
import { createHash } from 'node:crypto'
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, readdirSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parentPort, workerData } from 'node:worker_threads'
import { elfOf } from './kernel-image.ts'
import type { KernelJob } from './kernels.ts'

/** One kernel is unpacked at a time. */
const DRAFT = 'new'

const { kernel, dir, kernelsMax } = workerData as KernelJob
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port, not a window
parentPort?.postMessage(unpacked())

/** Named by the digests of what it was made of and of itself: unpacking takes longer than looking whether it is what it was. */
function unpacked (): string | undefined {
  const packed = readFileSync(kernel)
  const packedDigest = digest(packed)
  const there = namesIn(dir).find((name) => name.startsWith(`${packedDigest}.`) && digestOf(join(dir, name)) === name.slice(packedDigest.length + 1))
  const name = there ?? made(packed, packedDigest)
  if (name === undefined) return undefined
  const now = new Date()
  utimesSync(join(dir, name), now, now)
  clear(name)
  return join(dir, name)
}

/** Whole and on the disk, or not at all. */
function made (packed: Buffer, packedDigest: string): string | undefined {
  const elf = elfOf(packed)
  if (elf === undefined) return undefined
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  const name = `${packedDigest}.${digest(elf)}`
  const draft = openSync(join(dir, DRAFT), 'w', 0o400)
  try {
    writeFileSync(draft, elf)
    fsyncSync(draft)
  } finally {
    closeSync(draft)
  }
  renameSync(join(dir, DRAFT), join(dir, name))
  return name
}

/** Leaves as many as may be kept, the last used ones; a draft is what a crash left. */
function clear (used: string): void {
  const others = namesIn(dir).filter((name) => name !== used && name !== DRAFT).map((name) => ({ name, atMs: statSync(join(dir, name)).mtimeMs }))
  others.sort((a, b) => b.atMs - a.atMs)
  for (const name of [DRAFT, ...others.slice(kernelsMax - 1).map((other) => other.name)]) rmSync(join(dir, name), { force: true })
}

function namesIn (of: string): string[] {
  try {
    return readdirSync(of)
  } catch {
    return [] // Nothing was unpacked yet.
  }
}

function digest (bytes: Uint8Array): string { return createHash('sha256').update(bytes).digest('hex') }

function digestOf (path: string): string | undefined {
  try {
    return digest(readFileSync(path))
  } catch {
    return undefined // None, or none that can be read: made anew.
  }
}
