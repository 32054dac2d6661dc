/** How orders were decided, for `plantmesh why`: one record an order, bounded in machines. */
import { PlantError, type Clock, type KeyId, type PeerId, type VmId } from '../../protocols/kit/index.ts'
import type { Decision } from '../../protocols/bid/index.ts'
import type { MachineView } from '../../protocols/machine/index.ts'
import type { OpenedOrderCall } from '../../protocols/member/index.ts'
import type { Records } from '../../storage/records/records.ts'

/** Of an order for thousands of machines the last so many decisions are kept. */
const MACHINES_KEPT_MAX = 64

interface Attempt {
  vmid: VmId
  atMs: number
  provisional: boolean
  outcome: string
  decision: Decision
  machine?: Pick<MachineView, 'plant' | 'state' | 'phasesMs' | 'golden' | 'outputsDropped' | 'error'>
}

export class Decisions {
  readonly #records: Records
  readonly #clock: Clock

  constructor (records: Records, clock: Clock) {
    this.#records = records
    this.#clock = clock
  }

  /** An auction has ended. */
  decided (call: OpenedOrderCall, vmId: VmId, decision: Decision, provisional: boolean): void {
    const attempts = this.#attempts(call.caller, call.body.orderId)
    attempts.push({ vmid: vmId, atMs: this.#clock.nowMs(), provisional, outcome: decision.outcome ?? 'refused', decision })
    this.#put(call, attempts.slice(-MACHINES_KEPT_MAX))
  }

  /** The machine runs, or has failed. */
  ended (call: OpenedOrderCall, vmId: VmId, machine: MachineView): void {
    const attempts = this.#attempts(call.caller, call.body.orderId)
    const attempt = attempts.findLast((a) => a.vmid === vmId)
    if (attempt === undefined) return
    attempt.outcome = machine.state
    const { plant, state, phasesMs, golden, outputsDropped, error } = machine
    attempt.machine = { plant, state, phasesMs, ...(golden !== undefined && { golden }), ...(outputsDropped !== undefined && { outputsDropped }), ...(error !== undefined && { error }) }
    this.#put(call, attempts)
  }

  /** The plant that was awarded the order made nothing of it. */
  gaveBack (call: OpenedOrderCall, vmId: VmId, plant: PeerId, error: PlantError): void {
    const attempts = this.#attempts(call.caller, call.body.orderId)
    const attempt = attempts.findLast((a) => a.vmid === vmId)
    if (attempt === undefined) return
    attempt.outcome = 'given back'
    attempt.machine = { plant, state: 'failed', phasesMs: {}, error: error.report() }
    this.#put(call, attempts)
  }

  /** Throws ORDER_UNKNOWN. */
  of (owner: KeyId, orderId: string): Record<string, unknown> {
    const record = this.#records.decision(owner, orderId)
    if (record === undefined) throw new PlantError('ORDER_UNKNOWN', { orderId })
    return { orderId, ...record.decision }
  }

  #attempts (owner: KeyId, orderId: string): Attempt[] {
    return (this.#records.decision(owner, orderId)?.decision['attempts'] as Attempt[] | undefined) ?? []
  }

  #put (call: OpenedOrderCall, attempts: Attempt[]): void {
    this.#records.putDecision({ orderId: call.body.orderId, owner: call.caller, atMs: this.#clock.nowMs(), decision: { attempts } })
  }
}
