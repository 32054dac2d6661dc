/** Publishes a configured machine as a new golden machine (VMPlants 3.2, P9). */
import { PlantError, type Clock } from '../../protocols/kit/index.ts'
import type { Golden } from '../../protocols/order/golden.ts'
import type { Order } from '../../protocols/order/order.ts'
import { actionsDoneOf } from './planner.ts'
import type { MachineRecord } from '../../storage/records/records.ts'
import type { Warehouse } from '../../storage/warehouse/warehouse.ts'
import type { LiveMachine, ProductionLine } from '../lines/line.ts'

/** A golden machine's name: what an order says in `software.os`. */
const GOLDEN_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/

/** Throws USAGE, GOLDEN_EXISTS, VM_STATE, DISK_FULL, or the signal's reason. The machine goes on in every case. */
export async function publishMachine (
  what: { record: MachineRecord, order: Order, machine: LiveMachine, name: string },
  c: { clock: Clock, warehouse: Warehouse, line: ProductionLine },
  onStep: (step: string, share: number) => void,
  signal: AbortSignal
): Promise<Golden> {
  const { record, name } = what
  if (!GOLDEN_NAME.test(name)) throw new PlantError('USAGE', { name, allowed: 'letters, digits, dot, dash and underscore; at most 63' })
  if (c.warehouse.list().some((g) => g.name === name)) throw new PlantError('GOLDEN_EXISTS', { name })
  const source = c.warehouse.list().find((g) => g.goldenId === record.plan?.goldenId)
  const draft = await c.warehouse.draft()
  try {
    onStep('suspending a copy', 0.1)
    const { diskMiB } = await c.line.publish(what.machine, draft.dir, signal)
    onStep('verifying', 0.7)
    const golden = await draft.commit({
      name,
      os: source?.os ?? what.order.software.os,
      hardware: { isa: c.line.isa, cpus: record.lease.cpus, memoryMiB: record.lease.memoryMiB, diskMiB },
      lineFingerprint: c.line.fingerprint,
      actionsDone: actionsDoneOf(what.order, source?.actionsDone ?? [], record.plan?.actionsRun ?? [], record.attributes),
      createdAtMs: c.clock.nowMs(),
      publishedBy: { domain: record.domain, domainKey: record.domainKey },
      ...(source !== undefined && { from: source.goldenId })
    }, signal)
    onStep('on the shelf', 1)
    return golden
  } catch (error) {
    await draft.discard()
    throw error
  }
}
