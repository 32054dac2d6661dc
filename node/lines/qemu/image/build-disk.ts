/** Builds the parts of the golden machine `tiny` from Debian's packages: kernel, initrd and disk. Needs no root and installs nothing. */
import { copyFile, mkdtemp, mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PlantError } from '../../../../protocols/kit/index.ts'
import { fetchPackages, unpackPackages } from '../../../setup/debian-packages.ts'
import { runTool } from '../../../setup/run-tool.ts'
import { hostFileSystemTools, makeFileSystem, unpackedFileSystemTools } from './disk.ts'
import type { FileSystemTools } from './disk.ts'
import { buildInitrd } from './initrd.ts'
import { FILTER_PACKAGES, FILTER_WANTED, layOutFilter } from './packet-filter.ts'
import { layOutRoot } from './root-files.ts'

/** Of everything these depend on, only what tiny is made of is fetched. */
export const GUEST_PACKAGES = ['linux-image-cloud-amd64', 'busybox-static', 'perl-base']
/** See GUEST_PACKAGES. */
export const GUEST_WANTED = /^(linux-image-\d.*|busybox-static|perl-base|libc6|libcrypt1)$/
/** Beside them: with what a router filters and translates addresses. */
const TINY_PACKAGES = [...GUEST_PACKAGES, ...FILTER_PACKAGES]
const TINY_WANTED = new RegExp(`${GUEST_WANTED.source}|${FILTER_WANTED.source}`)
const FILE_SYSTEM_PACKAGES = ['e2fsprogs', 'libext2fs2', 'libcom-err2', 'libss2', 'libblkid1', 'libuuid1']

export interface TinyDiskRequest {
  /** Where the files go: `kernel`, `initrd` and `disk.qcow2`. */
  dir: string
  diskMiB: number
  /** Keeps packages and apt's lists between builds. */
  cacheDir: string
  /** Path of qemu-img, and the environment it needs when it was unpacked rather than installed. */
  qemuImg: string
  qemuEnv?: NodeJS.ProcessEnv
  /** Called with a sentence for people and the share of this build that is done, 0 to 1. */
  onStep?: (step: string, share: number) => void
  signal?: AbortSignal | undefined
}

/** Throws SETUP_FAILED (fetching) or GOLDEN_BUILD_FAILED (building); then nothing is left in `dir`. */
export async function buildTinyDisk (request: TinyDiskRequest): Promise<{ kernel: string, initrd: string, disk: string }> {
  const { dir, cacheDir, signal } = request
  const step = (text: string, share: number): void => { request.onStep?.(text, share) }
  await mkdir(dir, { recursive: true })
  const work = await mkdtemp(join(dir, '.build-'))
  try {
    const debsDir = join(cacheDir, 'debs')
    step('fetching kernel, busybox, perl and iptables', 0)
    const debs = await fetchPackages({ names: TINY_PACKAGES, closure: true, wanted: TINY_WANTED, dir: debsDir, cacheDir, onStep: (text) => { step(text, 0.1) }, signal })
    const tools = await fileSystemTools(debsDir, cacheDir, work, signal)
    step('unpacking', 0.4)
    const unpacked = join(work, 'unpacked')
    await unpackPackages(debs, unpacked, signal)
    step('laying out the root file system', 0.6)
    const root = join(work, 'root')
    await layOutRoot(unpacked, root, signal)
    await layOutFilter(unpacked, root, signal)
    await writeFile(join(work, 'initrd'), await buildInitrd(join(unpacked, 'lib/modules'), join(unpacked, 'bin/busybox')))
    await copyFile(await kernelOf(join(unpacked, 'boot')), join(work, 'kernel'))
    step('making the disk', 0.8)
    await makeFileSystem(tools, root, join(work, 'disk.raw'), request.diskMiB, signal)
    await runTool(request.qemuImg, ['convert', '-f', 'raw', '-O', 'qcow2', join(work, 'disk.raw'), join(work, 'disk.qcow2')],
      { signal, env: request.qemuEnv ?? process.env, failure: 'GOLDEN_BUILD_FAILED' })
    for (const name of ['kernel', 'initrd', 'disk.qcow2']) await rename(join(work, name), join(dir, name))
    step('disk made', 1)
    return { kernel: join(dir, 'kernel'), initrd: join(dir, 'initrd'), disk: join(dir, 'disk.qcow2') }
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}

/** The host's tools, or unpacked ones in `work`. */
export async function fileSystemTools (debsDir: string, cacheDir: string, work: string, signal?: AbortSignal): Promise<FileSystemTools> {
  const there = await hostFileSystemTools()
  if (there !== undefined) return there
  const dir = join(work, 'e2fsprogs')
  await unpackPackages(await fetchPackages({ names: FILE_SYSTEM_PACKAGES, dir: debsDir, cacheDir, signal }), dir, signal)
  return unpackedFileSystemTools(dir)
}

/** The kernel in a package's `boot` directory; it is shipped packed, as it is. */
export async function kernelOf (bootDir: string): Promise<string> {
  const name = (await readdir(bootDir)).find((file) => file.startsWith('vmlinuz-'))
  if (name === undefined) throw new PlantError('GOLDEN_BUILD_FAILED', { problem: 'the kernel package has no kernel' })
  return join(bootDir, name)
}
