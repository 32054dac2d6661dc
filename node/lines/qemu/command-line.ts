/**
 * QEMU's command line. Suspended state resumes only in a machine of the same devices in the same order, so every machine - booted,
 * cloned, helper - is started by this one function; whoever changes the devices raises LINE_UP.
 *
 * QEMU works in its machine's directory and knows what is there by relative names: a socket's path may have no more than 108 bytes
 * (unix(7)). Paths from outside go in JSON, or as whole arguments, so that commas and colons in them mean nothing.
 */
import { KERNEL_ARGS } from './image/boot-args.ts'

/** Part of the fingerprint. */
export const LINE_UP = 4

/** Every QEMU of ours has an argument that starts so. */
export const NAME_MARK = 'guest=plantmesh-'

/** The descriptor on which a started QEMU inherits its suspended state. */
export const STATE_FD = 3

/** Sockets in the machine's directory, all served by QEMU: they take another client after one has gone. */
export const SOCKETS = { qmp: 'qmp.sock', agent: 'agent.sock', iso: 'iso.sock', console: 'console.sock', net: 'net.sock' } as const

/** The backend of the network card. */
export const NETDEV = 'net0'

/** The bus that further network cards are added to: PCI Express itself takes none while it runs. */
export const CARD_BUS = 'cards'

/** The node of the machine's disk and that of its file, and the bus that virtual CD-ROM drives are added to. */
export const DISK_NODE = 'disk'
export const DISK_FILE_NODE = 'disk-file'
export const SCSI_BUS = 'scsi0.0'

/** What is behind the machine's own disk, by node: a file, or a disk that is served. A machine that was switched has the former. */
export const LOCAL_BASE_NODE = 'base-local'
export const SERVED_BASE_NODE = 'base-served'

/** In the machine's directory, a link to where its golden disk is served. */
export const BASE_SOCKET = 'base.sock'

/** A plant that is away for longer has been given up; a guest that still reads then gets an error. */
const BASE_AWAY_MAX_S = 30 * 24 * 3600

/** The read-only disk behind a machine's own: a file, or an NBD export at a socket's path. */
export type BaseDisk = { path: string } | { socketPath: string }

export interface MachineLine {
  /** 32 hex digits: a VmId, or the name of a helper machine. */
  name: string
  accelerator: string
  cpuModel: string
  cpus: number
  memoryMiB: number
  mac: string
  /** Without one the firmware boots the disk. */
  kernel?: string
  initrd?: string
  /** The machine's own disk, and what is behind it. */
  disk: string
  base?: BaseDisk
  /** RAM lives in this file: as it is (shared), or copied page by page when written to. Without one it is nobody's but the machine's. */
  ram?: { path: string, share: boolean }
  /** QEMU 8.2 and later can open the file of a private RAM for reading only. */
  ramReadOnly: boolean
  /** Waits to be told where its suspended state comes from (`takeIn`), and is stopped once it has it. */
  incoming?: boolean
  /** Comes up stopped. */
  paused?: boolean
  /** The seccomp filter: QEMU may neither start programs nor gain rights. */
  sandbox: boolean
  /** Where firmware is, for a QEMU that was unpacked rather than installed. */
  firmwareArgs: string[]
}

