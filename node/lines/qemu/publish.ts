/**
 * Suspends a copy of a running machine. Its memory is private (copy-on-write over its golden machine's), so it cannot be left where it is: it
 * is streamed into a helper of the same size whose memory is a shared file, and the helper is suspended. Meanwhile the disk is flattened. The
 * machine is stopped for both, and goes on whether they succeed or not.
 */
import { join, relative, resolve } from 'node:path'
import { PlantError } from '../../../protocols/kit/index.ts'
import { runTool } from '../../setup/run-tool.ts'
import { BASE_SOCKET, diskNode } from './command-line.ts'
import { withHelper } from './helper.ts'
import type { HelperComponents } from './helper.ts'
import { OVERLAY, cloneFile, needRoom } from './machine-dir.ts'
import type { QemuMachine } from './machine.ts'
import { migrate, takeIn, takenIn, writeState } from './migration.ts'
import { GOLDEN_FILES, startFiles } from './parts.ts'

/** The helper listens here, in its own directory. */
const INCOMING_SOCKET = 'in.sock'
const STAND_IN = 'stand-in.qcow2'
/** Device state, and what a flattened disk needs besides its data. */
const ROOM_BESIDES_BYTES = 16 * 1024 * 1024

/** Returns the size of the copy's disk. Throws VM_STATE when drives or cards were added or a copy is being made already, DISK_FULL, VM_DIED or the signal's reason. */
export async function publishMachine (c: HelperComponents, machine: QemuMachine, dir: string, signal?: AbortSignal): Promise<{ diskMiB: number }> {
  return await machine.copied(async () => await copyOf(c, machine, dir, signal))
}

async function copyOf (c: HelperComponents, machine: QemuMachine, dir: string, signal?: AbortSignal): Promise<{ diskMiB: number }> {
  const { qmp } = machine.vmm
  const { cpus, memoryMiB, diskMiB, goldenDir, parts } = machine.description
  if (machine.drives.count > 0) throw new PlantError('VM_STATE', { vmId: machine.vmId, problem: 'drives were added to it, and no clone would have them' })
  if (machine.cards.count > 0) throw new PlantError('VM_STATE', { vmId: machine.vmId, problem: 'it is on several networks, and no clone would have the further cards' })
  await needRoom(dir, memoryMiB * 1024 * 1024 + ROOM_BESIDES_BYTES)
  for (const name of ['kernel', 'initrd'] as const) if (parts[name]) await cloneFile(join(goldenDir, name), join(dir, name))
  if (!machine.description.held) await machine.agent.sync(signal)
  // An empty disk of the same size stands in for the real one, which is still being written when the helper needs it.
  const shape = { cpus, memoryMiB, ...startFiles(dir, parts), disk: STAND_IN, ram: { path: join(dir, GOLDEN_FILES.ram), share: true }, incoming: true }
  const makeDisk = async (helperDir: string): Promise<void> => {
    await runTool(c.qemu.img, ['create', '-q', '-f', 'qcow2', STAND_IN, `${diskMiB}M`], { cwd: helperDir, env: c.qemu.env, signal, failure: 'GOLDEN_BUILD_FAILED' })
  }
  await withHelper(c, { ...shape, makeDisk }, async (helper) => {
    await takeIn(helper.qmp, `unix:${INCOMING_SOCKET}`, 'sent', signal)
    await machine.standingStill(async () => {
      // Relative to the machine's directory, in which its QEMU works: short enough for a socket's path.
      const target = `unix:${relative(machine.vmm.dir, join(helper.dir, INCOMING_SOCKET))}`
      await bothEnded([async (stop) => { await migrate(qmp, target, 'sent', stop) }, async (stop) => { await flatten(c, machine, dir, stop) }], signal)
    })
    await takenIn(helper.qmp, signal)
    await writeState(helper, join(dir, GOLDEN_FILES.state), signal)
  }, signal)
  return { diskMiB }
}

/** Runs works at once; when one fails the others are stopped. All have ended when this does, and what went wrong first is what is thrown. */
async function bothEnded (works: Array<(stop: AbortSignal) => Promise<void>>, signal?: AbortSignal): Promise<void> {
  const failed = new AbortController()
  const stop = signal === undefined ? failed.signal : AbortSignal.any([failed.signal, signal])
  await Promise.all(works.map(async (work) => { await work(stop).catch((error: unknown) => { failed.abort(error) }) }))
  failed.signal.throwIfAborted()
}

async function flatten (c: HelperComponents, machine: QemuMachine, dir: string, signal: AbortSignal): Promise<void> {
  // In the machine's directory, where also a served disk has a short name.
  const { diskSocket, diskPath, goldenDir } = machine.description
  const source = diskNode({ disk: OVERLAY, base: diskSocket === undefined ? { path: resolve(diskPath ?? join(goldenDir, GOLDEN_FILES.disk)) } : { socketPath: BASE_SOCKET } })
  await runTool(c.qemu.img, ['convert', '-U', '-O', 'qcow2', `json:${JSON.stringify(source)}`, resolve(dir, GOLDEN_FILES.disk)], { cwd: machine.vmm.dir, env: c.qemu.env, signal, failure: 'GOLDEN_BUILD_FAILED' })
}
