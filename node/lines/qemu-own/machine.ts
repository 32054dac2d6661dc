/** A machine that runs under QEMU, as the plant handles it. */
import { rm, stat } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { PlantError, type VmId } from '../../../protocols/kit/index.ts'
import type { ChannelKind } from '../../../protocols/order/order.ts'
import { shortPath } from '../../drivers/socket-path.ts'
import type { QemuCommands } from '../../setup/qemu-find.ts'
import { runTool } from '../../setup/run-tool.ts'
import type { GuestChannel, Identity, IdentityTaken, LiveMachine, MachineStats, ScriptResult, ScriptRun } from '../line.ts'
import { connectAgent, type AgentClient } from '../qemu/channel/agent-client.ts'
import { connectIsoChannel, type IsoChannel } from '../qemu/channel/iso-channel.ts'
import { kill, usageOf } from './processes.ts'
import type { Vmm } from './vmm.ts'

/** Of the CD-ROM drives a machine can have at once: targets of its SCSI bus. */
const DRIVES_MAX = 200
const UNPLUG_TIMEOUT_MS = 30_000
const ISO_READY_TIMEOUT_MS = 15_000

export interface QemuMachineInit {
  vmId: VmId
  mac: string
  dir: string
  vmm: Vmm
  agent: AgentClient
  qemu: QemuCommands
}

export class QemuMachine implements LiveMachine {
  readonly vmId: VmId
  readonly mac: string
  readonly died: Promise<{ reason: string }>
  readonly dir: string
  readonly vmm: Vmm
  readonly agent: AgentClient
  readonly #qemu: QemuCommands
  readonly #iso: LazyIso
  /** Devices added while it runs, by number. */
  readonly #plugged = new Set<number>()
  #destroyed: Promise<void> | undefined

