/** A machine that runs under QEMU, as the plant handles it. */
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { setTimeout as pause } from 'node:timers/promises'
import { PlantError } from '../../../protocols/kit/index.ts'
import type { Log, VmId } from '../../../protocols/kit/index.ts'
import type { ChannelKind } from '../../../protocols/order/order.ts'
import type { QemuCommands } from '../../setup/qemu-find.ts'
import type { AddedCard, GuestChannel, Identity, IdentityTaken, LiveMachine, MachineStats } from '../line.ts'
import type { AgentClient } from './channel/agent-client.ts'
import { needsServer, switchToFile } from './base-disk.ts'
import { Cards } from './cards.ts'
import { SOCKETS } from './command-line.ts'
import { Drives } from './drives.ts'
import { LazyIso } from './lazy-iso.ts'
import { WATCH_EVERY_MS } from './limits.ts'
import { OVERLAY, bytesOf, removeDir, writeDescription } from './machine-dir.ts'
import type { MachineDescription } from './machine-dir.ts'
import { runState } from './migration.ts'
import { NetworkPort } from './network-port.ts'
import { GOLDEN_FILES } from './parts.ts'
import { cpuMsOf, endProcess, privateBytesOf } from './processes.ts'
import { TakenSocket } from './sockets.ts'
import { touchedPieces } from './touched.ts'
import type { Vmm } from './vmm.ts'

export interface QemuMachineInit {
  vmId: VmId
  description: MachineDescription
  vmm: Vmm
  agent: AgentClient
  qemu: QemuCommands
  log: Log
}

/** States (qapi/run-state.json) in which a machine stands that was stopped, or whose state was sent away. */
const STANDS_STILL = new Set(['paused', 'postmigrate'])

/** A machine under QEMU: holds the connections to it; all of them end with it, and whoever waits is told VM_DIED. */
export class QemuMachine implements LiveMachine {
  readonly vmId: VmId
  readonly vmm: Vmm
  readonly agent: AgentClient
  readonly drives: Drives
  readonly cards: Cards
  readonly #iso: LazyIso
  readonly #console: TakenSocket
  readonly #network: TakenSocket
  readonly #log: Log
  #description: MachineDescription
  #destroyed: Promise<void> | undefined
  #copying: Promise<unknown> | undefined
  #arriving: Promise<void> | undefined
  #written: Promise<void> = Promise.resolve()
  /** It is stopped for a while, whatever its owner wants. */
  #still = false
  #looking = false

