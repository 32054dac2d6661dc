/** The directory leads to machines that there are. Looks at what a process holds in the directory, and at its host's disk. */
import { isLive, problem, type Checker, type Problem, type Seen } from './seen.ts'

/** A plant says in the directory of each machine it has that it has it, and of none that was collected or forgotten. */
export function directoryTrue (): Checker {
  const name = 'directory'
  const check = (seen: Seen): Problem[] => seen.world.plants.flatMap(({ name: plant, host, process }) => {
    if (process === undefined) return []
    const keys = new Set(process.directory.keys)
    const records = host.records.machines
    const missing = [...records.values()].filter((record) => isLive(record) && !keys.has(`vm/${record.vmId}`))
      .map(({ vmId }) => problem(name, seen, `${plant} has ${vmId}, and does not say so in the directory`, vmId))
    const stale = [...keys].filter((key) => {
      const state = key.startsWith('vm/') ? [...records.values()].find(({ vmId }) => key === `vm/${vmId}`)?.state : 'running'
      return state === undefined || state === 'collected'
    }).map((key) => problem(name, seen, `${plant} still says in the directory that it has ${key}`))
    return [...missing, ...stale]
  })
  return { name, atRest: check, atEnd: check }
}
