/** Takes in an image that others made: looks at it, copies what is in it into a disk of our own, and says what that disk needs to boot. */
import { createReadStream } from 'node:fs'
import { constants, copyFile, mkdir, mkdtemp, open, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { createGunzip, createZstdDecompress } from 'node:zlib'
import { PlantError } from '../../../../protocols/kit/index.ts'
import { fetchPackages, unpackPackages } from '../../../setup/debian-packages.ts'
import type { QemuCommands } from '../../../setup/qemu-find.ts'
import { runTool } from '../../../setup/run-tool.ts'
import { agentKit } from './agent-kit.ts'
import { GUEST_PACKAGES, GUEST_WANTED, fileSystemTools, kernelOf } from './build-disk.ts'
import { installAgent } from './guest-agent.ts'
import { HEAD_BYTES, checkQcow2, imageKind } from './image-kind.ts'
import type { ImageKind } from './image-kind.ts'
import { buildInitrd } from './initrd.ts'
import { noCloudSeed } from './nocloud-seed.ts'
import { RootTree } from './root-tree.ts'
import { readTar } from './tar-read.ts'
import { diskOfTree } from './tree-disk.ts'

const MIB_BYTES = 1024 * 1024
const READ_BYTES = 1024 * 1024

export interface DiskImport {
  /** Absolute path of the image. */
  file: string
  /** What the golden machine will be called; cloud-init is told. */
  name: string
  /** Gets `disk.qcow2`; `kernel` and `initrd` when it cannot boot by itself; `seed.iso` when the agent is not in it. */
  dir: string
  diskMiB: number
  cacheDir: string
  qemu: Pick<QemuCommands, 'img' | 'env'>
  onStep: (step: string, share: number) => void
  signal?: AbortSignal | undefined
}

/** Throws IMAGE_INVALID, SETUP_FAILED, GOLDEN_BUILD_FAILED or the signal's reason. Returns the disk's size. */
export async function importDisk (request: DiskImport): Promise<{ diskMiB: number }> {
  const { dir, cacheDir, onStep, signal } = request
  const looked = await look(request.file)
  await mkdir(dir, { recursive: true })
  const work = await mkdtemp(join(dir, '.import-'))
  try {
    onStep('fetching kernel, busybox and perl', 0)
    const unpacked = join(work, 'unpacked')
    await unpackPackages(await fetchPackages({ names: GUEST_PACKAGES, closure: true, wanted: GUEST_WANTED, dir: join(cacheDir, 'debs'), cacheDir, signal }), unpacked, signal)
    const kit = await agentKit(unpacked)
    let diskMiB = request.diskMiB
    if (looked.kind === 'tar' || looked.kind === 'tar.gz' || looked.kind === 'tar.zst') {
      const tree = await readRoot(request, looked.kind, looked.fileBytes, work)
      await installAgent(tree, kit)
      await forgetDisks(tree)
      onStep('making the disk', 0.6)
      const tools = await fileSystemTools(join(cacheDir, 'debs'), cacheDir, work, signal)
      await diskOfTree(tree, join(dir, 'disk.qcow2'), { tools, qemu: request.qemu, workDir: work, diskMiB, label: 'imported' }, signal)
    } else {
      onStep('copying the disk', 0.1)
      diskMiB = await copyDisk(request, looked)
      await writeFile(join(dir, 'seed.iso'), await noCloudSeed(request.name, kit))
    }
    if (looked.kind !== 'qcow2' && looked.kind !== 'disk') {
      await writeFile(join(dir, 'initrd'), await buildInitrd(join(unpacked, 'lib/modules'), join(unpacked, 'bin/busybox')))
      await copyFile(await kernelOf(join(unpacked, 'boot')), join(dir, 'kernel'))
    }
    onStep('disk made', 1)
    return { diskMiB }
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}

interface Looked { kind: ImageKind, fileBytes: number, virtualBytes: number }

async function look (path: string): Promise<Looked> {
  // Not waiting on a pipe, should it be one.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch((cause: unknown) => {
    throw new PlantError('IMAGE_INVALID', { file: path, problem: 'it cannot be read by the plant' }, { cause })
  })
  try {
    const stat = await file.stat()
    if (!stat.isFile()) throw new PlantError('IMAGE_INVALID', { file: path, problem: 'it is no plain file' })
    const { buffer, bytesRead } = await file.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0)
    const head = buffer.subarray(0, bytesRead)
    const kind = imageKind(head, stat.size)
    return { kind, fileBytes: stat.size, virtualBytes: kind === 'qcow2' ? checkQcow2(head, stat.size) : stat.size }
  } finally {
    await file.close()
  }
}

