/** What a plant offers: defaults from its host, and the text form of `--capacity`. */
import { PlantError } from '../../protocols/kit/index.ts'

/** Numbers of what a plant offers to machines in all. */
export interface Capacity { cpus: number, memoryMiB: number, diskMiB: number, machines: number, networks: number }

/** What the host has. */
export interface HostSize { cpus: number, memoryMiB: number, freeDiskMiB: number }

/**
 * Virtual CPUs offered for each of the host's: most machines idle most of the time, and the cost models see the load. Memory and disk are not
 * overcommitted: a machine that runs out of CPU is slow, one that runs out of memory is dead.
 */
export const CPU_OVERCOMMIT = 4

/** The paper's plants: 32 machines, 4 host-only networks (VMPlants 3.4). */
const MACHINES = 32
const NETWORKS = 4

/** Share of the host's memory and free disk that is offered; the rest is the host's, the VMMs' own and the golden machines'. */
const HOST_SHARE = 0.75

/** The most that any of the numbers may be: 16 TiB of memory or disk in MiB is 2^24, and sums of them stay exact. */
const NUMBER_MAX = 2 ** 32

/** What a plant offers unless told otherwise. */
export function defaultCapacity (host: HostSize): Capacity {
  return {
    cpus: host.cpus * CPU_OVERCOMMIT,
    memoryMiB: Math.floor(host.memoryMiB * HOST_SHARE),
    diskMiB: Math.floor(host.freeDiskMiB * HOST_SHARE),
    machines: MACHINES,
    networks: NETWORKS
  }
}

/** Reads `cpus=2,memoryMiB=4096`; what is not named keeps its default. Throws USAGE with what was found and what is allowed. */
export function parseCapacity (text: string, defaults: Capacity): Capacity {
  const capacity = { ...defaults }
  for (const part of text.split(',').filter((piece) => piece.trim() !== '')) {
    const [name = '', value = '', ...more] = part.split('=').map((piece) => piece.trim())
    if (!isCapacityName(name, capacity)) throw new PlantError('USAGE', { option: '--capacity', found: name.slice(0, 64), allowed: Object.keys(defaults).join(', ') })
    if (more.length > 0 || !/^\d{1,10}$/.test(value) || Number(value) > NUMBER_MAX) {
      throw new PlantError('USAGE', { option: '--capacity', field: name, found: value.slice(0, 64), allowed: `a whole number up to ${NUMBER_MAX}` })
    }
    capacity[name] = Number(value)
  }
  return capacity
}

function isCapacityName (name: string, capacity: Capacity): name is keyof Capacity {
  return Object.hasOwn(capacity, name)
}
