/** How QEMU is started: one line-up of devices for every machine, as suspended state names them all. */
import type { Accelerator } from './accelerator.ts'
import { KERNEL_ARGS } from '../qemu/image/boot-args.ts'

export interface MachineShape {
  /** `plantmesh-…`: by this the process is found again. */
  name: string
  cpus: number
  memoryMiB: number
  mac: string
  /** The directory with `kernel` and `initrd`. */
  bootDir: string
  /** The machine's disk, a qcow2 file. */
  disk: string
  /** Memory in a file: shared when it is to be kept (suspending), private (copy-on-write) in a clone. */
  ram: { path: string, share: boolean }
  /** Suspended state is to come by QMP; the machine stays paused until it is told to go on. */
  incoming?: boolean
}

/** Name of a machine's VMM process. */
export function processName (vmId: string): string { return `plantmesh-${vmId}` }

/**
 * The arguments. Sockets are relative to the machine's directory, which is the process's own: their paths may not be longer than 108
 * bytes. QMP, agent and network sockets listen, so that a restarted plant attaches again (VMM.md).
 */
export function commandLine (shape: MachineShape, accelerator: Accelerator): string[] {
  const { ram } = shape
  const accel = accelerator.name === 'tcg' ? 'tcg,tb-size=512' : 'kvm'
  return [
    '-name', shape.name, '-nodefaults', '-no-user-config', '-display', 'none',
    '-M', 'q35,memory-backend=ram', '-accel', accel, '-cpu', accelerator.cpu, '-smp', String(shape.cpus), '-m', `${shape.memoryMiB}M`,
    '-object', `memory-backend-file,id=ram,size=${shape.memoryMiB}M,mem-path=${escaped(ram.path)},share=${ram.share ? 'on' : 'off'}`,
    '-kernel', `${shape.bootDir}/kernel`, '-initrd', `${shape.bootDir}/initrd`, '-append', KERNEL_ARGS,
    // A guest whose disk the host cannot hold is told so (report) rather than stopped in silence: its file system turns read-only, the action fails.
    '-drive', `file=${escaped(shape.disk)},if=none,id=disk0,format=qcow2,discard=unmap,werror=report,rerror=report`,
    '-device', 'virtio-blk-pci,drive=disk0',
    '-device', 'virtio-serial-pci,id=serial',
    '-chardev', 'socket,id=agent,path=agent.sock,server=on,wait=off', '-device', 'virtserialport,chardev=agent,name=org.plantmesh.agent',
    '-chardev', 'socket,id=iso,path=iso.sock,server=on,wait=off', '-device', 'virtserialport,chardev=iso,name=org.plantmesh.iso',
    '-device', 'virtio-scsi-pci,id=scsi',
    '-netdev', 'stream,id=net0,server=on,addr.type=unix,addr.path=net.sock', '-device', `virtio-net-pci,netdev=net0,mac=${shape.mac},romfile=`,
    '-chardev', 'socket,id=console,path=console.sock,server=on,wait=off', '-serial', 'chardev:console',
    '-chardev', 'socket,id=qmp,path=qmp.sock,server=on,wait=off', '-mon', 'chardev=qmp,mode=control',
    ...(shape.incoming === true ? ['-S', '-incoming', 'defer'] : [])
  ]
}

/** QEMU's option lists end a value at a comma; a doubled one stands for itself. */
function escaped (path: string): string { return path.replaceAll(',', ',,') }
