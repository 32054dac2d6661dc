/** Drives added to a machine while it runs: virtual CD-ROMs and disks on its SCSI bus. */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { PlantError } from '../../../protocols/kit/index.ts'
import type { QemuCommands } from '../../setup/qemu-find.ts'
import { runTool } from '../../setup/run-tool.ts'
import { SCSI_BUS } from './command-line.ts'
import { DETACH_WITHIN_MS } from './limits.ts'
import { blockNodes } from './base-disk.ts'
import { bytesOf } from './machine-dir.ts'
import type { Qmp } from './qmp.ts'

/** virtio-scsi has 255 targets; nobody needs as many, and each holds a file open. */
const DRIVES_MAX = 64

/** What was added can be told from the machine's own devices, also by a plant that was started anew. */
const NODE_PREFIX = 'added-'

export class Drives {
  readonly #qmp: Qmp
  readonly #dir: string
  readonly #qemu: QemuCommands
  readonly #taken = new Set<number>()

  constructor (qmp: Qmp, dir: string, qemu: QemuCommands) {
    this.#qmp = qmp
    this.#dir = dir
    this.#qemu = qemu
  }

  /** Learns of the drives that an earlier run of the plant added. */
  async recall (): Promise<void> {
    for (const name of await blockNodes(this.#qmp)) {
      if (name.startsWith(NODE_PREFIX)) this.#taken.add(Number(name.slice(NODE_PREFIX.length)))
    }
  }

  /** How many there are now. */
  get count (): number { return this.#taken.size }

  /** See `LiveMachine.attachIso`. */
  async attachIso (path: string, signal?: AbortSignal): Promise<() => Promise<void>> {
    return await this.#attach('scsi-cd', async (node) => {
      await this.#qmp.execute('blockdev-add', { 'driver': 'raw', 'node-name': node, 'read-only': true, 'file': { 'driver': 'file', 'filename': path, 'read-only': true } })
    }, signal)
  }

  /** See `LiveMachine.attachDisk`. */
  async attachDisk (sizeMiB: number, signal?: AbortSignal): Promise<() => Promise<void>> {
    return await this.#attach('scsi-hd', async (node, number) => {
      const path = this.#pathOf(number)
      await runTool(this.#qemu.img, ['create', '-q', '-f', 'qcow2', path, `${sizeMiB}M`], { env: this.#qemu.env, signal, failure: 'VM_START_FAILED' })
      signal?.throwIfAborted()
      await this.#qmp.execute('blockdev-add', { 'driver': 'qcow2', 'node-name': node, 'file': { driver: 'file', filename: path } })
    }, signal)
  }

  /** Bytes that added disks occupy. */
  async bytes (): Promise<number> {
    let bytes = 0
    for (const number of this.#taken) bytes += await bytesOf(this.#pathOf(number)).catch(() => 0) // A CD-ROM, or a disk that goes just now.
    return bytes
  }

  #pathOf (number: number): string { return join(this.#dir, `disk-${number}.qcow2`) }

  /** What is asked of QEMU is waited for, as it would be done all the same; called off, it is undone. */
  async #attach (driver: string, add: (node: string, number: number) => Promise<void>, signal?: AbortSignal): Promise<() => Promise<void>> {
    let number = 0
    while (this.#taken.has(number)) number++
    if (number >= DRIVES_MAX) throw new PlantError('LIMIT', { bound: 'DRIVES_MAX', max: DRIVES_MAX })
    this.#taken.add(number)
    const node = `${NODE_PREFIX}${number}`
    const id = `drive-${number}`
    try {
      signal?.throwIfAborted()
      await add(node, number)
      signal?.throwIfAborted()
      await this.#qmp.execute('device_add', { driver, id, bus: SCSI_BUS, drive: node })
    } catch (error) {
      await this.#qmp.execute('blockdev-del', { 'node-name': node }).catch(() => {}) // It was not even made: nothing is left either way.
      await rm(this.#pathOf(number), { force: true })
      this.#taken.delete(number)
      throw error
    }
    const detach = async (): Promise<void> => { await this.#detach(number, node, id) }
    if (signal?.aborted === true) {
      await detach()
      throw signal.reason
    }
    return detach
  }

  async #detach (number: number, node: string, id: string): Promise<void> {
    if (!this.#taken.has(number)) return
    const gone = this.#qmp.event('DEVICE_DELETED', (data) => data['device'] === id, { timeoutMs: DETACH_WITHIN_MS })
    gone.catch(() => {}) // Told below, unless the command itself fails.
    await this.#qmp.execute('device_del', { id })
    await gone
    await this.#qmp.execute('blockdev-del', { 'node-name': node })
    await rm(this.#pathOf(number), { force: true })
    this.#taken.delete(number)
  }
}
