/** tiny's initrd: loads the drivers that Debian's cloud kernel has as modules, mounts the disk and hands over to it. */
import { readFile, readdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { PlantError } from '../../../../protocols/kit/index.ts'
import { cpioArchive } from './cpio.ts'
import type { CpioEntry } from './cpio.ts'

/** The disk first; then what the golden machine must have loaded before it is suspended, for nothing loads modules later. */
const MODULES = ['virtio_pci', 'virtio_blk', 'virtio_console', 'virtio_net', 'virtio_rng', 'virtio_scsi', 'sr_mod', 'isofs', 'sd_mod']

/** The SCSI layer would ask each of 256 targets whether it is there, for an eighth of a second; drives that are added are found by their event. */
const PARAMETERS: Record<string, string> = { scsi_mod: 'scan=manual' }

/** Directory bits and permissions, file bits and permissions, character device. */
const DIRECTORY = 0o040755
const PROGRAM = 0o100755
const FILE = 0o100644
const CHARACTER_DEVICE = 0o020600

/** Builds the initrd from an unpacked kernel package and a static busybox. Throws GOLDEN_BUILD_FAILED when a driver is missing. */
export async function buildInitrd (modulesDir: string, busybox: string): Promise<Uint8Array> {
  const files = new Map<string, string>()
  for (const entry of await readdir(modulesDir, { recursive: true, withFileTypes: true })) {
    if (entry.isFile() && entry.name.endsWith('.ko')) files.set(moduleName(entry.name), join(entry.parentPath, entry.name))
  }
  const ordered = new Map<string, Buffer>()
  for (const name of MODULES) await addWithDependencies(name, files, ordered)
  const entries: CpioEntry[] = ['bin', 'dev', 'proc', 'root', 'm'].map((name) => ({ name, mode: DIRECTORY }))
  entries.push({ name: 'dev/console', mode: CHARACTER_DEVICE, device: { major: 5, minor: 1 } })
  entries.push({ name: 'bin/busybox', mode: PROGRAM, data: await readFile(busybox) })
  for (const [name, data] of ordered) entries.push({ name: `m/${name}.ko`, mode: FILE, data })
  entries.push({ name: 'init', mode: PROGRAM, data: Buffer.from(initScript([...ordered.keys()])) })
  return cpioArchive(entries)
}

function initScript (modules: string[]): string {
  return `#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t devtmpfs dev /dev
${modules.map((name) => `insmod /m/${name}.ko ${PARAMETERS[name] ?? ''}`.trimEnd()).join('\n')}
if mount -t ext4 -o noatime,noinit_itable /dev/vda /root; then
  mount -o move /dev /root/dev
  mkdir /root/dev/pts /root/dev/shm
  umount /proc
  exec /bin/busybox switch_root /root /sbin/init
fi
echo 'plant: the disk /dev/vda cannot be mounted' > /dev/console
poweroff -f
`
}

function moduleName (file: string): string {
  return basename(file, '.ko').replaceAll('-', '_')
}

/** Adds a module after those it needs, which it names in its own `depends=` field (kernel, scripts/mod/modpost.c). */
async function addWithDependencies (name: string, files: Map<string, string>, ordered: Map<string, Buffer>): Promise<void> {
  if (ordered.has(name)) return
  const path = files.get(name)
  if (path === undefined) throw new PlantError('GOLDEN_BUILD_FAILED', { problem: 'the kernel package lacks a driver', module: name })
  const data = await readFile(path)
  const depends = /\0depends=([^\0]*)\0/.exec(data.toString('latin1'))?.[1] ?? ''
  for (const needed of depends.split(',').filter(Boolean)) {
    // What is not a module is built into the kernel.
    if (files.has(moduleName(needed))) await addWithDependencies(moduleName(needed), files, ordered)
  }
  ordered.set(name, data)
}