/** Copies what the disk holds into an image of our own, which names no other file. It is opened as what it was found to be, never guessed. */
async function copyDisk ({ file, dir, diskMiB, qemu, signal }: DiskImport, { kind, virtualBytes }: Looked): Promise<number> {
  const layer = { driver: 'file', filename: file }
  const source = `json:${JSON.stringify(kind === 'qcow2' ? { driver: 'qcow2', backing: null, file: layer } : { driver: 'raw', file: layer })}`
  const to = join(dir, 'disk.qcow2')
  const img = async (args: string[]): Promise<void> => { await runTool(qemu.img, args, { env: qemu.env, signal, failure: 'GOLDEN_BUILD_FAILED' }) }
  try {
    await img(['convert', '-O', 'qcow2', source, to])
  } catch (cause) {
    signal?.throwIfAborted()
    // Our own disk being full is not the image's fault.
    if (/No space left|quota exceeded|File too large/i.test(JSON.stringify((cause as PlantError).details))) throw cause
    throw new PlantError('IMAGE_INVALID', { problem: 'its content cannot be read', output: (cause as PlantError).details['output'] }, { cause })
  }
  const wantMiB = Math.max(diskMiB, Math.ceil(virtualBytes / MIB_BYTES))
  await img(['resize', '-q', '-f', 'qcow2', to, `${wantMiB}M`])
  return wantMiB
}

async function readRoot ({ file, diskMiB, onStep, signal }: DiskImport, kind: 'tar' | 'tar.gz' | 'tar.zst', fileBytes: number, work: string): Promise<RootTree> {
  const tree = new RootTree(join(work, 'root'), diskMiB * MIB_BYTES)
  await mkdir(tree.dir, { mode: 0o700 })
  const read = createReadStream(file, { highWaterMark: READ_BYTES, ...(signal !== undefined && { signal }) })
  const unpack = kind === 'tar.gz' ? createGunzip() : kind === 'tar.zst' ? createZstdDecompress() : undefined
  const stream: Readable = unpack === undefined ? read : read.on('error', (error) => { unpack.destroy(error) }).pipe(unpack)
  try {
    await readTar(stream, async (entry, content) => {
      onStep('reading the archive', 0.1 + 0.5 * read.bytesRead / fileBytes)
      await tree.take(entry, content)
    })
  } catch (error) {
    signal?.throwIfAborted()
    throw isBadStream(error) ? new PlantError('IMAGE_INVALID', { problem: 'the archive cannot be unpacked: it is damaged or cut off' }, { cause: error }) : error
  } finally {
    read.destroy()
  }
  return tree
}

/** Its disks were another machine's, and a system waits for those it is told of: only what is no device stays in its fstab. */
async function forgetDisks (tree: RootTree): Promise<void> {
  const text = await tree.text('etc/fstab')
  if (text === '') return
  const kept = text.split('\n').filter((line) => !/^\s*(\/dev\/|"?(UUID|LABEL|PARTUUID|PARTLABEL)=)/.test(line))
  await tree.file('etc/fstab', ['/dev/vda / ext4 defaults 0 0', ...kept].join('\n'))
}

/** zlib's own errors: their codes are Z_DATA_ERROR, Z_BUF_ERROR and ZSTD_error_… (zlib, zstd_errors.h). */
function isBadStream (error: unknown): boolean {
  return error instanceof Error && 'code' in error && /^(Z_|ZSTD_)/.test(String(error.code))
}
