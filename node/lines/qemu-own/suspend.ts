/** Suspending machines into golden ones: boot and suspend, another size of one that exists, a copy of one that runs. */
import { access, copyFile, link, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { PlantError } from '../../../protocols/kit/index.ts'
import type { QemuCommands } from '../../setup/qemu-find.ts'
import { runTool } from '../../setup/run-tool.ts'
import type { Accelerator } from './accelerator.ts'
import { commandLine, processName } from './command-line.ts'
import { agentOf, type QemuMachine } from './machine.ts'
import { gone, kill } from './processes.ts'
import type { Qmp } from './qmp.ts'
import { startVmm, type Vmm } from './vmm.ts'

/** From power-on to an agent that answers: 1.5 s emulated, much more on a host that is busy. */
const BOOT_TIMEOUT_MS = 180_000
const MIGRATE_TIMEOUT_MS = 300_000
const MIGRATE_POLL_MS = 4
const LISTEN_TIMEOUT_MS = 10_000
/** Of golden machines and helpers: unicast, locally administered; every clone gets its own. */
const GOLDEN_MAC = '02:00:00:00:00:00'

export interface SuspendComponents {
  qemu: QemuCommands
  accelerator: Accelerator
  /** Where helper processes have their directories: among the machines, so that a crash's leftovers are found. */
  machinesDir: string
}

/** Boots `dir`'s kernel, initrd and disk at a size, and suspends it there: adds `ram` and `state`. Throws VM_START_FAILED, AGENT_SILENT, DISK_FULL. */
export async function bootAndSuspend (c: SuspendComponents, dir: string, size: { cpus: number, memoryMiB: number }, onStep: (step: string) => void, signal?: AbortSignal): Promise<void> {
  await withHelper(c, dir, size, false, async (vmm, helperDir) => {
    onStep('booting')
    const agent = await agentOf(helperDir, BOOT_TIMEOUT_MS, signal)
    try {
      onStep('suspending')
      await agent.sync(signal)
    } finally {
      agent.close()
    }
    await suspendTo(vmm.qmp, join(dir, 'state'), signal)
  }, signal)
}

/**
 * Suspends a copy of a running machine into `dir`. The machine is paused while its disk is flattened and its memory goes to a helper, which
 * keeps it in a shared file and is suspended in turn; then the machine goes on, also when this fails. Its own private memory could not be
 * left out of the stream, and a stream of all memory would have to be read whole by every clone.
 */
export async function suspendCopy (c: SuspendComponents, machine: QemuMachine, size: { cpus: number, memoryMiB: number }, bootDir: string, dir: string, signal?: AbortSignal): Promise<void> {
  if (machine.hasPlugged) throw new PlantError('VM_STATE', { vmId: machine.vmId, problem: 'devices were added to it by host actions' })
  for (const name of ['kernel', 'initrd']) await linkOrCopy(join(bootDir, name), join(dir, name))
  await machine.agent.sync(signal)
  const { qmp } = machine.vmm
  await qmp.run('stop')
  try {
    // The machine's memory is private: all of it goes, in the form that says nothing of sharing.
    await ignoreShared(qmp, false)
    await runTool(c.qemu.img, ['convert', '-U', '-O', 'qcow2', join(machine.dir, 'overlay.qcow2'), join(dir, 'disk.qcow2')], { env: c.qemu.env, signal, failure: 'DISK_FULL' })
    await withHelper(c, dir, size, true, async (helper, helperDir) => {
      const taken = takeIn(helper.qmp, 'unix:incoming.sock', false)
      taken.catch(() => undefined) // Told below, unless the sending side fails first.
      await until(async () => exists(join(helperDir, 'incoming.sock')), 'the helper listens', signal)
      try {
        // QEMU connects by path: relative to the machine's own directory, a sibling, which keeps it short.
        await qmp.run('migrate', { uri: `unix:../${basename(helperDir)}/incoming.sock` })
        await migrated(qmp, signal)
      } catch (error) {
        await qmp.run('migrate_cancel').catch(() => undefined) // Ended already: then there is nothing to cancel.
        throw error
      }
      await taken
      await suspendTo(helper.qmp, join(dir, 'state'), signal)
    }, signal)
  } finally {
    await qmp.run('cont')
  }
}

/** Links the parts of a golden machine that do not change, or copies them where links do not reach. */
export async function linkOrCopy (from: string, to: string): Promise<void> {
  await link(from, to).catch(async () => copyFile(from, to))
}

async function withHelper (c: SuspendComponents, dir: string, size: { cpus: number, memoryMiB: number }, incoming: boolean, work: (vmm: Vmm, helperDir: string) => Promise<void>, signal?: AbortSignal): Promise<void> {
  await mkdir(c.machinesDir, { recursive: true, mode: 0o700 })
  const helperDir = await mkdtemp(join(c.machinesDir, 'helper-'))
  try {
    const name = processName('helper')
    const shape = { name, ...size, mac: GOLDEN_MAC, bootDir: dir, disk: join(dir, 'disk.qcow2'), ram: { path: join(dir, 'ram'), share: true }, incoming }
    const vmm = await startVmm(c.qemu, commandLine(shape, c.accelerator), helperDir, { name, signal })
    try {
      await work(vmm, helperDir)
      await vmm.qmp.run('quit').catch(() => undefined) // It may close its socket before it answers.
      await gone(vmm.process)
    } finally {
      vmm.qmp.close()
      await kill(vmm.process)
    }
  } finally {
    await rm(helperDir, { recursive: true, force: true })
  }
}

/** Stops a machine whose memory is a shared file and writes the rest of its state. */
async function suspendTo (qmp: Qmp, statePath: string, signal?: AbortSignal): Promise<void> {
  await ignoreShared(qmp, true)
  await qmp.run('stop')
  await qmp.run('migrate', { uri: `exec:cat > '${statePath.replaceAll('\'', '\'\\\'\'')}'` })
  await migrated(qmp, signal)
}

async function migrated (qmp: Qmp, signal?: AbortSignal): Promise<void> {
  for (let waitedMs = 0; waitedMs < MIGRATE_TIMEOUT_MS; waitedMs += MIGRATE_POLL_MS) {
    signal?.throwIfAborted()
    const { status, 'error-desc': problem } = await qmp.run('query-migrate')
    if (status === 'completed') return
    if (status === 'failed' || status === 'cancelled') throw new PlantError('VM_STATE', { problem: 'the state could not be written', reason: String(problem ?? status) })
    await pause(MIGRATE_POLL_MS)
  }
  throw new PlantError('VM_STATE', { problem: 'the state was not written in time', timeoutMs: MIGRATE_TIMEOUT_MS })
}

/** Takes in suspended state; resolves when the machine could go on. `ignoreSharedMemory`: memory is in a file and not in the state. */
export async function takeIn (qmp: Qmp, uri: string, ignoreSharedMemory: boolean): Promise<void> {
  await ignoreShared(qmp, ignoreSharedMemory)
  const done = qmp.event('MIGRATION', ({ status }) => status === 'completed' || status === 'failed', MIGRATE_TIMEOUT_MS)
  done.catch(() => undefined) // Told below, unless the command itself is refused.
  await qmp.run('migrate-incoming', { uri })
  if ((await done)['status'] === 'failed') throw new PlantError('VM_START_FAILED', { problem: 'the suspended state could not be taken in' })
}

async function until (condition: () => Promise<boolean>, what: string, signal?: AbortSignal): Promise<void> {
  for (let waitedMs = 0; !await condition(); waitedMs += MIGRATE_POLL_MS) {
    signal?.throwIfAborted()
    if (waitedMs > LISTEN_TIMEOUT_MS) throw new PlantError('VM_START_FAILED', { problem: `not in time: ${what}` })
    await pause(MIGRATE_POLL_MS)
  }
}

async function exists (path: string): Promise<boolean> {
  return access(path).then(() => true, () => false)
}

/** Leaves memory that is in shared files out of the state; both sides of a stream must agree. */
async function ignoreShared (qmp: Qmp, state: boolean): Promise<void> {
  await qmp.run('migrate-set-capabilities', { capabilities: [{ capability: 'x-ignore-shared', state }, { capability: 'events', state: true }] })
}
