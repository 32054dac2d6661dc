/** One QEMU process from its start to its end: in a session of its own, so that it outlives the plant, its output in a bounded file. */
import { spawn } from 'node:child_process'
import { open } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { PlantError } from '../../../protocols/kit/index.ts'
import type { QemuCommands } from '../../setup/qemu-find.ts'
import { cardServed } from './card-served.ts'
import { NETDEV, SOCKETS, qemuArgs } from './command-line.ts'
import type { MachineLine } from './command-line.ts'
import type { Kernels } from './kernels.ts'
import { WATCH_EVERY_MS } from './limits.ts'
import { LOG, logTail, onDisk, trimLog } from './machine-dir.ts'
import { endProcess, isAlive, processOf } from './processes.ts'
import type { ProcessId } from './processes.ts'
import { connectQmp } from './qmp.ts'
import type { Qmp } from './qmp.ts'

export interface Vmm {
  /** Where it works; QEMU itself knows it as its working directory only, so that it may be moved. */
  readonly dir: string
  readonly process: ProcessId
  readonly qmp: Qmp
  /** How the process ended, as its parent saw it; only that it is gone when another run of the plant started it. */
  readonly ended: Promise<string>
  /** Resolves, once, with a sentence for people when the process is gone. Never rejects. */
  readonly died: Promise<{ reason: string }>
  /** Its directory was renamed: it is found there from now on. */
  moved (dir: string): void
  /** Stops watching; the process goes on. */
  letGo (): void
}

export interface VmmComponents {
  qemu: QemuCommands
  kernels: Pick<Kernels, 'ready'>
}

export interface StartOptions {
  /** Becomes STATE_FD. */
  statePath?: string
  /** Called as soon as there is a process, before it is known to come up. */
  onProcess?: (process: ProcessId) => Promise<void>
  signal?: AbortSignal | undefined
}

/**
 * Starts QEMU in `dir`; resolves when its monitor answers and its network card may be used. Throws VM_START_FAILED with the end of its log, DISK_FULL, or the signal's
 * reason; the process is gone then.
 */
export async function startVmm ({ qemu, kernels }: VmmComponents, dir: string, line: MachineLine, options: StartOptions = {}): Promise<Vmm> {
  options.signal?.throwIfAborted()
  const kernel = line.kernel === undefined ? undefined : await readyKernel(kernels, line.kernel, dir)
  options.signal?.throwIfAborted()
  const { process, ended } = await spawnQemu(qemu, dir, kernel === undefined ? line : { ...line, kernel }, options.statePath)
  try {
    await options.onProcess?.(process)
    const qmp = await connectQmp(join(dir, SOCKETS.qmp), { alive: () => isAlive(process), signal: options.signal })
    await cardServed(qmp, { netdev: NETDEV, path: join(dir, SOCKETS.net) }, options.signal)
    return watched(dir, process, qmp, ended)
  } catch (error) {
    const failure = await startFailure(dir, { process, ended }, error)
    await endProcess(process)
    throw failure
  }
}

/** Attaches to a process that an earlier run of the plant started. Throws VM_START_FAILED when it does not answer. */
export async function attachVmm (dir: string, process: ProcessId, signal?: AbortSignal): Promise<Vmm> {
  return watched(dir, process, await connectQmp(join(dir, SOCKETS.qmp), { alive: () => isAlive(process), signal }), Promise.resolve('QEMU is gone'))
}

/** What an error that came up while a machine was starting really is: when QEMU is gone, its own last words say why. */
export async function startFailure (dir: string, { process, ended }: Pick<Vmm, 'process' | 'ended'>, error: unknown): Promise<unknown> {
  if (!(error instanceof PlantError)) return error
  // The monitor goes a moment before its process.
  for (let waitedMs = 0; error.code === 'VM_DIED' && isAlive(process) && waitedMs < WATCH_EVERY_MS; waitedMs += AFTER_MONITOR_MS) await pause(AFTER_MONITOR_MS)
  if (isAlive(process)) return error
  const log = await logTail(dir)
  if (/No space left on device|Disk quota exceeded/.test(log)) return new PlantError('DISK_FULL', { path: dir, log }, { cause: error })
  return new PlantError('VM_START_FAILED', { problem: `${await ended} before the machine was ready`, log }, { cause: error })
}

