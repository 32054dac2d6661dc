/** Processes as Linux shows them in /proc: who runs where, since when, and how to end them without ever hitting another. */
import { readFileSync } from 'node:fs'
import { readFile, readdir, readlink } from 'node:fs/promises'
import { setTimeout as pause } from 'node:timers/promises'
import { PlantError } from '../../../protocols/kit/index.ts'
import { KILL_WITHIN_MS, SOCKET_POLL_MS, TERM_WITHIN_MS } from './limits.ts'

/** A process, told apart from a later one of the same number by when it started (clock ticks since boot, proc(5)). */
export interface ProcessId { pid: number, startTicks: string }

/** Linux counts CPU time for user space in hundredths of a second (USER_HZ) on every architecture we run on. */
const MS_PER_TICK = 10

interface Stat { state: string, cpuTicks: number, startTicks: string }

function statOf (pid: number): Stat | undefined {
  let text: string
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'latin1')
  } catch {
    return undefined // No such process.
  }
  // The name, in parentheses, may hold anything; fields count from behind it: state is the third of all.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return { state: fields[0] ?? 'X', cpuTicks: Number(fields[11]) + Number(fields[12]), startTicks: fields[19] ?? '' }
}

/** The identity of a process that runs now. */
export function processOf (pid: number): ProcessId | undefined {
  const stat = statOf(pid)
  return stat === undefined || isOver(stat) ? undefined : { pid, startTicks: stat.startTicks }
}

/** Whether this very process still runs; one that has ended and waits for its parent to look does not. */
export function isAlive ({ pid, startTicks }: ProcessId): boolean {
  const stat = statOf(pid)
  return stat !== undefined && stat.startTicks === startTicks && !isOver(stat)
}

/** CPU time used so far, user and system. */
export function cpuMsOf (pid: number): number {
  return (statOf(pid)?.cpuTicks ?? 0) * MS_PER_TICK
}

function isOver (stat: Stat): boolean {
  return stat.state === 'Z' || stat.state === 'X'
}

/** Memory that no other process shares, in bytes (proc(5), smaps_rollup); 0 when the process is gone. */
export async function privateBytesOf (pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/smaps_rollup`, 'latin1').catch(() => '')
  let bytes = 0
  for (const [, kib] of text.matchAll(/^Private_(?:Clean|Dirty):\s+(\d+) kB$/gm)) bytes += Number(kib) * 1024
  return bytes
}

/** Running processes that have an argument which starts with `mark` and work in `dir` or below it, by their directory. */
export async function processesIn (dir: string, mark: string): Promise<Array<ProcessId & { cwd: string }>> {
  const found: Array<ProcessId & { cwd: string }> = []
  for (const entry of await readdir('/proc')) {
    if (!/^\d+$/.test(entry)) continue
    // Another user's process, or one that ended just now: not ours either way.
    const cwd = (await readlink(`/proc/${entry}/cwd`).catch(() => '')).replace(/ \(deleted\)$/, '')
    if (cwd !== dir && !cwd.startsWith(`${dir}/`)) continue
    const args = (await readFile(`/proc/${entry}/cmdline`, 'utf8').catch(() => '')).split('\0')
    if (!args.some((arg) => arg.startsWith(mark))) continue
    const process = processOf(Number(entry))
    if (process !== undefined) found.push({ ...process, cwd })
  }
  return found
}

/** Ends a process and waits until it is gone: SIGTERM, then SIGKILL. Done at once when it does not run any more. Throws INTERNAL when it will not go. */
export async function endProcess (process: ProcessId): Promise<void> {
  for (const [signal, waitMs] of [['SIGTERM', TERM_WITHIN_MS], ['SIGKILL', KILL_WITHIN_MS]] as const) {
    if (!sendSignal(process, signal)) return
    const deadlineMs = performance.now() + waitMs
    while (performance.now() < deadlineMs) {
      if (!isAlive(process)) return
      await pause(SOCKET_POLL_MS)
    }
  }
  if (isAlive(process)) throw new PlantError('INTERNAL', { problem: 'a process does not end, not even by SIGKILL', pid: process.pid })
}

function sendSignal (target: ProcessId, signal: 'SIGTERM' | 'SIGKILL'): boolean {
  if (!isAlive(target)) return false
  try {
    process.kill(target.pid, signal)
    return true
  } catch {
    return isAlive(target) // It ended just then, or is not ours to signal: the caller's wait tells which.
  }
}
