/** A spare of one life of a plant (the port SpareMachine): a machine of the host under a name of its own, until it is handed out. */
import { PlantError, type VmId } from '../../../protocols/kit/index.ts'
import type { LiveMachine, SpareMachine } from '../../../node/lines/line.ts'
import { never, type Life } from '../life.ts'
import type { HostMachine, SimHost } from './host.ts'
import { SimMachine } from './machine.ts'
import { wait, type LineWatch } from './work.ts'

/** Renaming a directory and two words to a VMM. */
const HAND_OUT_MS = 3

export class SimSpare implements SpareMachine {
  readonly spareId: VmId
  readonly #machine: HostMachine
  readonly #host: SimHost
  readonly #life: Life
  readonly #watch: LineWatch
  readonly #held: SimMachine
  #over = false

  constructor (machine: HostMachine, host: SimHost, life: Life, watch: LineWatch) {
    this.spareId = machine.vmId
    this.#machine = machine
    this.#host = host
    this.#life = life
    this.#watch = watch
    this.#held = new SimMachine(machine, host, life, watch)
  }

  get mac (): string { return this.#machine.mac }
  get died (): Promise<{ reason: string }> { return this.#held.died }

  /** The host's truth is what its machines were given, whole. */
  async memoryBytes (): Promise<number> { return this.#machine.memoryMiB * 2 ** 20 }

  async handOut ({ vmId, diskMiB }: { vmId: VmId, diskMiB: number }, signal?: AbortSignal): Promise<LiveMachine> {
    if (!this.#life.may('line')) return never()
    const host = this.#host
    const machine = this.#machine
    if (this.#over) throw new PlantError('VM_STATE', { vmId: this.spareId, problem: 'this spare was handed out or ended' })
    this.#over = true
    try {
      signal?.throwIfAborted()
      if (host.refusesWrite()) throw new PlantError('DISK_FULL', { path: `/${host.name}/machines` })
      if (!machine.alive) throw new PlantError('VM_DIED', { vmId: this.spareId, reason: 'it is gone' })
      this.#watch.begun(host, vmId)
      host.rename(machine, vmId, diskMiB)
      await wait(host, this.#life, HAND_OUT_MS, signal)
    } catch (error) {
      if (this.#life.dead) return never()
      host.remove(machine)
      throw error
    }
    if (!this.#life.may('line')) return never()
    machine.made = true
    machine.paused = false
    host.event('machine.made', { vmId })
    return new SimMachine(machine, host, this.#life, this.#watch)
  }

  async destroy (): Promise<void> {
    if (this.#over) return
    this.#over = true
    await this.#held.destroy()
  }
}