  constructor (init: QemuMachineInit) {
    this.vmId = init.vmId
    this.mac = init.mac
    this.dir = init.dir
    this.vmm = init.vmm
    this.agent = init.agent
    this.#qemu = init.qemu
    this.died = init.vmm.died
    this.#iso = new LazyIso(join(init.dir, 'iso.sock'), join(init.dir, 'discs'), async (path) => this.attachIso(path))
    // What waits for the guest must learn that it is gone.
    void this.died.then(() => { this.#letGo() })
  }

  get pid (): number { return this.vmm.process.pid }
  /** Whether devices were added that a suspended copy would have to name. */
  get hasPlugged (): boolean { return this.#plugged.size > 0 }

  channel (kind: ChannelKind): GuestChannel { return kind === 'agent' ? this.agent : this.#iso }

  async identify (identity: Identity, signal?: AbortSignal): Promise<IdentityTaken> { return this.agent.identify(identity, signal) }

  async console (): Promise<Duplex> { return this.#socket('console.sock') }

  async network (): Promise<Duplex> { return this.#socket('net.sock') }

  async stats (): Promise<MachineStats> {
    const overlay = await stat(join(this.dir, 'overlay.qcow2'))
    return { ...await usageOf(this.pid), overlayBytes: overlay.blocks * 512 }
  }

  async attachIso (imagePath: string): Promise<() => Promise<void>> {
    return this.#plug(async (node) => {
      await this.vmm.qmp.run('blockdev-add', { driver: 'raw', 'node-name': node, 'read-only': true, file: { driver: 'file', filename: imagePath, 'read-only': true } })
    }, (node, device) => ({ driver: 'scsi-cd', bus: 'scsi.0', drive: node, id: device }))
  }

  async attachDisk (sizeMiB: number): Promise<() => Promise<void>> {
    return this.#plug(async (node, number) => {
      const path = join(this.dir, `disk-${number}.qcow2`)
      await runTool(this.#qemu.img, ['create', '-q', '-f', 'qcow2', path, `${sizeMiB}M`], { env: this.#qemu.env, failure: 'DISK_FULL' })
      await this.vmm.qmp.run('blockdev-add', { driver: 'qcow2', 'node-name': node, file: { driver: 'file', filename: path } })
    }, (node, device) => ({ driver: 'scsi-hd', bus: 'scsi.0', drive: node, id: device }))
  }

  async pause (): Promise<void> { await this.vmm.qmp.run('stop') }

  async resume (): Promise<void> { await this.vmm.qmp.run('cont') }

  async destroy (): Promise<void> { return (this.#destroyed ??= this.#end()) }

  async release (): Promise<void> {
    this.#letGo()
    this.vmm.qmp.close()
  }

  async #end (): Promise<void> {
    this.#letGo()
    this.vmm.qmp.close()
    if (!await kill(this.vmm.process)) throw new PlantError('VM_STATE', { vmId: this.vmId, problem: 'its process does not end', pid: this.pid })
    await rm(this.dir, { recursive: true, force: true })
  }

  #letGo (): void {
    this.agent.close()
    this.#iso.close()
  }

  async #plug (addNode: (node: string, number: number) => Promise<void>, device: (node: string, device: string) => Record<string, unknown>): Promise<() => Promise<void>> {
    let number = 0
    while (this.#plugged.has(number)) number++
    if (number >= DRIVES_MAX) throw new PlantError('LIMIT', { bound: 'drives of a machine', max: DRIVES_MAX })
    this.#plugged.add(number)
    const node = `plug${number}`
    const id = `device${number}`
    try {
      await addNode(node, number)
      try {
        await this.vmm.qmp.run('device_add', device(node, id))
      } catch (error) {
        await this.vmm.qmp.run('blockdev-del', { 'node-name': node })
        throw error
      }
    } catch (error) {
      this.#plugged.delete(number)
      throw error
    }
    return async () => {
      const gone = this.vmm.qmp.event('DEVICE_DELETED', (data) => data['device'] === id, UNPLUG_TIMEOUT_MS)
      gone.catch(() => undefined) // Told below, unless device_del itself fails.
      await this.vmm.qmp.run('device_del', { id })
      await gone
      await this.vmm.qmp.run('blockdev-del', { 'node-name': node })
      this.#plugged.delete(number)
    }
  }

  async #socket (name: string): Promise<Duplex> {
    return new Promise((resolve, reject) => {
      const socket = connect(shortPath(join(this.dir, name)))
      socket.once('connect', () => {
        socket.off('error', reject)
        socket.on('error', () => { socket.destroy() })
        resolve(socket)
      }).once('error', (cause) => { reject(new PlantError('VM_DIED', { vmId: this.vmId, reason: `its ${name} does not answer` }, { cause })) })
    })
  }
}

/** The ISO channel, connected on first use: few machines need it. */
class LazyIso implements GuestChannel {
  readonly kind = 'iso'
  readonly #path: string
  readonly #dir: string
  readonly #attach: (path: string) => Promise<() => Promise<void>>
  #channel: Promise<IsoChannel> | undefined

  constructor (path: string, dir: string, attach: (path: string) => Promise<() => Promise<void>>) {
    this.#path = path
    this.#dir = dir
    this.#attach = attach
  }

  async run (run: ScriptRun, signal?: AbortSignal): Promise<ScriptResult> {
    this.#channel ??= connectIsoChannel(shortPath(this.#path), { dir: this.#dir, attachIso: this.#attach, timeoutMs: ISO_READY_TIMEOUT_MS })
    let channel: IsoChannel
    try {
      channel = await this.#channel
    } catch (error) {
      this.#channel = undefined
      throw error
    }
    return channel.run(run, signal)
  }

  close (): void { this.#channel?.then((channel) => { channel.close() }, () => undefined) } // Never connected: nothing to close.
}

/** Connects to the agent of a machine in `dir`. */
export async function agentOf (dir: string, timeoutMs: number, signal?: AbortSignal): Promise<AgentClient> {
  return connectAgent(shortPath(join(dir, 'agent.sock')), { timeoutMs, signal })
}
