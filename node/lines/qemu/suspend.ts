/** Suspending: a machine is booted at a size, left to settle and stopped; its memory is a file already, its devices' state becomes one. */
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { PlantError } from '../../../protocols/kit/index.ts'
import { shortPath } from '../../drivers/socket-path.ts'
import { connectAgent } from './channel/agent-client.ts'
import type { AgentClient } from './channel/agent-client.ts'
import { SOCKETS } from './command-line.ts'
import { withHelper } from './helper.ts'
import type { HelperComponents, HelperShape } from './helper.ts'
import { Drives } from './drives.ts'
import { guestClockOff } from './guest-clock.ts'
import { BOOT_ANSWERS_WITHIN_MS, FOREIGN_ANSWERS_WITHIN_MS, SETTLED_SHARE, SETTLE_WINDOW_MS, SETTLE_WITHIN_MS, SYSTEM_UP_WITHIN_MS } from './limits.ts'
import { needRoom, removeDir } from './machine-dir.ts'
import { writeState } from './migration.ts'
import { GOLDEN_FILES, hasFile, startFiles } from './parts.ts'
import { cpuMsOf } from './processes.ts'
import type { Vmm } from './vmm.ts'

/** A boot whose guest has a wrong clock is done again, so often at most in all. */
const BOOTS_MAX = 4

/** Device state besides memory is 0.6 MB; the disk grows by what the boot writes. */
const ROOM_BESIDES_RAM_BYTES = 16 * 1024 * 1024

/**
 * Boots the kernel, initrd and disk in `dir` at a size and suspends that there: adds `ram` and `state`, and the disk is what the guest left.
 * Throws VM_START_FAILED, AGENT_SILENT, DISK_FULL or the signal's reason.
 */
export async function bootAndSuspend (c: HelperComponents, dir: string, hardware: { cpus: number, memoryMiB: number }, onStep: (step: string, share: number) => void, signal?: AbortSignal): Promise<void> {
  await needRoom(dir, hardware.memoryMiB * 1024 * 1024 + ROOM_BESIDES_RAM_BYTES)
  const seedPath = hasFile(dir, 'seed') ? join(dir, GOLDEN_FILES.seed) : undefined
  const shape = { ...hardware, ...startFiles(dir), ram: { path: join(dir, GOLDEN_FILES.ram), share: true } }
  for (let boots = 1; ; boots++) {
    onStep('booting it once', 0)
    const off = await bootOnce(c, dir, shape, seedPath, onStep, signal)
    if (off === undefined) break
    // What is left of it in memory would be part of the golden machine.
    await removeDir(shape.ram.path)
    if (boots === BOOTS_MAX) throw new PlantError('VM_START_FAILED', { problem: `its clock goes ${off.toFixed(2)} times as fast as the host's after ${boots} boots: the host is too busy for it now`, boots })
  }
  onStep('suspended', 1)
}

/** Suspended, or else how wrong the guest's clock is: then nothing was suspended. */
async function bootOnce (c: HelperComponents, dir: string, shape: Omit<HelperShape, 'paused'>, seedPath: string | undefined, onStep: (step: string, share: number) => void, signal?: AbortSignal): Promise<number | undefined> {
  return withHelper(c, { ...shape, paused: seedPath !== undefined }, async (vmm) => {
    const agent = await (seedPath === undefined ? answering(vmm, BOOT_ANSWERS_WITHIN_MS, signal) : seeded(vmm, c, seedPath, onStep, signal))
    try {
      onStep('letting it settle', 0.6)
      await systemUp(agent, signal)
      await settled(vmm, signal)
      const off = await guestClockOff(agent, signal)
      await agent.sync(signal)
      if (off !== undefined) return off
    } finally {
      agent.close()
    }
    // The guest hears that nobody is at the other end of the port any more, and goes back to sleep.
    await settled(vmm, signal)
    onStep('suspending it', 0.9)
    await vmm.qmp.execute('stop')
    await writeState(vmm, join(dir, GOLDEN_FILES.state), signal)
    return undefined
  }, signal)
}

/** Starts a foreign machine with a seed in its drive; once its agent answers, the seed is taken out, for the suspended state would name the drive. */
async function seeded (vmm: Vmm, { qemu }: HelperComponents, seedPath: string, onStep: (step: string, share: number) => void, signal?: AbortSignal): Promise<AgentClient> {
  const drives = new Drives(vmm.qmp, vmm.dir, qemu)
  const takeOut = await drives.attachIso(seedPath, signal)
  await vmm.qmp.execute('cont', {}, { signal })
  onStep('waiting for its agent (cloud-init starts it)', 0.1)
  const agent = await answering(vmm, FOREIGN_ANSWERS_WITHIN_MS, signal)
  await systemUp(agent, signal)
  await takeOut()
  return agent
}

/** The agent answers early in a boot: waits until systemd, where there is one, has started everything else too. */
async function systemUp (agent: AgentClient, signal?: AbortSignal): Promise<void> {
  const script = '[ ! -d /run/systemd/system ] || systemctl is-system-running --wait > /dev/null; true'
  await agent.run({ script, parameters: {}, files: {}, timeoutMs: SYSTEM_UP_WITHIN_MS }, signal)
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
