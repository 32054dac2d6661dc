/** What the host has: processors, memory, disk and load, as the plant may use them. */
import { readFileSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { arch, availableParallelism, freemem, loadavg, totalmem } from 'node:os'

const MIB = 1024 * 1024

export interface HostFigures {
  /** As CONTRACT.md names it: `x86_64`, `aarch64`, … */
  isa: string
  /** Processors this process may run on. */
  cpus: number
  memoryMiB: number
  /** What can be had without swapping (MemAvailable), within the control group's limit. */
  freeMemoryMiB: number
  /** Of the file system that holds the data directory. */
  diskMiB: number
  freeDiskMiB: number
  /** Processes that want to run, averaged over a minute, per processor: 1 is busy. */
  load: number
}

/** Asks the host anew. `dataDir` must exist; throws the file system's error otherwise. */
export async function probeHost (dataDir: string): Promise<HostFigures> {
  const disk = await statfs(dataDir)
  const cpus = availableParallelism()
  const limit = groupLimit()
  const totalBytes = Math.min(totalmem(), limit?.maxBytes ?? Infinity)
  const freeBytes = Math.min(memAvailable() ?? freemem(), limit === undefined ? Infinity : limit.maxBytes - limit.usedBytes)
  return {
    isa: hostIsa(),
    cpus,
    memoryMiB: Math.floor(totalBytes / MIB),
    freeMemoryMiB: Math.max(0, Math.floor(freeBytes / MIB)),
    diskMiB: Math.floor(disk.blocks * disk.bsize / MIB),
    freeDiskMiB: Math.floor(disk.bavail * disk.bsize / MIB),
    load: Math.round(loadNow() / cpus * 100) / 100
  }
}

/** The host's instruction set as orders name it. */
export function hostIsa (): string {
  const names: Record<string, string> = { x64: 'x86_64', arm64: 'aarch64', ia32: 'i686', riscv64: 'riscv64', ppc64: 'ppc64le', s390x: 's390x' }
  return names[arch()] ?? arch()
}

function loadNow (): number { return loadavg()[0] ?? 0 }

/** MemAvailable counts caches that can be dropped, which os.freemem leaves out on some kernels. */
function memAvailable (): number | undefined {
  const line = /^MemAvailable:\s+(\d+) kB$/m.exec(readOr('/proc/meminfo'))
  return line === null ? undefined : Number(line[1]) * 1024
}

/** The memory limit of our control group (cgroup v2), when there is one. */
function groupLimit (): { maxBytes: number, usedBytes: number } | undefined {
  const path = /^0::(\/.*)$/m.exec(readOr('/proc/self/cgroup'))?.[1]
  if (path === undefined) return undefined
  const dir = `/sys/fs/cgroup${path === '/' ? '' : path}`
  const max = readOr(`${dir}/memory.max`).trim()
  if (!/^\d+$/.test(max)) return undefined
  return { maxBytes: Number(max), usedBytes: Number(readOr(`${dir}/memory.current`).trim()) || 0 }
}

function readOr (path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return '' // Not on every system: the caller falls back to what node:os says.
  }
}
