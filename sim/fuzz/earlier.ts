/** Of several machines of one order that of the earliest award stays (CONTRACT.md, Conventions). Looks at disks; which award is earlier is reckoned here. */
import type { LeaseId, VmId } from '../../protocols/kit/index.ts'
import type { SimPlant } from '../world/plant.ts'
import { isLive, problem, type Checker, type Seen } from './seen.ts'

interface Award { plant: SimPlant, leaseId: LeaseId, awardedAtMs: number, live: boolean }

/** A machine that goes, and whose client did not ask for that, goes for one of an earlier award: that one may itself have ended since. */
export function earlierStays (): Checker {
  const name = 'earlier'
  const awards = new Map<VmId, Award[]>()
  return {
    name,
    afterEvent (seen) {
      for (const plant of seen.world.plants) note(awards, plant)
      for (const [vmId, ofOrder] of awards) {
        for (const gone of ofOrder.filter((award) => award.live && !stands(award, vmId))) {
          gone.live = false
          const rival = ofOrder.find(({ live }) => live)
          if (rival === undefined || ofOrder.some((other) => isBefore(other, gone)) || !wasGivenUp(seen, gone, vmId)) continue
          return problem(name, seen, `${gone.plant.name} gave up ${vmId}, awarded at ${gone.awardedAtMs}, and ${rival.plant.name} keeps it, awarded at ${rival.awardedAtMs}`, vmId)
        }
      }
      return undefined
    }
  }
}

function note (awards: Map<VmId, Award[]>, plant: SimPlant): void {
  for (const record of plant.host.records.machines.values()) {
    const { vmId, lease: { id: leaseId, awardedAtMs } } = record
    const known = awards.get(vmId) ?? []
    if (!isLive(record) || known.some((award) => award.leaseId === leaseId)) continue
    awards.set(vmId, [...known, { plant, leaseId, awardedAtMs, live: true }])
  }
}

function stands ({ plant, leaseId }: Award, vmId: VmId): boolean {
  const record = plant.host.records.machines.get(vmId)
  return record?.lease.id === leaseId && isLive(record)
}

/** By its plant, which runs: it did not fail, its client let it be, and no disk was lost. */
function wasGivenUp ({ orders }: Seen, { plant }: Award, vmId: VmId): boolean {
  const order = orders.find((one) => one.vmId === vmId)
  return order?.collecting === false && plant.life !== undefined && plant.host.records.machines.get(vmId)?.state !== 'failed'
}

function isBefore (a: Award, b: Award): boolean {
  return a !== b && (a.awardedAtMs < b.awardedAtMs || (a.awardedAtMs === b.awardedAtMs && a.plant.peer < b.plant.peer))
}
