/** One QEMU process from its start to its end: started apart from the plant, so that it outlives it. */
import { spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { PlantError } from '../../../protocols/kit/index.ts'
import type { QemuCommands } from '../../setup/qemu-find.ts'
import { isAlive, kill, startTicksOf, type VmmProcess } from './processes.ts'
import { Qmp } from './qmp.ts'

/** Where a process finds the suspended state that it was started with: the first descriptor after standard error. */
export const STATE_DESCRIPTOR = 3

const CONNECT_POLL_MS = 4
/** From the process's start to its control socket; a loaded host has been seen to take some seconds. */
const CONNECT_TIMEOUT_MS = 30_000
const LOG_TAIL_CHARS = 4_000
/** How often a process that is not our child is looked for; its control socket tells sooner. */
const WATCH_MS = 500

export interface Vmm {
  readonly process: VmmProcess
  readonly qmp: Qmp
  /** Resolves, once, with a sentence for people when the process is gone. */
  readonly died: Promise<{ reason: string }>
}

/**
 * Starts QEMU in `dir`, its own session, so that neither the plant's end nor a terminal's reaches it. `stateFile` becomes STATE_DESCRIPTOR.
 * Resolves when its control socket answers; throws VM_START_FAILED with the end of its log, the process being gone.
 */
export async function startVmm (qemu: QemuCommands, args: string[], dir: string, options: { name: string, stateFile?: string, signal?: AbortSignal | undefined }): Promise<Vmm> {
  options.signal?.throwIfAborted()
  const log = openSync(join(dir, 'qemu.log'), 'a', 0o600)
  const state = options.stateFile === undefined ? undefined : openSync(options.stateFile, 'r')
  let pid: number | undefined
  const exit = Promise.withResolvers<string>()
  try {
    const child = spawn(qemu.system, [...qemu.args, ...args], { cwd: dir, detached: true, stdio: ['ignore', log, log, ...(state === undefined ? [] : [state])], env: qemu.env })
    child.on('exit', (status, signal) => { exit.resolve(signal === null ? `it ended with status ${status}` : `it was killed by ${signal}`) })
    child.on('error', (error) => { exit.resolve(`it could not be started: ${error.message}`) })
    child.unref()
    pid = child.pid
  } finally {
    closeSync(log)
    if (state !== undefined) closeSync(state)
  }
  const startTicks = pid === undefined ? undefined : startTicksOf(pid)
  if (pid === undefined || startTicks === undefined) throw new PlantError('VM_START_FAILED', { problem: await exit.promise, log: await logTail(dir) })
  const vmm = { pid, startTicks, name: options.name, dir }
  try {
    const qmp = await connectQmp(vmm, exit.promise, options.signal)
    return { process: vmm, qmp, died: deathOf(vmm, qmp, exit.promise) }
  } catch (error) {
    await kill(vmm)
    if (options.signal?.aborted === true) throw options.signal.reason
    if (error instanceof PlantError && error.code === 'VM_START_FAILED') throw error
    throw new PlantError('VM_START_FAILED', { problem: String(error), log: await logTail(dir) }, { cause: error })
  }
}

/** Attaches to a process that an earlier run of the plant started. Throws when it does not answer. */
export async function attachVmm (vmm: VmmProcess): Promise<Vmm> {
  const qmp = await Qmp.connect(join(vmm.dir, 'qmp.sock'))
  return { process: vmm, qmp, died: deathOf(vmm, qmp) }
}

async function connectQmp (vmm: VmmProcess, exit: Promise<string>, signal?: AbortSignal): Promise<Qmp> {
  let ended: string | undefined
  void exit.then((how) => { ended = how })
  for (let waitedMs = 0; waitedMs < CONNECT_TIMEOUT_MS; waitedMs += CONNECT_POLL_MS) {
    signal?.throwIfAborted()
    if (ended !== undefined) throw new PlantError('VM_START_FAILED', { problem: ended, log: await logTail(vmm.dir) })
    try {
      return await Qmp.connect(join(vmm.dir, 'qmp.sock'))
    } catch {
      await pause(CONNECT_POLL_MS) // Not listening yet; that it has ended is seen above.
    }
  }
  throw new PlantError('VM_START_FAILED', { problem: 'its control socket does not answer', timeoutMs: CONNECT_TIMEOUT_MS, log: await logTail(vmm.dir) })
}

async function deathOf (vmm: VmmProcess, qmp: Qmp, exit?: Promise<string>): Promise<{ reason: string }> {
  let guestSaid: string | undefined
  qmp.onEvent(({ event, data }) => {
    if (event === 'SHUTDOWN') guestSaid = data['guest'] === true ? `the guest shut down (${String(data['reason'])})` : `it was told to end (${String(data['reason'])})`
    if (event === 'GUEST_PANICKED') guestSaid = 'the guest\'s kernel panicked'
  })
  await qmp.closed
  // The control socket closes with the process; only a monitor that went wrong closes it before.
  while (isAlive(vmm)) await pause(WATCH_MS, undefined, { ref: false })
  const how = guestSaid ?? (exit === undefined ? 'its process is gone' : await exit)
  const last = (await logTail(vmm.dir)).trim().split('\n').at(-1) ?? ''
  return { reason: last === '' || guestSaid !== undefined ? how : `${how}; it last said: ${last}` }
}

/** The end of what QEMU wrote. */
export async function logTail (dir: string): Promise<string> {
  return (await readFile(join(dir, 'qemu.log'), 'utf8').catch(() => '')).slice(-LOG_TAIL_CHARS)
}
