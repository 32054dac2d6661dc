/**
 * QEMU processes that serve the line itself - one that boots what is to be suspended, one that takes in the copy of a running machine - each
 * in a directory of its own under `helpers/`. They belong to a work that ends with the plant: what a crash leaves is removed at the next start.
 */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import type { Accelerator } from './accelerator.ts'
import { NAME_MARK } from './command-line.ts'
import type { MachineLine } from './command-line.ts'
import { makeDir, removeDir } from './machine-dir.ts'
import { endProcess, processesIn } from './processes.ts'
import { startFailure, startVmm } from './vmm.ts'
import type { Vmm, VmmComponents } from './vmm.ts'

export interface HelperComponents extends VmmComponents {
  accelerator: Accelerator
  /** Absolute and without links, so that processes are found by where they work. */
  helpersDir: string
}

/** Unicast, locally administered; every clone gets its own. */
const HELPER_MAC = '02:00:00:00:00:00'

/** How a helper's machine is made; the rest is the line's own. */
export type HelperShape = Pick<MachineLine, 'cpus' | 'memoryMiB' | 'kernel' | 'initrd' | 'disk' | 'ram'> & {
  /** It is to take in another machine, and stays stopped then. */
  incoming?: boolean
  /** Comes up stopped. */
  paused?: boolean
  /** Called with its directory before it is started. */
  makeDisk?: (helperDir: string) => Promise<void>
}

/** Starts a helper, works with it, and ends it and removes its directory, however the work ends. */
export async function withHelper<T> (c: HelperComponents, shape: HelperShape, work: (vmm: Vmm) => Promise<T>, signal?: AbortSignal): Promise<T> {
  const name = randomBytes(16).toString('hex')
  const dir = join(c.helpersDir, name.slice(0, 8))
  await makeDir(dir)
  try {
    const { makeDisk, ...machine } = shape
    await makeDisk?.(dir)
    const vmm = await startVmm(c, dir, {
      name, ...machine, accelerator: c.accelerator.accel, cpuModel: c.accelerator.cpu, sandbox: c.accelerator.sandbox, firmwareArgs: c.qemu.args,
      mac: HELPER_MAC, ramReadOnly: false, paused: machine.incoming === true || machine.paused === true
    }, { signal })
    try {
      return await work(vmm)
    } catch (error) {
      throw await startFailure(dir, vmm, error)
    } finally {
      vmm.letGo()
      await endProcess(vmm.process)
    }
  } finally {
    await removeDir(dir)
  }
}

/** Removes what helpers of an earlier run left. */
export async function sweepHelpers (helpersDir: string): Promise<void> {
  for (const process of await processesIn(helpersDir, NAME_MARK)) await endProcess(process)
  await removeDir(helpersDir)
}
