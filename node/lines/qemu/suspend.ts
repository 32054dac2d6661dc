/** Suspending: a machine is booted at a size, left to settle and stopped; its memory is a file already, its devices' state becomes one. */
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { PlantError } from '../../../protocols/kit/index.ts'
import { shortPath } from '../../drivers/socket-path.ts'
import { connectAgent } from './channel/agent-client.ts'
import type { AgentClient } from './channel/agent-client.ts'
import { SOCKETS } from './command-line.ts'
import { withHelper } from './helper.ts'
import type { HelperComponents } from './helper.ts'
import { BOOT_ANSWERS_WITHIN_MS, SETTLED_SHARE, SETTLE_WINDOW_MS, SETTLE_WITHIN_MS } from './limits.ts'
import { needRoom } from './machine-dir.ts'
import { writeState } from './migration.ts'
import { cpuMsOf } from './processes.ts'
import type { Vmm } from './vmm.ts'

/** A golden machine's files, by name. */
export const GOLDEN_FILES = { kernel: 'kernel', initrd: 'initrd', disk: 'disk.qcow2', ram: 'ram', state: 'state' } as const

/** Device state besides memory is 0.6 MB; the disk grows by what the boot writes. */
const ROOM_BESIDES_RAM_BYTES = 16 * 1024 * 1024

/**
 * Boots the kernel, initrd and disk in `dir` at a size and suspends that there: adds `ram` and `state`, and the disk is what the guest left.
 * Throws VM_START_FAILED, AGENT_SILENT, DISK_FULL or the signal's reason.
 */
export async function bootAndSuspend (c: HelperComponents, dir: string, hardware: { cpus: number, memoryMiB: number }, onStep: (step: string, share: number) => void, signal?: AbortSignal): Promise<void> {
  await needRoom(dir, hardware.memoryMiB * 1024 * 1024 + ROOM_BESIDES_RAM_BYTES)
  const shape = { ...hardware, ...startFiles(dir), ram: { path: join(dir, GOLDEN_FILES.ram), share: true } }
  onStep('booting it once', 0)
  await withHelper(c, shape, async (vmm) => {
    const agent = await answering(vmm, BOOT_ANSWERS_WITHIN_MS, signal)
    try {
      onStep('letting it settle', 0.6)
      await settled(vmm, signal)
      await agent.sync(signal)
    } finally {
      agent.close()
    }
    // The guest hears that nobody is at the other end of the port any more, and goes back to sleep.
    await settled(vmm, signal)
    onStep('suspending it', 0.9)
    await vmm.qmp.execute('stop')
    await writeState(vmm, join(dir, GOLDEN_FILES.state), signal)
  }, signal)
  onStep('suspended', 1)
}

/** What a machine is started from, in a golden machine's directory. */
export function startFiles (dir: string): { kernel: string, initrd: string, disk: string } {
  return { kernel: join(dir, GOLDEN_FILES.kernel), initrd: join(dir, GOLDEN_FILES.initrd), disk: join(dir, GOLDEN_FILES.disk) }
}

/** The agent in the guest once it answers; throws VM_DIED when the machine ends before, AGENT_SILENT when it takes too long. */
export async function answering (vmm: Vmm, timeoutMs: number, signal?: AbortSignal): Promise<AgentClient> {
  const stop = new AbortController()
  const connecting = connectAgent(shortPath(join(vmm.dir, SOCKETS.agent)), { timeoutMs, signal: signal === undefined ? stop.signal : AbortSignal.any([stop.signal, signal]) })
  const dead = vmm.died.then(({ reason }) => { throw new PlantError('VM_DIED', { reason }) })
  try {
    return await Promise.race([connecting, dead])
  } catch (error) {
    stop.abort()
    connecting.then((late) => { late.close() }, () => {}) // What is told is what came first.
    throw error
  }
}

/** Waits until the guest has nothing left to do: what it does in the golden machine, no clone does again. */
async function settled (vmm: Vmm, signal?: AbortSignal): Promise<void> {
  const deadlineMs = performance.now() + SETTLE_WITHIN_MS
  for (let share = 1; share > SETTLED_SHARE && performance.now() < deadlineMs;) {
    const beforeMs = cpuMsOf(vmm.process.pid)
    await pause(SETTLE_WINDOW_MS, undefined, { signal })
    share = (cpuMsOf(vmm.process.pid) - beforeMs) / SETTLE_WINDOW_MS
  }
}
