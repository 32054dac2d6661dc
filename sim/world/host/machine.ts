/** A machine in the hands of one life of a plant (the port LiveMachine). Its console carries bytes of a guest, which is not simulated. */
import { PlantError, type VmId } from '../../../protocols/kit/index.ts'
import { CARDS_MAX, type AddedCard, type GuestChannel, type Identity, type IdentityTaken, type LiveMachine, type MachineStats, type ScriptResult, type ScriptRun } from '../../../node/lines/line.ts'
import type { CardEnd } from '../../../node/plant/networks.ts'
import type { ChannelKind } from '../../../protocols/order/order.ts'
import { runSteps, type Step } from '../../timings/index.ts'
import { never, type Life } from '../life.ts'
import { SimCard } from './card.ts'
import type { HostMachine, SimHost } from './host.ts'
import { wait, type LineWatch } from './work.ts'

/** What a clone has of its own, as shares: pages it wrote, blocks it wrote (VMM.md). */
const PRIVATE_MEMORY_SHARE = 0.2
const OVERLAY_BYTES = 8 * 2 ** 20
/** How a guest's process ends that was killed: 128 + SIGKILL. */
const KILLED = 137

export class SimMachine implements LiveMachine {
  readonly vmId: VmId
  readonly pid: number
  readonly mac: string
  readonly died: Promise<{ reason: string }>
  readonly #machine: HostMachine
  readonly #host: SimHost
  readonly #life: Life
  readonly #watch: LineWatch
  #released = false

  constructor (machine: HostMachine, host: SimHost, life: Life, watch: LineWatch) {
    this.vmId = machine.vmId
    this.pid = machine.pid
    this.mac = machine.mac
    this.#machine = machine
    this.#host = host
    this.#life = life
    this.#watch = watch
    // It is the plant that hears of it: never when that is dead, and later when it stands still.
    this.died = new Promise((resolve) => {
      const tell = (reason: string): void => { host.timeline.after(0, () => { resolve({ reason }) }, life) }
      if (machine.alive) machine.onDeath.add(tell)
      else tell('it is gone')
    })
  }

