/** Builds the parts of a Debian golden machine: kernel, initrd and disk. Needs no root, mounts nothing on the host, installs nothing. */
import { createReadStream } from 'node:fs'
import { copyFile, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { GUEST_PACKAGES, GUEST_WANTED, fileSystemTools, kernelOf } from './build-disk.ts'
import type { TinyDiskRequest } from './build-disk.ts'
import { configureDebian } from './debian-files.ts'
import { makeDebianRoot } from './debian-root.ts'
import { fetchPackages, unpackPackages } from '../../../setup/debian-packages.ts'
import { installAgent } from './guest-agent.ts'
import { buildInitrd } from './initrd.ts'
import { RootTree } from './root-tree.ts'
import { readTar } from './tar-read.ts'
import { diskOfTree } from './tree-disk.ts'

const MIB_BYTES = 1024 * 1024
const READ_BYTES = 1024 * 1024
/** Shares of the time, as measured on two cores: fetching 5 s, mmdebstrap 60 s, unpacking its archive 8 s, the disk 7 s. */
const SHARES = { root: 0.05, unpack: 0.78, disk: 0.9 }

/** What tiny's build asks for, and Debian packages beside those that every Debian machine gets. */
export interface DebianDiskRequest extends TinyDiskRequest {
  packages?: string[]
}

/** Throws SETUP_FAILED, GOLDEN_BUILD_FAILED or IMAGE_INVALID (the disk is too small); then nothing is left in `dir`. */
export async function buildDebianDisk (request: DebianDiskRequest): Promise<void> {
  const { dir, cacheDir, signal } = request
  const step = (text: string, share: number): void => { request.onStep?.(text, share) }
  await mkdir(dir, { recursive: true })
  const work = await mkdtemp(join(dir, '.build-'))
  try {
    const debsDir = join(cacheDir, 'debs')
    step('fetching the kernel', 0)
    const debs = await fetchPackages({ names: GUEST_PACKAGES, closure: true, wanted: GUEST_WANTED, dir: debsDir, cacheDir, signal })
    const tools = await fileSystemTools(debsDir, cacheDir, work, signal)
    const unpacked = join(work, 'unpacked')
    await unpackPackages(debs, unpacked, signal)
    await writeFile(join(work, 'initrd'), await buildInitrd(join(unpacked, 'lib/modules'), join(unpacked, 'bin/busybox')))
    await copyFile(await kernelOf(join(unpacked, 'boot')), join(work, 'kernel'))
    const archive = join(work, 'root.tar')
    await makeDebianRoot({
      archive, workDir: work, cacheDir, modulesFrom: unpacked, signal, ...(request.packages !== undefined && { packages: request.packages }),
      onStep: (text, share) => { step(text, SHARES.root + share * (SHARES.unpack - SHARES.root)) }
    })
    step('laying out the root file system', SHARES.unpack)
    const tree = new RootTree(join(work, 'root'), request.diskMiB * MIB_BYTES)
    await mkdir(tree.dir, { mode: 0o700 })
    await readTar(createReadStream(archive, { highWaterMark: READ_BYTES, signal }), async (entry, content) => { await tree.take(entry, content) })
    await rm(archive)
    await configureDebian(tree)
    await installAgent(tree)
    step('making the disk', SHARES.disk)
    await diskOfTree(tree, join(work, 'disk.qcow2'), { tools, qemu: { img: request.qemuImg, env: request.qemuEnv ?? process.env }, workDir: work, diskMiB: request.diskMiB, label: 'debian' }, signal)
    for (const name of ['kernel', 'initrd', 'disk.qcow2']) await rename(join(work, name), join(dir, name))
    step('disk made', 1)
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}
