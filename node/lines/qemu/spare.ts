/**
 * A machine that was made before anybody ordered it, and how it becomes an order's. All that there is of a machine is its directory, in which its QEMU works and
 * which it knows by no name (command-line.ts): so handing out is one rename of that. Sockets go along by their inodes, open files anyway, and the process is found
 * by where it works. QEMU keeps the name and UUID that it was started with; they are as unique as the machine's id, and nothing is looked up by them.
 *
 *   standing still --(description of the machine written)--> --(rename: from here on it is the machine's)--> --(cont, grow)--> runs
 */
import { randomBytes } from 'node:crypto'
import { rename } from 'node:fs/promises'
import { join } from 'node:path'
import { PlantError } from '../../../protocols/kit/index.ts'
import type { Log, VmId } from '../../../protocols/kit/index.ts'
import type { QemuCommands } from '../../setup/qemu-find.ts'
import type { LiveMachine, SpareMachine } from '../line.ts'
import type { AgentClient } from './channel/agent-client.ts'
import { DISK_NODE } from './command-line.ts'
import { onDisk, removeDir, writeDescription } from './machine-dir.ts'
import type { MachineDescription } from './machine-dir.ts'
import { QemuMachine } from './machine.ts'
import { endProcess, privateBytesOf } from './processes.ts'
import type { Vmm } from './vmm.ts'

/** A machine that answers, whatever becomes of it. */
export interface SpareParts { vmm: Vmm, agent: AgentClient, description: MachineDescription }

export interface QemuSpareInit extends SpareParts {
  machinesDir: string
  qemu: QemuCommands
  log: Log
}

const MIB_BYTES = 1024 * 1024

/** Under emulation the first identity takes 150 ms, the second 30, the third 20 and later ones no less: each time less of the guest's code is new to QEMU. */
const REHEARSALS = 3
/** So does the first command, 140 ms, and then 40. */
const COMMAND = { script: 'true', parameters: {}, files: {}, timeoutMs: 60_000 }

/** Has a new clone take identities of its own, so that it shares random state with no other and the code is warm; then it is stopped. */
export async function rehearse ({ vmm, agent, description }: SpareParts, signal?: AbortSignal): Promise<void> {
  await agent.run(COMMAND, signal)
  for (let time = 0; time < REHEARSALS; time++) {
    await agent.rehearse({ mac: description.mac, hostName: `spare-${description.vmId.slice(0, 8)}`, machineId: randomBytes(16).toString('hex'), seed: randomBytes(32) }, signal)
  }
  await vmm.qmp.execute('stop', {}, { signal })
}

/** Makes a machine's disk so large, and its guest's file system with it. */
export async function growDisk (vmm: Vmm, agent: AgentClient, diskMiB: number, signal?: AbortSignal): Promise<void> {
  const bytes = diskMiB * MIB_BYTES
  await vmm.qmp.execute('block_resize', { 'node-name': DISK_NODE, 'size': bytes }, { signal })
  await agent.grow(bytes, signal)
}

/** See the head of this file. */
export class QemuSpare implements SpareMachine {
  readonly spareId: VmId
  readonly #init: QemuSpareInit
  #handedOut = false
  #destroyed: Promise<void> | undefined

  constructor (init: QemuSpareInit) {
    this.spareId = init.description.vmId as VmId
    this.#init = init
  }

  get mac (): string { return this.#init.description.mac }
  get died (): Promise<{ reason: string }> { return this.#init.vmm.died }

  async memoryBytes (): Promise<number> { return await privateBytesOf(this.#init.vmm.process.pid) }

  async handOut (request: { vmId: VmId, diskMiB: number }, signal?: AbortSignal): Promise<LiveMachine> {
    if (this.#handedOut || this.#destroyed !== undefined) throw new PlantError('VM_STATE', { vmId: this.spareId, problem: 'this spare was handed out or ended' })
    this.#handedOut = true
    try {
      return await this.#become(request, signal)
    } catch (error) {
      await this.#end()
      signal?.throwIfAborted()
      throw error
    }
  }

  async destroy (): Promise<void> {
    if (this.#handedOut) return
    this.#destroyed ??= this.#end().catch((error: unknown) => {
      this.#destroyed = undefined // Tried again by the next call.
      throw error
    })
    await this.#destroyed
  }

  async #become ({ vmId, diskMiB }: { vmId: VmId, diskMiB: number }, signal?: AbortSignal): Promise<LiveMachine> {
    const { vmm, agent, machinesDir } = this.#init
    const grows = diskMiB > this.#init.description.diskMiB
    const description = { ...this.#init.description, vmId, diskMiB: Math.max(diskMiB, this.#init.description.diskMiB), made: !grows }
    signal?.throwIfAborted()
    await writeDescription(vmm.dir, description)
    const dir = join(machinesDir, vmId)
    // A directory that has anything in it is not replaced (rename(2)): a machine that exists is never touched.
    await onDisk(dir, async () => { await rename(vmm.dir, dir) }).catch((cause: unknown) => {
      throw cause instanceof PlantError ? cause : new PlantError('VM_STATE', { vmId, problem: 'the spare cannot become this machine; is there one of this id?' }, { cause })
    })
    vmm.moved(dir)
    await vmm.qmp.execute('cont', {}, { signal })
    if (grows) {
      await growDisk(vmm, agent, description.diskMiB, signal)
      await writeDescription(dir, Object.assign(description, { made: true }))
    }
    return new QemuMachine({ ...this.#init, vmId, description })
  }

  /** The process first: it may write to the directory until it is gone. */
  async #end (): Promise<void> {
    const { vmm, agent } = this.#init
    agent.close()
    await endProcess(vmm.process)
    vmm.letGo()
    await removeDir(vmm.dir)
  }
}
