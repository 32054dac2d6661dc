/**
 * A cloud image as others make them, for tests of import: a disk with a partition, GRUB in its first sectors, Debian with its own kernel and
 * initrd, and cloud-init. Made of Debian's packages, for none can be had ready from there; nothing is mounted and no device is asked.
 */
import { createReadStream } from 'node:fs'
import { mkdir, open, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { attributeCommands } from '../../node/lines/qemu/image/tree-disk.ts'
import { makeDebianRoot } from '../../node/lines/qemu/image/debian-root.ts'
import { fillFileSystem, hostFileSystemTools } from '../../node/lines/qemu/image/disk.ts'
import { RootTree } from '../../node/lines/qemu/image/root-tree.ts'
import { readTar } from '../../node/lines/qemu/image/tar-read.ts'
import { fetchPackages, unpackPackages } from '../../node/setup/debian-packages.ts'
import { runTool } from '../../node/setup/run-tool.ts'

const MIB_BYTES = 1024 * 1024
const SECTOR_BYTES = 512
const DISK_MIB = 1536
const GRUB_PACKAGES = ['grub-common', 'grub-pc-bin', 'liblzma5', 'libdevmapper1.02.1', 'libselinux1', 'libudev1', 'libpcre2-8-0']
const GRUB_MODULES = ['biosdisk', 'part_msdos', 'ext2', 'linux', 'normal', 'configfile', 'serial', 'terminal', 'boot', 'echo']
const GRUB_CONFIG = `serial --unit=0
terminal_input serial
terminal_output serial
set timeout=0
menuentry cloud {
  linux /vmlinuz root=/dev/vda1 ro console=ttyS0 quiet tsc=reliable no_timer_check mitigations=off nokaslr random.trust_cpu=on
  initrd /initrd.img
}
`

/** Makes the image `file` (qcow2) with `workDir` for what is needed meanwhile. Takes some minutes. */
export async function makeCloudImage (file: string, workDir: string, cacheDir: string): Promise<void> {
  await mkdir(workDir, { recursive: true })
  const archive = join(workDir, 'root.tar')
  await makeDebianRoot({ archive, workDir, cacheDir, packages: ['cloud-init', 'cloud-guest-utils', 'linux-image-cloud-amd64'], onStep: () => {} })
  const tree = new RootTree(join(workDir, 'root'), DISK_MIB * MIB_BYTES)
  await mkdir(tree.dir, { mode: 0o700 })
  await readTar(createReadStream(archive, { highWaterMark: MIB_BYTES }), async (entry, content) => { await tree.take(entry, content) })
  await tree.file('boot/grub/grub.cfg', GRUB_CONFIG)
  await tree.file('etc/fstab', '/dev/vda1 / ext4 defaults 0 1\n')
  await tree.file('etc/hostname', 'cloud\n')
  const tools = await hostFileSystemTools()
  if (tools === undefined) throw new Error('mke2fs is not on this host')
  const partition = join(workDir, 'partition.raw')
  await fillFileSystem(tools, tree.dir, partition, { diskMiB: DISK_MIB - 1, label: 'cloudroot', commands: await attributeCommands(tree, workDir) })
  const disk = join(workDir, 'disk.raw')
  await writeFile(disk, '')
  await runTool('dd', [`if=${partition}`, `of=${disk}`, 'bs=1M', 'seek=1', 'conv=sparse,notrunc'])
  await writeLoader(disk, workDir, cacheDir)
  await runTool('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', disk, file])
  for (const path of [archive, partition, disk]) await rm(path, { force: true })
  await rm(tree.dir, { recursive: true, force: true })
}

/** boot.img reads the sector after it, whose last bytes say how many more there are: grub-mkimage has filled that in. */
async function writeLoader (disk: string, workDir: string, cacheDir: string): Promise<void> {
  const grub = join(workDir, 'grub')
  await unpackPackages(await fetchPackages({ names: GRUB_PACKAGES, dir: join(cacheDir, 'debs'), cacheDir }), grub)
  const modules = join(grub, 'usr/lib/grub/i386-pc')
  const core = join(workDir, 'core.img')
  const env = { ...process.env, LD_LIBRARY_PATH: [join(grub, 'lib/x86_64-linux-gnu'), join(grub, 'usr/lib/x86_64-linux-gnu')].join(':') }
  await runTool(join(grub, 'usr/bin/grub-mkimage'), ['-d', modules, '-O', 'i386-pc', '-o', core, '-p', '(hd0,msdos1)/boot/grub', ...GRUB_MODULES], { env })
  if ((await stat(core)).size > MIB_BYTES - SECTOR_BYTES) throw new Error('the loader does not fit before the partition')
  const boot = await readFile(join(modules, 'boot.img'))
  const first = Buffer.alloc(SECTOR_BYTES)
  boot.copy(first, 0, 0, 440)
  first.set([0x80, 0, 0, 0, 0x83, 0, 0, 0], 446)
  first.writeUInt32LE(MIB_BYTES / SECTOR_BYTES, 454)
  first.writeUInt32LE((DISK_MIB - 1) * MIB_BYTES / SECTOR_BYTES, 458)
  first.writeUInt16LE(0xaa55, 510)
  const out = await open(disk, 'r+')
  try {
    await out.write(first, 0, first.length, 0)
    const image = await readFile(core)
    await out.write(image, 0, image.length, SECTOR_BYTES)
  } finally {
    await out.close()
  }
}
