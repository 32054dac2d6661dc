/** VMM processes of this plant as the kernel knows them: found by name and directory, whoever started them. Linux's /proc (proc(5)). */
import { readFileSync, readdirSync, readlinkSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { setTimeout as pause } from 'node:timers/promises'

/** A process; `startTicks` tells it from a later one of the same number. */
export interface VmmProcess { pid: number, startTicks: string, name: string, dir: string }

/** All processes named `plantmesh-…` whose directory lies in `root`. */
export function vmmProcesses (root: string): VmmProcess[] {
  return readdirSync('/proc').filter((entry) => /^\d+$/.test(entry)).flatMap((entry) => {
    try {
      const args = readFileSync(`/proc/${entry}/cmdline`, 'utf8').split('\0')
      const at = args.indexOf('-name')
      const name = at < 0 ? undefined : args[at + 1]
      if (name === undefined || !name.startsWith('plantmesh-')) return []
      // A directory that was removed under the process reads as `… (deleted)`.
      const dir = readlinkSync(`/proc/${entry}/cwd`).replace(/ \(deleted\)$/, '')
      const startTicks = startTicksOf(Number(entry))
      return startTicks !== undefined && dir.startsWith(root + '/') ? [{ pid: Number(entry), startTicks, name, dir }] : []
    } catch {
      return [] // It ended while we looked, or is another user's and so not ours.
    }
  })
}

/** When the process started, or undefined when there is none (or only its corpse). */
export function startTicksOf (pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19]
  } catch {
    return undefined
  }
}

export function isAlive (process: Pick<VmmProcess, 'pid' | 'startTicks'>): boolean {
  return startTicksOf(process.pid) === process.startTicks
}

const GONE_POLL_MS = 5
/** A killed process goes once the kernel has freed its memory; one stuck in the kernel is told of. */
const GONE_TIMEOUT_MS = 10_000

/** Kills it and waits until it is gone. False when it is still there after GONE_TIMEOUT_MS. */
export async function kill (vmm: Pick<VmmProcess, 'pid' | 'startTicks'>): Promise<boolean> {
  if (isAlive(vmm)) process.kill(vmm.pid, 'SIGKILL')
  return gone(vmm)
}

/** Waits until a process that is ending has ended. False when it is still there after GONE_TIMEOUT_MS. */
export async function gone (vmm: Pick<VmmProcess, 'pid' | 'startTicks'>): Promise<boolean> {
  for (let waitedMs = 0; isAlive(vmm); waitedMs += GONE_POLL_MS) {
    if (waitedMs > GONE_TIMEOUT_MS) return false
    await pause(GONE_POLL_MS)
  }
  return true
}

/** Memory that no other process shares, and CPU time used. Throws when the process is gone. */
export async function usageOf (pid: number): Promise<{ privateMemoryBytes: number, cpuMs: number }> {
  const rollup = await readFile(`/proc/${pid}/smaps_rollup`, 'latin1')
  const kib = (field: string): number => Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(rollup)?.[1] ?? 0)
  const stat = await readFile(`/proc/${pid}/stat`, 'latin1')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  // Ticks are hundredths of a second on every Linux that Node runs on (sysconf(_SC_CLK_TCK)).
  return { privateMemoryBytes: 1024 * (kib('Private_Clean') + kib('Private_Dirty')), cpuMs: 10 * (Number(fields[11]) + Number(fields[12])) }
}
