/** The agent in somebody's root file system: its files, and what starts it, by whatever init there is. */
import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { PlantError } from '../../../../protocols/kit/index.ts'
import type { RootTree } from './root-tree.ts'

const GUEST_FILES = join(import.meta.dirname, '..', 'guest')
/** Where the agent lives in a guest. */
export const AGENT_DIR = 'usr/lib/plant'
const UNIT = 'plant-agent.service'
const START_LINE = '/bin/sh /usr/lib/plant/start'

/** For a root file system without an init (of a container, say): what tiny's fstab does. */
const RC = `#!/bin/sh
b=/usr/lib/plant/busybox
$b mkdir -p /proc /sys /dev/pts /dev/shm /run /tmp
$b mount -t proc proc /proc
$b mount -t sysfs sysfs /sys
$b mount -t devpts -o gid=5,mode=620 devpts /dev/pts
$b mount -t tmpfs -o nosuid,nodev,mode=1777 tmpfs /dev/shm
$b mount -t tmpfs -o nosuid,nodev,mode=755,size=32m tmpfs /run
$b mount -t cgroup2 cgroup2 /sys/fs/cgroup
`
const INITTAB = `::sysinit:/usr/lib/plant/busybox sh /usr/lib/plant/rc
::respawn:${START_LINE}
ttyS0::respawn:-/bin/sh
::ctrlaltdel:/usr/lib/plant/busybox reboot
::shutdown:/usr/lib/plant/busybox umount -a -r
`

/** A perl of our own for guests that have none or another, and an init for those that have none. */
export interface AgentKit {
  /** By path below AGENT_DIR. */
  files: Map<string, { data: Uint8Array, mode: number }>
  busybox: Uint8Array
}

/** Names and contents of the agent itself, to be placed in AGENT_DIR. */
export async function agentFiles (): Promise<Map<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>()
  for (const name of (await readdir(GUEST_FILES)).sort()) {
    if (name.endsWith('.pl') || name === 'start') files.set(name, await readFile(join(GUEST_FILES, name)))
  }
  return files
}

/** systemd's unit of the agent. */
export async function agentUnit (): Promise<Uint8Array> {
  return await readFile(join(GUEST_FILES, UNIT))
}

/** Puts the agent into a root file system and has its init start it. Throws IMAGE_INVALID when there is no shell to run actions by. */
export async function installAgent (tree: RootTree, kit?: AgentKit): Promise<void> {
  if (tree.find('bin/sh') === undefined) throw new PlantError('IMAGE_INVALID', { problem: 'it has no /bin/sh, so it is no root file system that actions can run in' })
  for (const [name, data] of await agentFiles()) await tree.file(`${AGENT_DIR}/${name}`, data, 0o755)
  for (const [name, { data, mode }] of kit?.files ?? []) await tree.file(`${AGENT_DIR}/${name}`, data, mode)
  await tree.directory('etc/plant')
  for (const dir of ['proc', 'sys', 'dev', 'run', 'tmp']) if (tree.find(dir) === undefined) await tree.directory(dir, dir === 'tmp' ? 0o1777 : 0o755)
  const init = tree.find('sbin/init')
  if (init === undefined) await installInit(tree, kit)
  else if (init.path.endsWith('/systemd')) await enableUnit(tree)
  else await addToInittab(tree, init.path.endsWith('/busybox'))
}

async function enableUnit (tree: RootTree): Promise<void> {
  await tree.file(`etc/systemd/system/${UNIT}`, await agentUnit())
  await tree.symlink(`etc/systemd/system/basic.target.wants/${UNIT}`, `/etc/systemd/system/${UNIT}`)
}

async function installInit (tree: RootTree, kit?: AgentKit): Promise<void> {
  if (kit === undefined) throw new PlantError('IMAGE_INVALID', { problem: 'it has no /sbin/init' })
  await tree.file(`${AGENT_DIR}/busybox`, kit.busybox, 0o755)
  await tree.file(`${AGENT_DIR}/rc`, RC, 0o755)
  await tree.file('etc/inittab', INITTAB)
  await tree.symlink('sbin/init', `/${AGENT_DIR}/busybox`)
}

/** An init with an inittab: busybox' or System V's. One that starts the agent already is left alone. */
async function addToInittab (tree: RootTree, busybox: boolean): Promise<void> {
  const text = await tree.text('etc/inittab')
  if (text === '') throw new PlantError('IMAGE_INVALID', { problem: 'its init is neither systemd nor one with an /etc/inittab' })
  if (text.includes(`/${AGENT_DIR}/`)) return
  await tree.file('etc/inittab', `${text.trimEnd()}\n${busybox ? '::' : 'pm:2345:'}respawn:${START_LINE}\n`)
}
