/** What a golden machine consists of. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Golden } from '../../../protocols/order/golden.ts'

/** A golden machine's files, by name. Kernel and initrd are not there when the disk has its own loader, the seed only while its agent is not in it. */
export const GOLDEN_FILES = { kernel: 'kernel', initrd: 'initrd', disk: 'disk.qcow2', ram: 'ram', state: 'state', seed: 'seed.iso' } as const

/** Those that it may lack: without a kernel its own boot loader is started, without memory and state it is booted and not resumed. With a seed its agent is not in the disk yet. */
export interface Parts { kernel: boolean, initrd: boolean, suspended: boolean, seed: boolean }

/** A suspended golden machine with a kernel of ours. */
export const WHOLE: Parts = { kernel: true, initrd: true, suspended: true, seed: false }

/** By its description; one that names no files is whole. */
export function partsOf ({ files }: Golden): Parts {
  if (files.length === 0) return WHOLE
  return partsWith((file) => files.some(({ name }) => name === file))
}

function partsWith (has: (file: string) => boolean): Parts {
  return { kernel: has(GOLDEN_FILES.kernel), initrd: has(GOLDEN_FILES.initrd), suspended: has(GOLDEN_FILES.state), seed: has(GOLDEN_FILES.seed) }
}

/** Whether a golden machine's directory has this file: where there is no description yet. */
export function hasFile (dir: string, name: keyof typeof GOLDEN_FILES): boolean { return existsSync(join(dir, GOLDEN_FILES[name])) }

/** What a machine is started from, in a golden machine's directory: what it is said to have, or what is there when nothing is said. */
export function startFiles (dir: string, parts: Pick<Parts, 'kernel' | 'initrd'> = partsWith((file) => existsSync(join(dir, file)))): { kernel?: string, initrd?: string, disk: string } {
  return {
    ...(parts.kernel && { kernel: join(dir, GOLDEN_FILES.kernel) }), ...(parts.initrd && { initrd: join(dir, GOLDEN_FILES.initrd) }),
    disk: join(dir, GOLDEN_FILES.disk)
  }
}