async function readyKernel (kernels: VmmComponents['kernels'], path: string, dir: string): Promise<string> {
  try {
    return await kernels.ready(path, dir)
  } catch (cause) {
    throw cause instanceof PlantError ? cause : new PlantError('VM_START_FAILED', { problem: 'the kernel cannot be read', path }, { cause })
  }
}

async function spawnQemu (qemu: QemuCommands, dir: string, line: MachineLine, statePath?: string): Promise<Pick<Vmm, 'process' | 'ended'>> {
  const log = await onDisk(dir, async () => await open(join(dir, LOG), 'a', 0o600))
  let state: FileHandle | undefined
  try {
    if (statePath !== undefined) state = await open(statePath).catch((cause: unknown) => { throw new PlantError('VM_START_FAILED', { problem: 'the suspended state cannot be read', path: statePath }, { cause }) })
    // Descriptor 3: STATE_FD.
    const child = spawn(qemu.system, qemuArgs(line), { cwd: dir, env: qemu.env, detached: true, stdio: ['ignore', log.fd, log.fd, ...(state === undefined ? [] : [state.fd])] })
    const ended = new Promise<string>((resolve) => {
      child.on('exit', (code, signal) => { resolve(signal === null ? `QEMU ended with status ${code}` : `QEMU was killed by ${signal}`) })
      child.on('error', (error) => { resolve(`QEMU could not be started: ${error.message}`) })
    })
    child.unref()
    if (child.pid === undefined) throw new PlantError('VM_START_FAILED', { problem: await ended })
    // It may have ended already; then it is known by a start time that no process has.
    return { process: processOf(child.pid) ?? { pid: child.pid, startTicks: 'ended' }, ended }
  } finally {
    await state?.close()
    await log.close()
  }
}

function watched (startDir: string, process: ProcessId, qmp: Qmp, ended: Promise<string>): Vmm {
  let dir = startDir
  let guestSaid: string | undefined
  qmp.onEvent(({ name, data }) => {
    if (name === 'SHUTDOWN') guestSaid = data['guest'] === true ? `the guest powered off (${String(data['reason'])})` : `QEMU was told to end (${String(data['reason'])})`
    if (name === 'GUEST_PANICKED') guestSaid = 'the guest\'s kernel panicked'
  })
  const stop = new AbortController()
  const death = Promise.withResolvers<{ reason: string }>()
  const look = async (): Promise<void> => {
    // The monitor goes with its process, as a rule; the timer is for when it does not, and keeps the log bounded.
    let monitor: Promise<unknown> | undefined = qmp.closed.then(() => { monitor = undefined })
    while (isAlive(process)) {
      const waited = pause(monitor === undefined ? AFTER_MONITOR_MS : WATCH_EVERY_MS, undefined, { ref: false, signal: stop.signal })
      waited.catch(() => {}) // Told by the race, or nobody waits for it any more.
      await Promise.race([waited, ...(monitor === undefined ? [] : [monitor])])
      await trimLog(dir)
    }
    const how = guestSaid ?? await ended
    const lastLine = guestSaid === undefined ? (await logTail(dir)).split('\n').at(-1) ?? '' : ''
    death.resolve({ reason: lastLine === '' ? how : `${how}; its last words: ${lastLine}` })
  }
  look().catch((error: unknown) => {
    // Let go of: nobody waits any more. Anything else must not leave those who wait without an answer.
    if (!stop.signal.aborted) death.resolve({ reason: `QEMU can no longer be watched (${String(error)})` })
  })
  return {
    get dir () { return dir },
    process, qmp, ended,
    died: death.promise,
    moved: (to) => { dir = to },
    letGo: () => { stop.abort(); qmp.close() }
  }
}

/** Between the monitor's end and the process's. */
const AFTER_MONITOR_MS = 20
