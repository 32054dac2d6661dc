/** tiny's initrd: loads the drivers that Debian's cloud kernel has as modules, mounts the disk and hands over to it. */
import { readFile } from 'node:fs/promises'
import { cpioArchive } from './cpio.ts'
import type { CpioEntry } from './cpio.ts'
import { modulesOf } from './kernel-modules.ts'

/** The disk first; then what the golden machine must have loaded before it is suspended, for only what a packet filter asks for is loaded later. */
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
  const ordered = await modulesOf(modulesDir, MODULES)
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
