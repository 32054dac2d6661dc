/**
 * What is on disk of a machine, and nothing else is known of it: `machines/VMID/` in the data directory holds its description
 * (`machine.json`, written before anything is started), its overlay, its sockets and QEMU's log.
 */
import { constants } from 'node:fs'
import { copyFile, mkdir, open, readFile, readdir, rename, rm, stat, statfs, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { PlantError, isVmId } from '../../../protocols/kit/index.ts'
import type { VmId } from '../../../protocols/kit/index.ts'
import { LOG_BYTES_MAX, LOG_TAIL_BYTES } from './limits.ts'
import { WHOLE } from './parts.ts'

const DESCRIPTION = z.object({
  version: z.literal(1),
  vmId: z.string(),
  goldenId: z.string(),
  goldenDir: z.string(),
  /** Which of the files that a golden machine may lack it has; all of them when nothing is said. */
  parts: z.object({ kernel: z.boolean(), initrd: z.boolean(), suspended: z.boolean() }).default(WHOLE),
  /** The golden machine's disk is, or is about to be, read from this file and not from the one in its directory. */
  diskPath: z.string().optional(),
  /** It is read from what is served here, unless a switch to `diskPath` has been made that was not noted any more. */
  diskSocket: z.string().optional(),
  fingerprint: z.string(),
  cpus: z.number(),
  memoryMiB: z.number(),
  diskMiB: z.number(),
  mac: z.string(),
  /** Its QEMU, once started; a crash in between leaves a process that is found by its working directory. */
  process: z.object({ pid: z.number(), startTicks: z.string() }).optional(),
  /** The guest has answered and has its whole disk: before that the machine is half made, and is not adopted. */
  made: z.boolean(),
  /** Paused because its owner said so: it stays so when it is adopted. */
  held: z.boolean()
})

export type MachineDescription = z.output<typeof DESCRIPTION>

/** File name of a machine's copy-on-write disk. */
export const OVERLAY = 'overlay.qcow2'
/** File name of what a machine's QEMU prints. */
export const LOG = 'qemu.log'
const FILE = 'machine.json'

/** Writes the description, whole or not at all. */
export async function writeDescription (dir: string, description: MachineDescription): Promise<void> {
  const draft = join(dir, `${FILE}.new`)
  await onDisk(dir, async () => {
    await writeFile(draft, JSON.stringify(description), { mode: 0o600 })
    await rename(draft, join(dir, FILE))
  })
}

/** The description, or undefined when there is none that makes sense: then only sweeping is left. A file that cannot be read just now is an error. */
export async function readDescription (dir: string): Promise<MachineDescription | undefined> {
  let text: string
  try {
    text = await readFile(join(dir, FILE), 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
  try {
    const parsed = DESCRIPTION.safeParse(JSON.parse(text))
    return parsed.success ? parsed.data : undefined
  } catch {
    return undefined // Not JSON: as good as none.
  }
}

/** Machines that have a directory. */
export async function machineDirs (root: string): Promise<VmId[]> {
  return (await readdir(root).catch((): string[] => [])).filter((name) => isVmId(name))
}

/** The end of QEMU's own output. */
export async function logTail (dir: string): Promise<string> {
  const path = join(dir, LOG)
  const file = await open(path).catch(() => undefined)
  if (file === undefined) return ''
  try {
    const { size } = await file.stat()
    const bytes = Buffer.alloc(Math.min(size, LOG_TAIL_BYTES))
    await file.read(bytes, 0, bytes.length, size - bytes.length)
    return bytes.toString('utf8').trim()
  } finally {
    await file.close()
  }
}

/** Keeps a log bounded. QEMU appends, so what it writes next goes on from the new end. */
export async function trimLog (dir: string): Promise<void> {
  const path = join(dir, LOG)
  const size = await stat(path).then((s) => s.size, () => 0)
  if (size > LOG_BYTES_MAX) await truncate(path)
}

/** Copies a file, sharing its blocks where the file system can. */
export async function cloneFile (from: string, to: string): Promise<void> {
  await onDisk(to, async () => { await copyFile(from, to, constants.COPYFILE_FICLONE) })
}

/** st_blocks counts these, whatever the file system's own blocks are (stat(2)). */
const STAT_BLOCK_BYTES = 512

/** Bytes that a file occupies on the disk, holes left out. */
export async function bytesOf (path: string): Promise<number> {
  return (await stat(path)).blocks * STAT_BLOCK_BYTES
}

/** Makes a directory for its owner alone. */
export async function makeDir (dir: string): Promise<void> {
  await onDisk(dir, async () => { await mkdir(dir, { recursive: true, mode: 0o700 }) })
}

/** Removes a directory or file and all that is in it; done when there is none. */
export async function removeDir (dir: string): Promise<void> {
  await rm(dir, { recursive: true, force: true, maxRetries: 3 })
}

/** Runs a step that writes; a full disk (or quota, or file size limit) becomes DISK_FULL with the place. */
export async function onDisk<T> (path: string, step: () => Promise<T>): Promise<T> {
  try {
    return await step()
  } catch (cause) {
    throw asDiskFull(path, cause)
  }
}

/** DISK_FULL for a file system's ways of saying that there is no room; anything else stays what it is. */
export function asDiskFull (path: string, cause: unknown): unknown {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
  return code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG' ? new PlantError('DISK_FULL', { path }, { cause }) : cause
}

/** Throws DISK_FULL unless there is room: memory that is a file kills its QEMU (SIGBUS) when the disk is full. */
export async function needRoom (dir: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(dir)
  const freeBytes = bavail * bsize
  if (freeBytes < bytes) throw new PlantError('DISK_FULL', { path: dir, neededBytes: bytes, freeBytes })
}
