/** Leases end in time. Reads plants' own books of leases: the invariant is about them. The time is the checker's. */
import type { LeaseId } from '../../protocols/kit/index.ts'
import { isLive, problem, type Checker, type Problem, type Seen } from './seen.ts'
import type { SimPlant } from '../world/plant.ts'

/** A plant asks the registrars for two seconds, five more when it has just started; what it took them for is looked through every five. */
const GRANT_MS_MAX = 13_000
/** A machine that has ended may take so long to be cleared away. */
const CLEARING_MS_MAX = 40_000
/** LEASE_TTL_MS, by a clock that is five in a hundred slow. */
const BEGIN_MS_MAX = 127_000

interface Known { firstMs: number, sinceMs: number, life: number, begun: boolean, had: boolean }

/** A lease has a machine, or is about to have one, or is gone; and none has its machine begun after its time. */
export function leasesEnd (): Checker {
  const name = 'leases'
  const known = new Map<LeaseId, Known>()
  return {
    name,
    afterEvent (seen) {
      for (const plant of seen.world.plants) {
        const found = look(name, seen, plant, known)
        if (found !== undefined) return found
      }
      return undefined
    }
  }
}

function look (name: string, seen: Seen, { host, node, life }: SimPlant, known: Map<LeaseId, Known>): Problem | undefined {
  if (node === undefined || life === undefined) return undefined
  const { nowMs } = seen.world.timeline
  for (const { leaseId, vmId } of node.ledger.leases()) {
    const record = host.records.machines.get(vmId)
    const mine = record?.lease.id === leaseId ? record : undefined
    const lease = known.get(leaseId) ?? { firstMs: nowMs, sinceMs: nowMs, life: life.incarnation, begun: false, had: false }
    known.set(leaseId, lease)
    const has = mine !== undefined && isLive(mine)
    if (has && !lease.begun && lease.life === life.incarnation && nowMs - lease.firstMs > BEGIN_MS_MAX) return problem(name, seen, `${host.name} begins ${vmId} ${seconds(nowMs - lease.firstMs)} after its award, when the lease was over`, vmId)
    // A process that stands still, has just started, or cannot write down how a machine ended, cannot be blamed.
    if (has || lease.had || host.diskFull || lease.life !== life.incarnation) lease.sinceMs = nowMs
    lease.sinceMs = Math.max(lease.sinceMs, life.stillUntilUs / 1_000)
    Object.assign(lease, { had: has, begun: lease.begun || has, life: life.incarnation })
    if (has) continue
    const mostMs = mine === undefined ? GRANT_MS_MAX : CLEARING_MS_MAX
    if (nowMs - lease.sinceMs > mostMs) return problem(name, seen, `the lease of ${vmId} on ${host.name} has had no machine for ${seconds(nowMs - lease.sinceMs)}, and is not released`, vmId)
  }
  return undefined
}

function seconds (ms: number): string { return `${Math.round(ms / 1_000)} s` }