  constructor ({ vmId, description, vmm, agent, qemu, log }: QemuMachineInit) {
    this.vmId = vmId
    this.vmm = vmm
    this.agent = agent
    this.#log = log
    this.#description = description
    this.drives = new Drives(vmm.qmp, vmm.dir, qemu)
    this.cards = new Cards(vmm.qmp, vmm.dir)
    this.#iso = new LazyIso({ socketPath: join(vmm.dir, SOCKETS.iso), dir: join(vmm.dir, 'discs'), attachIso: async (path) => await this.attachIso(path) })
    this.#console = new TakenSocket(join(vmm.dir, SOCKETS.console))
    this.#network = new TakenSocket(join(vmm.dir, SOCKETS.net), (socket) => new NetworkPort(socket))
    vmm.qmp.onEvent(({ name, data }) => {
      // `nospace` is only there when the machine is stopped for it; the reason is the C library's text.
      if (name === 'BLOCK_IO_ERROR') log.error({ vmId, noSpace: /No space left|quota exceeded/i.test(String(data['reason'])), reason: data['reason'] }, 'a machine\'s disk could not be read or written; its guest was told so')
    })
    // Whoever waits for the guest must learn that it is gone.
    void vmm.died.then(() => { this.#letGo() })
  }

  get pid (): number { return this.vmm.process.pid }
  get mac (): string { return this.#description.mac }
  get died (): Promise<{ reason: string }> { return this.vmm.died }
  get diskSocket (): string | undefined { return this.#description.diskSocket }
  /** What it was made with. */
  get description (): MachineDescription { return this.#description }

  channel (kind: ChannelKind): GuestChannel { return kind === 'agent' ? this.agent : this.#iso }
  async identify (identity: Identity, signal?: AbortSignal): Promise<IdentityTaken> { return await this.agent.identify(identity, signal) }
  async console (): Promise<Duplex> { return await this.#console.take() }
  async network (): Promise<Duplex> { return await this.#network.take() }
  async attachCard (mac: string, signal?: AbortSignal): Promise<AddedCard> { return await this.cards.attach(mac, signal) }
  async attachIso (imagePath: string, signal?: AbortSignal): Promise<() => Promise<void>> { return await this.drives.attachIso(imagePath, signal) }
  async attachDisk (sizeMiB: number, signal?: AbortSignal): Promise<() => Promise<void>> { return await this.drives.attachDisk(sizeMiB, signal) }

  /** Each look also sees that the machine runs unless it is held. */
  async stats (): Promise<MachineStats> {
    void this.#goOnIfForgotten()
    return { privateMemoryBytes: await privateBytesOf(this.pid), overlayBytes: await bytesOf(join(this.vmm.dir, OVERLAY)) + await this.drives.bytes(), cpuMs: cpuMsOf(this.pid) }
  }

  async pause (): Promise<void> {
    await this.#hold(true)
    await this.#stopOrGo()
  }

  async resume (): Promise<void> {
    await this.#hold(false)
    await this.#stopOrGo()
  }

  /** Runs what makes a copy of it, one at a time. Throws VM_STATE when another is being made. */
  async copied<T> (copy: () => Promise<T>): Promise<T> {
    if (this.#copying !== undefined) throw new PlantError('VM_STATE', { vmId: this.vmId, problem: 'it is being published' })
    // A switch that is under way first: a copy is read from where the disk is when it begins.
    const copying = Promise.resolve(this.#arriving).catch(() => {}).then(copy)
    this.#copying = copying.catch(() => {})
    try {
      return await copying
    } finally {
      this.#copying = undefined
    }
  }

  /** See `LiveMachine.arrived`. One switch at a time; it waits for a copy, which reads what is served until it is made. */
  async arrived (diskPath: string): Promise<void> {
    await (this.#arriving ??= this.#switch(diskPath).finally(() => { this.#arriving = undefined }))
  }

  /** A switch that an earlier run of the plant made, and did not note any more. */
  async recallDisk (): Promise<void> {
    if (this.diskSocket !== undefined && !await needsServer(this.vmm.qmp)) await this.#note({ diskSocket: undefined })
  }

  async memoryTouched (pieceBytes: number): Promise<number[]> {
    const { goldenDir, parts } = this.#description
    return parts.suspended ? await touchedPieces(this.pid, join(goldenDir, GOLDEN_FILES.ram), pieceBytes) : []
  }

  /** Stops it for this work; afterwards it goes on, unless its owner holds it: what he said meanwhile counts from then on. */
  async standingStill<T> (work: () => Promise<T>): Promise<T> {
    this.#still = true
    try {
      await this.#stopOrGo()
      return await work()
    } finally {
      this.#still = false
      await this.#stopOrGo()
    }
  }

  async destroy (): Promise<void> { await (this.#destroyed ??= this.#end()) }

  async release (): Promise<void> {
    this.#letGo()
    this.vmm.letGo()
    await Promise.all([this.#console.letGo(), this.#network.letGo(), this.cards.letGo()])
  }

  /** The process first: it may write to the directory until it is gone. Tried again by the next call when it fails. */
  async #end (): Promise<void> {
    try {
      this.#letGo()
      await endProcess(this.vmm.process)
      // Who waits for the machine's end hears of it first. The process is gone, so this takes no time to speak of.
      await Promise.race([this.vmm.died, pause(WATCH_EVERY_MS)])
      await removeDir(this.vmm.dir)
    } catch (error) {
      this.#destroyed = undefined
      throw error
    }
  }

  /** Remembered on disk: an adopted machine that was paused by its owner stays so. */
  async #hold (held: boolean): Promise<void> { await this.#note({ held }) }

  async #switch (diskPath: string): Promise<void> {
    await this.#copying
    if (this.diskSocket === undefined) return
    await this.#note({ diskPath })
    await switchToFile(this.vmm.qmp, diskPath)
    await this.#note({ diskSocket: undefined })
  }

  /** Writes what changed of its description; one writer after the other. */
  async #note (change: Partial<MachineDescription>): Promise<void> {
    this.#description = { ...this.#description, ...change }
    const written = this.#written.then(async () => { await writeDescription(this.vmm.dir, this.#description) })
    this.#written = written.catch(() => {}) // Told to whom it concerns; the next one writes all of it again.
    await written
  }

  get #mayGo (): boolean { return !this.#description.held && !this.#still }

  /** What is said last to QEMU is what holds now: it does one after the other. */
  async #stopOrGo (): Promise<void> { await this.vmm.qmp.execute(this.#mayGo ? 'cont' : 'stop') }

  /** A machine that nobody holds and that stands still all the same (QEMU did not answer when it was to go on, say) goes on. */
  async #goOnIfForgotten (): Promise<void> {
    if (this.#looking) return
    this.#looking = true
    try {
      if (!STANDS_STILL.has(await runState(this.vmm.qmp)) || !this.#mayGo) return
      this.#log.error({ vmId: this.vmId }, 'a machine stood still though nobody holds it; it goes on')
      await this.#stopOrGo()
    } catch (error) {
      this.#log.debug({ vmId: this.vmId, error: String(error) }, 'a machine could not be asked whether it runs') // Asked again at the next look; its death is told by `died`.
    } finally {
      this.#looking = false
    }
  }

  #letGo (): void {
    this.agent.close()
    this.#iso.close()
  }
}
