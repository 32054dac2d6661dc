/** What makes a Debian root file system a good golden machine: nothing that fires on a clock, no name, no keys, a console for its owner. */
import { randomBytes } from 'node:crypto'
import type { RootTree } from './root-tree.ts'

const SYSTEM = 'etc/systemd/system'

/** Whatever a timer did in every clone at once, days after the golden machine was suspended, nobody asked for; all of it can be enabled again. */
const NOT_ENABLED = ['timers.target.wants', 'getty.target.wants']
const NOT_STARTED = ['multi-user.target.wants/e2scrub_reap.service', 'multi-user.target.wants/ssh.service', 'sshd.service']

const FILES: Record<string, string> = {
  'etc/hostname': 'debian\n',
  'etc/hosts': '127.0.0.1\tlocalhost\n127.0.1.1\tdebian\n::1\tlocalhost ip6-localhost\n',
  'etc/fstab': '/dev/vda / ext4 noatime 0 0\n',
  'etc/resolv.conf': '',
  'etc/default/locale': 'LANG=C.UTF-8\n',
  // The log is of this machine, and not written to every clone's disk.
  'etc/systemd/journald.conf.d/plant.conf': '[Journal]\nStorage=volatile\nRuntimeMaxUse=16M\n',
  // Whoever reaches the console owns the machine.
  [`${SYSTEM}/serial-getty@ttyS0.service.d/plant.conf`]: '[Service]\nExecStart=\nExecStart=-/sbin/agetty --autologin root --keep-baud 115200,38400,9600 %I vt220\n'
}

/** Configures an unpacked Debian root file system. */
export async function configureDebian (tree: RootTree): Promise<void> {
  for (const [name, text] of Object.entries(FILES)) await tree.file(name, text)
  for (const dir of NOT_ENABLED) for (const name of tree.names(`${SYSTEM}/${dir}`)) await tree.remove(`${SYSTEM}/${dir}/${name}`)
  for (const name of NOT_STARTED) await tree.remove(`${SYSTEM}/${name}`)
  // Of the golden machine only; every clone gets its own.
  await tree.file('etc/machine-id', `${randomBytes(16).toString('hex')}\n`, 0o444)
  // No key of the golden machine is ever made: systemd listens, and a server is started for each connection, with the keys of the clone.
  for (const name of tree.names('etc/ssh')) if (name.startsWith('ssh_host_')) await tree.remove(`etc/ssh/${name}`)
  await tree.symlink(`${SYSTEM}/sockets.target.wants/ssh.socket`, '/lib/systemd/system/ssh.socket')
  // The card keeps the kernel's name.
  await tree.symlink('etc/systemd/network/99-default.link', '/dev/null')
}
