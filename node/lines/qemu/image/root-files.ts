/** tiny's root file system: busybox, perl-base with its libraries, and the agent. */
import { chmod, copyFile, cp, mkdir, readdir, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { runTool } from '../../../setup/run-tool.ts'

const GUEST_FILES = join(import.meta.dirname, '..', 'guest')
/** Where libraries are in tiny. */
export const LIBRARY_DIR = 'lib/x86_64-linux-gnu'
/** What /usr/bin/perl is linked against, and what glibc loads for look-ups of users by programs that are not static. */
export const LIBRARIES = ['libc.so.6', 'libm.so.6', 'libcrypt.so.1', 'libdl.so.2', 'libpthread.so.0']
const DIRECTORIES = ['bin', 'sbin', 'usr/bin', 'usr/sbin', 'usr/local/bin', 'usr/local/sbin', 'usr/lib/plant', 'etc', 'root', 'home', 'tmp', 'run', 'var/log',
  'var/lib', 'mnt', 'proc', 'sys', 'dev', LIBRARY_DIR, 'lib64', 'etc/plant', 'etc/boot.d']

/** What its owner puts into /etc/boot.d is run at each boot: a router forwards again after one. */
const INITTAB = `::sysinit:/bin/mount -a
::sysinit:/bin/run-parts /etc/boot.d
::respawn:/usr/bin/perl /usr/lib/plant/agent.pl
ttyS0::respawn:-/bin/sh
::ctrlaltdel:/sbin/reboot
::shutdown:/bin/umount -a -r
`
// pids and cpu are in the unified hierarchy only when nothing has mounted the old one.
const FSTAB = `proc /proc proc nosuid,nodev,noexec 0 0
sysfs /sys sysfs nosuid,nodev,noexec 0 0
devpts /dev/pts devpts gid=5,mode=620 0 0
tmpfs /dev/shm tmpfs nosuid,nodev,mode=1777 0 0
tmpfs /run tmpfs nosuid,nodev,mode=755,size=32m 0 0
cgroup2 /sys/fs/cgroup cgroup2 nosuid,nodev,noexec 0 0
`
const ETC: Record<string, string> = {
  'inittab': INITTAB,
  'fstab': FSTAB,
  'hostname': 'tiny\n',
  'hosts': '127.0.0.1\tlocalhost\n127.0.1.1\ttiny\n::1\tlocalhost ip6-localhost\n',
  'machine-id': '',
  'passwd': 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n',
  'group': 'root:x:0:\ntty:x:5:\nnogroup:x:65534:\n',
  'shadow': 'root:*:19000:0:99999:7:::\nnobody:*:19000:0:99999:7:::\n',
  'gshadow': 'root:*::\ntty:*::\nnogroup:*::\n',
  'shells': '/bin/sh\n/bin/ash\n',
  'nsswitch.conf': 'passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n',
  'profile': 'export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nPS1=\'\\h:\\w\\$ \'\n',
  'os-release': 'NAME="plantmesh tiny"\nID=plantmesh-tiny\nID_LIKE=debian\nPRETTY_NAME="plantmesh tiny (Debian kernel and busybox)"\n',
  'motd': ''
}
/** What loads and links programs. */
export const LOADER = 'ld-linux-x86-64.so.2'
/** Commands that Debian's static busybox lacks. */
const COMMANDS = ['adduser', 'addgroup', 'deluser']

/** Lays the files out in `root` from unpacked packages in `unpacked`. The files belong to whoever runs this; the disk's belong to root. */
export async function layOutRoot (unpacked: string, root: string, signal?: AbortSignal): Promise<void> {
  for (const dir of DIRECTORIES) await mkdir(join(root, dir), { recursive: true })
  await chmod(join(root, 'tmp'), 0o1777)
  await chmod(join(root, 'root'), 0o700)
  const busybox = join(unpacked, 'bin/busybox')
  await copyFile(busybox, join(root, 'bin/busybox'))
  for (const path of (await runTool(busybox, ['--list-full'], { signal, failure: 'GOLDEN_BUILD_FAILED' })).split('\n').filter(Boolean)) {
    const link = join(root, path)
    await mkdir(dirname(link), { recursive: true })
    // Its own name is in the list too.
    if (path !== 'bin/busybox') await symlink('/bin/busybox', link)
  }
  await copyFile(join(unpacked, 'usr/bin/perl'), join(root, 'usr/bin/perl'))
  await cp(join(unpacked, 'usr/lib/x86_64-linux-gnu/perl-base'), join(root, 'usr/lib/x86_64-linux-gnu/perl-base'), { recursive: true })
  for (const library of LIBRARIES) await copyFile(await libraryPath(unpacked, library), join(root, LIBRARY_DIR, library))
  await copyFile(await libraryPath(unpacked, LOADER), join(root, 'lib64', LOADER))
  for (const [name, text] of Object.entries(ETC)) await writeFile(join(root, 'etc', name), text)
  await chmod(join(root, 'etc/shadow'), 0o600)
  await chmod(join(root, 'etc/gshadow'), 0o600)
  for (const name of await readdir(GUEST_FILES)) {
    const target = name.endsWith('.pl') ? join('usr/lib/plant', name) : COMMANDS.includes(name) ? join('usr/sbin', name) : undefined
    if (target === undefined) continue
    await copyFile(join(GUEST_FILES, name), join(root, target))
    await chmod(join(root, target), 0o755)
  }
}

/** Libraries are where Debian's packages of before and after the merged /usr put them. */
export async function libraryPath (unpacked: string, name: string): Promise<string> {
  for (const dir of [LIBRARY_DIR, `usr/${LIBRARY_DIR}`, 'lib64', 'usr/lib64']) {
    const found = await readdir(join(unpacked, dir)).catch((): string[] => [])
    if (found.includes(name)) return join(unpacked, dir, name)
  }
  return join(unpacked, LIBRARY_DIR, name)
}
