/**
 * The production line of one life of a plant (the port ProductionLine) over its host's machines. Timings come from `sim/timings`; guests behave as
 * their nature says. As with QEMU, a machine is a process and a directory of its host: it goes on when its plant dies, and is adopted by the next.
 */
import { PlantError, type VmId } from '../../../protocols/kit/index.ts'
import type { Golden } from '../../../protocols/order/golden.ts'
import type { CloneRequest, LiveMachine, ProductionLine, SpareMachine } from '../../../node/lines/line.ts'
import type { Phase } from '../../scenario/index.ts'
import { runSteps, type Step } from '../../timings/index.ts'
import { never, type Life } from '../life.ts'
import type { HostMachine, SimHost } from './host.ts'
import { SimMachine } from './machine.ts'
import { SimSpare } from './spare.ts'
import { wait, type LineWatch } from './work.ts'

/** As in `node/lines/qemu/limits.ts`. */
export const CLONE_ANSWERS_WITHIN_MS = 60_000
/** What all simulated lines are: suspended state resumes on any of them. */
export const FINGERPRINT = 'sim/1'
/** The instruction set of every simulated host. */
export const SIM_ISA = 'x86_64'

/** The line of one life of a plant. What it began when its process died is left as it is, for the next life to find. */
export class SimLine implements ProductionLine {
  readonly kind = 'sim'
  readonly isa = SIM_ISA
  readonly accelerator = 'kvm'
  readonly fingerprint = FINGERPRINT
  readonly #host: SimHost
  readonly #life: Life
  readonly #watch: LineWatch

  constructor (host: SimHost, life: Life, watch: LineWatch) {
    this.#host = host
    this.#life = life
    this.#watch = watch
  }

  async clone (request: CloneRequest, signal?: AbortSignal): Promise<LiveMachine> {
    const machine = await this.#begun(request, () => { this.#watch.begun(this.#host, request.vmId) }, signal)
    machine.made = true
    this.#host.event('machine.made', { vmId: machine.vmId })
    return new SimMachine(machine, this.#host, this.#life, this.#watch)
  }

  async prepare (request: Omit<CloneRequest, 'disk' | 'diskMiB'>, signal?: AbortSignal): Promise<SpareMachine> {
    const machine = await this.#begun({ ...request, diskMiB: request.golden.hardware.diskMiB }, () => {}, signal)
    machine.paused = true
    return new SimSpare(machine, this.#host, this.#life, this.#watch)
  }

  /** A machine whose guest answers; on failure none is left. `begins` is called when nothing keeps it from being begun. */
  async #begun (request: CloneRequest, begins: () => void, signal?: AbortSignal): Promise<HostMachine> {
    const host = this.#host
    if (!this.#life.may('line')) return never()
    signal?.throwIfAborted()
    if (host.machines.has(request.vmId)) throw new PlantError('VM_STATE', { vmId: request.vmId, problem: 'there is a machine of this id' })
    if (host.refusesWrite()) throw new PlantError('DISK_FULL', { path: `/${host.name}/machines` })
    const fill = host.fill()
    begins()
    const machine = host.begin(request)
    const { memoryMiB, diskMiB } = request.golden.hardware
    try {
      await this.#steps(machine, host.timings.clone({ memoryMiB, diskMiB }, fill, host.random), signal)
      await this.#start(machine, signal)
    } catch (error) {
      if (this.#life.dead) return never()
      host.remove(machine)
      signal?.throwIfAborted()
      throw error
    }
    return this.#life.may('line') ? machine : never()
  }

  async adopt (vmId: VmId, signal?: AbortSignal): Promise<LiveMachine | undefined> {
    if (!this.#life.may('line')) return never()
    await this.#wait(this.#host.timings.adoptMs, signal)
    const machine = this.#host.machines.get(vmId)
    if (machine === undefined || !machine.made || !machine.alive) return undefined
    return new SimMachine(machine, this.#host, this.#life, this.#watch)
  }

  async diskSocketOf (): Promise<undefined> {}

  async leftovers (): Promise<VmId[]> {
    if (!this.#life.may('line')) return never()
    return [...this.#host.machines.keys()]
  }

  async sweep (vmId: VmId): Promise<void> {
    if (!this.#life.may('line')) return never()
    const machine = this.#host.machines.get(vmId)
    if (machine === undefined) return
    await this.#wait(this.#host.timings.destroyMs)
    this.#host.remove(machine)
  }

  async publish (machine: LiveMachine, dir: string, signal?: AbortSignal): Promise<{ diskMiB: number }> {
    const own = this.#host.machines.get(machine.vmId)
    if (!this.#life.may('line')) return never()
    this.#roomIn(dir)
    if (own === undefined || !own.alive) throw new PlantError('VM_DIED', { vmId: machine.vmId, reason: 'it is gone' })
    if (own.drives + own.cards.size > 0) throw new PlantError('VM_STATE', { vmId: own.vmId, problem: 'devices are hot-plugged' })
    const { memoryMiB, diskMiB } = own
    await this.#steps(own, this.#host.timings.clone({ memoryMiB, diskMiB }, this.#host.fill(), this.#host.random), signal)
    return { diskMiB }
  }

  async resize (_golden: Golden, _goldenDir: string, hardware: { cpus: number, memoryMiB: number }, dir: string, signal?: AbortSignal): Promise<void> {
    if (!this.#life.may('line')) return never()
    this.#roomIn(dir)
    await this.#run(this.#host.timings.resize({ memoryMiB: hardware.memoryMiB, diskMiB: 0 }, this.#host.fill(), this.#host.random), signal)
  }

  async buildTiny (dir: string, hardware: { cpus: number, memoryMiB: number, diskMiB: number }, onStep: (step: string, share: number) => void, signal?: AbortSignal): Promise<void> {
    onStep('boot', 0)
    await this.resize({} as Golden, '', hardware, dir, signal)
    onStep('done', 1)
  }

  /** After its steps the guest answers, late, or never, or its VMM fails. */
  async #start (machine: HostMachine, signal: AbortSignal | undefined): Promise<void> {
    const { start, lateMs } = machine.nature
    if (lateMs > 0) await this.#wait(Math.min(lateMs, CLONE_ANSWERS_WITHIN_MS), signal)
    if (start === 'fails' || !machine.alive) throw new PlantError('VM_START_FAILED', { vmId: machine.vmId, log: 'the VMM ended' })
    if (start === 'answers' && lateMs < CLONE_ANSWERS_WITHIN_MS) return
    await this.#wait(CLONE_ANSWERS_WITHIN_MS, signal)
    throw new PlantError('AGENT_SILENT', { vmId: machine.vmId, withinMs: CLONE_ANSWERS_WITHIN_MS })
  }

  async #steps (machine: HostMachine, steps: readonly Step[], signal: AbortSignal | undefined): Promise<void> {
    this.#watch.phases(machine.vmId, await this.#run(steps, signal))
  }

  async #run (steps: readonly Step[], signal: AbortSignal | undefined): Promise<Partial<Record<Phase, number>>> {
    const { trueClock: clock, cpu, store } = this.#host
    const took = await runSteps(steps, { clock, cpu, ...(store !== undefined && { store }) }, signal)
    return this.#life.dead ? never() : took
  }

  #roomIn (dir: string): void { if (this.#host.refusesWrite()) throw new PlantError('DISK_FULL', { path: dir }) }

  async #wait (ms: number, signal?: AbortSignal): Promise<void> { await wait(this.#host, this.#life, ms, signal) }
}
