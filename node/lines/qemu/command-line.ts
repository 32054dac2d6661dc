/**
 * QEMU's command line. Suspended state resumes only in a machine of the same devices in the same order, so every machine - booted,
 * cloned, helper - is started by this one function; whoever changes the devices raises LINE_UP.
 *
 * QEMU works in its machine's directory and knows what is there by relative names: a socket's path may have no more than 108 bytes
 * (unix(7)). Paths from outside go in JSON, or as whole arguments, so that commas and colons in them mean nothing.
 */
import { KERNEL_ARGS } from './image/boot-args.ts'

/** Part of the fingerprint. */
export const LINE_UP = 3

/** Every QEMU of ours has an argument that starts so. */
export const NAME_MARK = 'guest=plantmesh-'

/** The descriptor on which a started QEMU inherits its suspended state. */
export const STATE_FD = 3

/** Sockets in the machine's directory, all served by QEMU: they take another client after one has gone. */
export const SOCKETS = { qmp: 'qmp.sock', agent: 'agent.sock', iso: 'iso.sock', console: 'console.sock', net: 'net.sock' } as const

/** The backend of the network card. */
export const NETDEV = 'net0'

/** The node of the machine's disk, and the bus that virtual CD-ROM drives are added to. */
export const DISK_NODE = 'disk'
export const SCSI_BUS = 'scsi0.0'

export interface MachineLine {
  /** 32 hex digits: a VmId, or the name of a helper machine. */
  name: string
  accelerator: string
  cpuModel: string
  cpus: number
  memoryMiB: number
  mac: string
  /** Absent: the disk's own loader is started by the firmware. */
  kernel?: string
  initrd?: string
  /** The machine's own disk, and the read-only one behind it. */
  disk: string
  backingDisk?: string
  /** RAM lives in this file: as it is (shared), or copied page by page when written to. */
  ram: { path: string, share: boolean }
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
    '-chardev', `socket,id=console,path=${SOCKETS.console},server=on,wait=off`, '-serial', 'chardev:console',
    '-chardev', `socket,id=qmp,path=${SOCKETS.qmp},server=on,wait=off`, '-mon', 'chardev=qmp,mode=control',
    ...(line.incoming === true ? ['-incoming', 'defer'] : []), ...(line.paused === true ? ['-S'] : [])
  ]
}

function port (id: 'agent' | 'iso', name: string, nr: number): string[] {
  return ['-chardev', `socket,id=${id},path=${SOCKETS[id]},server=on,wait=off`, '-device', `virtserialport,chardev=${id},name=${name},nr=${nr}`]
}

function ramObject ({ ram, memoryMiB, ramReadOnly }: MachineLine): Record<string, unknown> {
  return {
    'qom-type': 'memory-backend-file', 'id': 'ram', 'size': memoryMiB * 1024 * 1024, 'mem-path': ram.path, 'share': ram.share,
    ...(ramReadOnly && !ram.share && { readonly: true, rom: 'off' })
  }
}

/** The disk as a block graph; also what qemu-img takes behind `json:`. */
export function diskNode ({ disk, backingDisk }: Pick<MachineLine, 'disk' | 'backingDisk'>): Record<string, unknown> {
  return {
    'node-name': DISK_NODE, 'driver': 'qcow2', 'discard': 'unmap', 'file': { driver: 'file', filename: disk, discard: 'unmap' },
    ...(backingDisk !== undefined && { backing: { 'driver': 'qcow2', 'read-only': true, 'file': { 'driver': 'file', 'filename': backingDisk, 'read-only': true } } })
  }
}