/** What QEMU's seccomp filter forbids; nothing a machine needs. */
export const SANDBOX_ARGS = ['-sandbox', 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny']

/** The arguments, without the program. */
export function qemuArgs (line: MachineLine): string[] {
  return [
    ...line.firmwareArgs,
    '-name', `${NAME_MARK}${line.name}`,
    '-uuid', line.name.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5'),
    '-nodefaults', '-no-user-config', '-display', 'none',
    ...(line.sandbox ? SANDBOX_ARGS : []),
    '-M', 'q35,memory-backend=ram,usb=off,graphics=off', '-accel', line.accelerator, '-cpu', line.cpuModel,
    '-smp', String(line.cpus), '-m', `${line.memoryMiB}M`,
    '-object', JSON.stringify(ramObject(line)),
    ...(line.kernel === undefined ? [] : ['-kernel', line.kernel, '-append', KERNEL_ARGS]), ...(line.initrd === undefined ? [] : ['-initrd', line.initrd]),
    '-blockdev', JSON.stringify(diskNode(line)),
    // A full host disk must not freeze a guest in silence: it sees the error, and QEMU tells us (BLOCK_IO_ERROR).
    '-device', `virtio-blk-pci,drive=${DISK_NODE},werror=report,rerror=report`,
    '-device', 'virtio-serial-pci',
    ...port('agent', 'org.plantmesh.agent', 1), ...port('iso', 'org.plantmesh.iso', 2),
    '-netdev', `stream,id=${NETDEV},server=on,addr.type=unix,addr.path=${SOCKETS.net}`,
    '-device', `virtio-net-pci,netdev=${NETDEV},mac=${line.mac},romfile=`,
    '-device', 'virtio-scsi-pci,id=scsi0',
    '-device', 'virtio-rng-pci',
    '-device', `pcie-pci-bridge,id=${CARD_BUS}`,
    '-chardev', `socket,id=console,path=${SOCKETS.console},server=on,wait=off`, '-serial', 'chardev:console',
    '-chardev', `socket,id=qmp,path=${SOCKETS.qmp},server=on,wait=off`, '-mon', 'chardev=qmp,mode=control',
    ...(line.incoming === true ? ['-incoming', 'defer'] : []), ...(line.paused === true ? ['-S'] : [])
  ]
}

function port (id: 'agent' | 'iso', name: string, nr: number): string[] {
  return ['-chardev', `socket,id=${id},path=${SOCKETS[id]},server=on,wait=off`, '-device', `virtserialport,chardev=${id},name=${name},nr=${nr}`]
}

function ramObject ({ ram, memoryMiB, ramReadOnly }: MachineLine): Record<string, unknown> {
  const size = memoryMiB * 1024 * 1024
  if (ram === undefined) return { 'qom-type': 'memory-backend-ram', 'id': 'ram', size }
  return {
    'qom-type': 'memory-backend-file', 'id': 'ram', size, 'mem-path': ram.path, 'share': ram.share,
    ...(ramReadOnly && !ram.share && { readonly: true, rom: 'off' })
  }
}

/** The disk as a block graph; also what qemu-img takes behind `json:`. */
export function diskNode ({ disk, base }: Pick<MachineLine, 'disk' | 'base'>): Record<string, unknown> {
  return {
    'node-name': DISK_NODE, 'driver': 'qcow2', 'discard': 'unmap', 'file': { 'node-name': DISK_FILE_NODE, 'driver': 'file', 'filename': disk, 'discard': 'unmap' },
    ...(base !== undefined && { backing: baseNode(base) })
  }
}

/** What is behind a machine's disk, as a block graph. */
export function baseNode (base: BaseDisk): Record<string, unknown> {
  const file = 'path' in base
    ? { 'driver': 'file', 'filename': base.path, 'read-only': true }
    : { 'driver': 'nbd', 'server': { type: 'unix', path: base.socketPath }, 'read-only': true, 'reconnect-delay': BASE_AWAY_MAX_S }
  return { 'node-name': 'path' in base ? LOCAL_BASE_NODE : SERVED_BASE_NODE, 'driver': 'qcow2', 'read-only': true, file }
}

/** What `blockdev-reopen` is told so that a machine's disk has the node LOCAL_BASE_NODE behind it: all of its options, the others as they were. */
export function diskOnLocalBase (): Record<string, unknown> {
  return { 'node-name': DISK_NODE, 'driver': 'qcow2', 'discard': 'unmap', 'file': DISK_FILE_NODE, 'backing': LOCAL_BASE_NODE }
}
