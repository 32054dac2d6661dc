/** An ext4 disk from a directory, without root and without mounting anything. */
import { access, readdir, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { runTool } from '../../../setup/run-tool.ts'

export interface FileSystemTools {
  mke2fs: string
  debugfs: string
  env: NodeJS.ProcessEnv
}

/** The host's e2fsprogs, also where a plain user's PATH does not reach, or undefined. */
export async function hostFileSystemTools (): Promise<FileSystemTools | undefined> {
  for (const dir of ['/usr/sbin', '/sbin']) {
    const tools = { mke2fs: join(dir, 'mke2fs'), debugfs: join(dir, 'debugfs'), env: process.env }
    const there = await Promise.all([access(tools.mke2fs), access(tools.debugfs)]).then(() => true, () => false)
    if (there) return tools
  }
  return undefined
}

/** e2fsprogs and its libraries as unpacked from Debian's packages. */
export function unpackedFileSystemTools (dir: string): FileSystemTools {
  const libraries = [join(dir, 'lib/x86_64-linux-gnu'), join(dir, 'usr/lib/x86_64-linux-gnu')].join(':')
  return { mke2fs: join(dir, 'sbin/mke2fs'), debugfs: join(dir, 'sbin/debugfs'), env: { ...process.env, LD_LIBRARY_PATH: libraries, MKE2FS_CONFIG: '/dev/null' } }
}

/** Makes `image`, a raw ext4 file system of `diskMiB` with the files of `root`, all owned by root. */
export async function makeFileSystem (tools: FileSystemTools, root: string, image: string, diskMiB: number, signal?: AbortSignal): Promise<void> {
  const lines: string[] = []
  for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name).slice(root.length)
    lines.push(`sif "${path}" uid 0`, `sif "${path}" gid 0`)
  }
  await fillFileSystem(tools, root, image, { diskMiB, label: 'tiny', commands: [...lines, 'sif / uid 0', 'sif / gid 0'] }, signal)
}

export interface FileSystemShape {
  diskMiB: number
  label: string
  /** What debugfs is told afterwards: mke2fs keeps the owner of each file, whoever builds. */
  commands: string[]
}

/** Makes `image`, a raw ext4 file system with the files of `root`. Throws GOLDEN_BUILD_FAILED when they do not fit. */
export async function fillFileSystem (tools: FileSystemTools, root: string, image: string, { diskMiB, label, commands }: FileSystemShape, signal?: AbortSignal): Promise<void> {
  const options = { env: tools.env, signal, failure: 'GOLDEN_BUILD_FAILED' } as const
  await rm(image, { force: true })
  await writeFile(image, '')
  await truncate(image, diskMiB * 1024 * 1024)
  // Tables are written now (as holes), so that the guest's kernel does not write them into every clone's overlay. A journal of 8 MiB is
  // the smallest that does not slow down a disk grown to some 20 GiB.
  // Features are named because the tools' defaults differ between configurations, and some have none.
  const features = 'none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,flex_bg,sparse_super,large_file,huge_file,dir_nlink,extra_isize,metadata_csum'
  const extended = 'lazy_itable_init=0,lazy_journal_init=0,nodiscard'
  await runTool(tools.mke2fs, ['-q', '-F', '-t', 'ext4', '-b', '4096', '-I', '256', '-O', features, '-m', '1', '-J', 'size=8', '-E', extended, '-L', label, '-d', root, image], options)
  await runTool(tools.debugfs, ['-w', '-f', '-', image], { ...options, input: `${commands.join('\n')}\n` })
}