  channel (kind: ChannelKind): GuestChannel {
    return { kind, run: async (run, signal) => this.#run(run, signal) }
  }

  async identify (identity: Identity, signal?: AbortSignal): Promise<IdentityTaken> {
    if (!this.#life.may('line')) return never()
    await this.#steps(this.#host.timings.identity(this.#host.fill(), this.#host.random), signal)
    if (this.#machine.nature.identity === 'refused') throw new PlantError('IDENTITY_FAILED', { vmId: this.vmId, part: 'machineId' })
    this.#machine.identity = identity
    if (identity.networked === true) this.#machine.guest.begin()
    return { hostKey: `ssh-ed25519 ${this.vmId}` }
  }

  async console (): Promise<never> { throw new PlantError('VM_STATE', { vmId: this.vmId, problem: 'a simulated guest has no console' }) }

  async network (): Promise<CardEnd> {
    if (!this.#life.may('line')) return never()
    this.#throwIfDead()
    return new SimCard(this.#host, this.#machine, this.#life).asCardEnd()
  }

  async stats (): Promise<MachineStats> {
    if (!this.#life.may('line')) return never()
    this.#throwIfDead()
    const { memoryMiB, startedUs } = this.#machine
    return {
      privateMemoryBytes: Math.round(memoryMiB * 2 ** 20 * PRIVATE_MEMORY_SHARE),
      overlayBytes: OVERLAY_BYTES,
      cpuMs: Math.round((this.#host.timeline.nowUs - startedUs) / 100_000)
    }
  }

  /** It has its whole disk from the beginning. */
  readonly diskSocket = undefined
  async arrived (): Promise<void> {}
  async memoryTouched (): Promise<number[]> { return [] }

  async attachCard (mac: string, signal?: AbortSignal): Promise<AddedCard> {
    if (!this.#life.may('line')) return never()
    signal?.throwIfAborted()
    this.#throwIfDead()
    const { cards } = this.#machine
    if (!cards.has(mac) && cards.size >= CARDS_MAX) throw new PlantError('LIMIT', { bound: 'CARDS_MAX', max: CARDS_MAX })
    cards.add(mac)
    return { network: async (): Promise<never> => { throw new PlantError('VM_STATE', { vmId: this.vmId, problem: 'a simulated guest speaks through its first card only' }) }, detach: async () => { cards.delete(mac) } }
  }

  async attachIso (): Promise<() => Promise<void>> { return this.#attach() }

  async attachDisk (): Promise<() => Promise<void>> {
    if (this.#host.refusesWrite()) throw new PlantError('DISK_FULL', { path: `/${this.#host.name}/machines/${this.vmId}` })
    return this.#attach()
  }

  async pause (): Promise<void> { await this.#hold(true) }
  async resume (): Promise<void> { await this.#hold(false) }

  async destroy (): Promise<void> {
    if (!this.#life.may('line')) return never()
    if (this.#host.machines.get(this.vmId) !== this.#machine) return
    await wait(this.#host, this.#life, this.#host.timings.destroyMs)
    this.#host.remove(this.#machine)
  }

  async release (): Promise<void> { this.#released = true }

  async #run ({ script, timeoutMs }: ScriptRun, signal?: AbortSignal): Promise<ScriptResult> {
    if (!this.#life.may('line')) return never()
    signal?.throwIfAborted()
    this.#throwIfDead()
    const { nature, vmId, scripts } = this.#machine
    scripts.set(script, (scripts.get(script) ?? 0) + 1)
    const late = new AbortController()
    const cancel = this.#host.trueClock.after(timeoutMs, () => { late.abort(new PlantError('ACTION_TIMEOUT', { timeoutMs })) })
    const stop = signal === undefined ? late.signal : AbortSignal.any([late.signal, signal])
    try {
      if (nature.actions === 'hang') await new Promise((_resolve, reject) => { stop.addEventListener('abort', () => { reject(stop.reason) }, { once: true }) })
      await this.#steps(this.#host.timings.action(this.#watch.actionMs(vmId, script), this.#host.fill(), this.#host.random), stop)
      const status = nature.actions === 'fail' ? KILLED : 0
      return { status, outputTail: status === 0 ? '' : 'killed', outputBytes: 0, outputs: {} }
    } finally {
      cancel()
    }
  }

  /** Work of the guest: ends with VM_DIED when the machine does, and never for a plant that is dead. */
  async #steps (steps: readonly Step[], signal?: AbortSignal): Promise<void> {
    const { trueClock: clock, cpu, store } = this.#host
    const dead = new AbortController()
    const onDeath = (reason: string): void => { dead.abort(new PlantError('VM_DIED', { vmId: this.vmId, reason })) }
    this.#throwIfDead()
    this.#machine.onDeath.add(onDeath)
    try {
      const stop = signal === undefined ? dead.signal : AbortSignal.any([dead.signal, signal])
      this.#watch.phases(this.vmId, await runSteps(steps, { clock, cpu, ...(store !== undefined && { store }) }, stop))
    } finally {
      this.#machine.onDeath.delete(onDeath)
      if (this.#life.dead) await never()
    }
  }

  async #attach (): Promise<() => Promise<void>> {
    if (!this.#life.may('line')) return never()
    this.#throwIfDead()
    const machine = this.#machine
    machine.drives++
    let there = true
    return async () => {
      if (there) machine.drives--
      there = false
    }
  }

  async #hold (paused: boolean): Promise<void> {
    if (!this.#life.may('line')) return never()
    this.#throwIfDead()
    this.#machine.paused = paused
  }

  #throwIfDead (): void {
    if (!this.#machine.alive || this.#released) throw new PlantError('VM_DIED', { vmId: this.vmId, reason: this.#released ? 'it was let go' : 'it is gone' })
  }
}
