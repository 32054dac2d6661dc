/** A disk from a tree: one ext4 file system over the whole of it, so that it grows with the disk, with every file's owner as the tree has it. */
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PlantError } from '../../../../protocols/kit/index.ts'
import type { QemuCommands } from '../../../setup/qemu-find.ts'
import { runTool } from '../../../setup/run-tool.ts'
import { fillFileSystem } from './disk.ts'
import type { FileSystemTools } from './disk.ts'
import type { RootTree, TreeNode } from './root-tree.ts'

/** Type bits of an inode (inode(7)). */
const TYPE_BITS = { directory: 0o040000, file: 0o100000, symlink: 0o120000 } as const
const MIB_BYTES = 1024 * 1024
/** Journal, inodes and block groups take about a twentieth; a system that has no room at all does not boot. */
const ROOM_SHARE = 0.8
/** Blocks of 4 KiB: a file of one byte takes one. */
const BYTES_A_FILE = 4096

export interface TreeDisk {
  tools: FileSystemTools
  qemu: Pick<QemuCommands, 'img' | 'env'>
  /** For what is only needed while it is made. */
  workDir: string
  diskMiB: number
  label: string
}

/** Makes `disk`, a qcow2 image. Throws IMAGE_INVALID when the tree does not fit, GOLDEN_BUILD_FAILED or the signal's reason. */
export async function diskOfTree (tree: RootTree, disk: string, c: TreeDisk, signal?: AbortSignal): Promise<void> {
  const needBytes = tree.bytes + tree.count * BYTES_A_FILE
  if (needBytes > c.diskMiB * MIB_BYTES * ROOM_SHARE) {
    throw new PlantError('IMAGE_INVALID', { problem: 'its files do not fit on the disk', diskMiB: c.diskMiB, diskMiBMin: Math.ceil(needBytes / ROOM_SHARE / MIB_BYTES) })
  }
  const raw = join(c.workDir, 'disk.raw')
  try {
    await fillFileSystem(c.tools, tree.dir, raw, { diskMiB: c.diskMiB, label: c.label, commands: await attributeCommands(tree, c.workDir) }, signal)
    await runTool(c.qemu.img, ['convert', '-f', 'raw', '-O', 'qcow2', raw, disk], { signal, env: c.qemu.env, failure: 'GOLDEN_BUILD_FAILED' })
  } finally {
    await rm(raw, { force: true })
  }
}

/** What debugfs is told so that the disk has what the host could not keep. */
export async function attributeCommands (tree: RootTree, workDir: string): Promise<string[]> {
  const commands: string[] = []
  let capabilities = 0
  for (const [path, node] of tree.entries()) {
    const name = `"/${path.replaceAll('"', '""')}"`
    commands.push(...attributesOf(name, node))
    if (node.capability === undefined) continue
    const file = join(workDir, `capability-${capabilities++}`)
    await writeFile(file, node.capability)
    commands.push(`ea_set -f "${file}" ${name} security.capability`)
  }
  return commands
}

function attributesOf (name: string, node: TreeNode): string[] {
  const mode = (TYPE_BITS[node.kind] | node.mode).toString(8)
  return [`sif ${name} mode 0${mode}`, `sif ${name} uid ${node.uid}`, `sif ${name} gid ${node.gid}`, `sif ${name} mtime @${node.mtimeS}`]
}
