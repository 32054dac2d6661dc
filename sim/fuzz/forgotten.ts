/** Disks remember a bounded number of machines that have ended. Looks at hosts' disks. */
import type { KeyId } from '../../protocols/kit/index.ts'
import { isLive, problem, type Checker, type Problem, type Seen } from './seen.ts'

/** In all and of one owner, what has ended is forgotten where it is more than the records are to keep (`SimHost.endedKept`). */
export function recordsForgotten (): Checker {
  const name = 'forgotten'
  const check = (seen: Seen): Problem[] => seen.world.plants.flatMap(({ host }) => {
    const { inAll, perOwner } = host.endedKept
    const ended = [...host.records.machines.values()].filter((record) => !isLive(record))
    const ofOwner = new Map<KeyId, number>()
    for (const { owner } of ended) ofOwner.set(owner, (ofOwner.get(owner) ?? 0) + 1)
    const most = Math.max(0, ...ofOwner.values())
    return ended.length > inAll || most > perOwner ? [problem(name, seen, `${host.name} remembers ${ended.length} machines that have ended, ${most} of them of one owner, and is to remember ${inAll} and ${perOwner} at most`)] : []
  })
  return { name, atRest: check, atEnd: check }
}
