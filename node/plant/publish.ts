/** Publishes a configured machine as a new golden machine (VMPlants 3.2, P9). */
import { PlantError, type Clock } from '../../protocols/kit/index.ts'
import type { ActionDone, Golden } from '../../protocols/order/golden.ts'
import type { Order } from '../../protocols/order/order.ts'
import type { MeshGoldens } from './images/mesh-goldens.ts'
import { actionsDoneOf } from './planner.ts'
import { nextVersion, type UnderWay } from './templates/next-version.ts'
import type { TemplateDesk } from './templates/template-desk.ts'
import type { MachineRecord } from '../../storage/records/records.ts'
import type { Warehouse } from '../../storage/warehouse/warehouse.ts'
import type { LiveMachine, ProductionLine } from '../lines/line.ts'

/** A golden machine's name: what an order says in `software.os`. */
const GOLDEN_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/

/** Golden machines published by one domain, and by all, that a plant keeps: each holds its memory size on disk, some hundred MiB. */
export const PUBLISHED_PER_DOMAIN_MAX = 64
export const PUBLISHED_MAX = 512

/** What a plant publishes now. */
export type Publishing = Set<UnderWay>

/**
 * Publishes the next version of the name's series. Throws USAGE, GOLDEN_EXISTS when the series is somebody else's, LIMIT, VM_STATE, DISK_FULL, or the signal's reason; whatever can be said without touching the machine is said
 * first. The machine goes on in every case.
 */
export async function publishMachine (
  what: { record: MachineRecord, order: Order, machine: LiveMachine, name: string },
  c: { clock: Clock, warehouse: Warehouse, line: ProductionLine, publishing: Publishing, templates: Pick<TemplateDesk, 'named' | 'removedVersion'>, images?: Pick<MeshGoldens, 'isFamily'> },
  onStep: (step: string, share: number) => void,
  signal: AbortSignal
): Promise<Golden> {
  const { record, name } = what
  if (!GOLDEN_NAME.test(name)) throw new PlantError('USAGE', { name, allowed: 'letters, digits, dot, dash and underscore; at most 63' })
  const { domain, domainKey } = record
  const known = await c.templates.named(name, signal)
  // From here on nothing is waited for until the version is taken: two at once get two.
  const version = nextVersion(name, { domain, domainKey }, known, c.publishing, c.templates.removedVersion(name, domainKey))
  const shelf = c.warehouse.list()
  if (c.images?.isFamily(name) === true) throw new PlantError('GOLDEN_EXISTS', { name, problem: 'it is the name of a family, which orders of everybody ask for' })
  const domains = [...shelf.flatMap(({ publishedBy }) => publishedBy?.domainKey ?? []), ...[...c.publishing].map((one) => one.domainKey)]
  if (domains.length >= PUBLISHED_MAX) throw new PlantError('LIMIT', { bound: 'PUBLISHED_MAX', max: PUBLISHED_MAX })
  if (domains.filter((key) => key === record.domainKey).length >= PUBLISHED_PER_DOMAIN_MAX) throw new PlantError('LIMIT', { bound: 'PUBLISHED_PER_DOMAIN_MAX', max: PUBLISHED_PER_DOMAIN_MAX, hint: 'remove golden machines that are not needed any more' })
  const source = shelf.find((g) => g.goldenId === record.plan?.goldenId)
  const actionsDone = actionsDoneOf(what.order, source?.actionsDone ?? [], record.plan?.actionsRun ?? [], record.attributes)
  const underWay = { name, version, domain, domainKey }
  c.publishing.add(underWay)
  try {
    return await shelved({ ...what, version }, { ...c, source, actionsDone }, onStep, signal)
  } finally {
    c.publishing.delete(underWay)
  }
}

async function shelved (
  { record, order, machine, name, version }: { record: MachineRecord, order: Order, machine: LiveMachine, name: string, version: number },
  c: { clock: Clock, warehouse: Warehouse, line: ProductionLine, source: Golden | undefined, actionsDone: ActionDone[] },
  onStep: (step: string, share: number) => void,
  signal: AbortSignal
): Promise<Golden> {
  const { source } = c
  const draft = await c.warehouse.draft()
  try {
    onStep('suspending a copy', 0.1)
    const { diskMiB } = await c.line.publish(machine, draft.dir, signal)
    onStep('verifying', 0.7)
    const golden = await draft.commit({
      name,
      os: source?.os ?? order.software.os,
      hardware: { isa: c.line.isa, cpus: record.lease.cpus, memoryMiB: record.lease.memoryMiB, diskMiB },
      lineFingerprint: c.line.fingerprint,
      actionsDone: c.actionsDone,
      createdAtMs: c.clock.nowMs(),
      publishedBy: { domain: record.domain, domainKey: record.domainKey },
      version,
      ...(source !== undefined && { from: source.goldenId })
    }, signal)
    onStep('on the shelf', 1)
    return golden
  } catch (error) {
    await draft.discard()
    throw error
  }
}
