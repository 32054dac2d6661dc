/** The QEMU production line (VMPlants 3.2, P10, P11; VMM.md): suspended golden machines, cloned copy-on-write in disk and memory. */
import { mkdir, realpath } from 'node:fs/promises'
import { join } from 'node:path'
import { PlantError } from '../../../protocols/kit/index.ts'
import type { Clock, Log } from '../../../protocols/kit/index.ts'
import { findQemu, unpackedQemu } from '../../setup/qemu-find.ts'
import { runTool } from '../../setup/run-tool.ts'
import type { ProductionLine } from '../line.ts'
import { knownAccelerator } from './known-accelerator.ts'
import { sweepHelpers } from './helper.ts'
import { QemuLine } from './qemu-line.ts'

export interface QemuLineInit {
  /** Machines live in `machines/` below it, helpers in `helpers/`. One plant at a time uses it. */
  dataDir: string
  /** Keeps packages between builds. */
  cacheDir: string
  /** Where set-up unpacked QEMU, if it is not the host's own. */
  qemuDir?: string
  log: Log
  /** Not used: a line's time-outs are its own edge. Accepted so that all lines are made alike. */
  clock?: Clock
}

/**
 * Finds QEMU, tries what accelerates it, removes what helpers of an earlier run left. Throws VMM_MISSING when there is no QEMU of 7.2 or
 * later, VM_START_FAILED when it runs no machine at all.
 */
export async function qemuLine (init: QemuLineInit): Promise<ProductionLine> {
  const qemu = init.qemuDir === undefined ? await findQemu({ dataDir: init.dataDir }) : unpackedQemu(init.qemuDir)
  if (qemu === undefined) throw new PlantError('VMM_MISSING', { looked: 'PATH, the cache and the data directory' })
  const said = await runTool(qemu.system, ['--version'], { env: qemu.env, failure: 'VMM_MISSING' })
  const version = /version (\d+\.\d+(?:\.\d+)?)/.exec(said)?.[1] ?? 'unknown'
  const found = await knownAccelerator(qemu, version, init.cacheDir)
  init.log[found.name === 'kvm' ? 'info' : 'warn']({ accelerator: found.name, cpu: found.cpu, qemu: version }, found.why)
  if (!found.sandbox) init.log.warn({ qemu: version }, 'QEMU\'s seccomp filter does not work on this host: machines run without it')
  await mkdir(init.dataDir, { recursive: true, mode: 0o700 })
  // Processes are found by the directory they work in, which the kernel names without links.
  const dataDir = await realpath(init.dataDir)
  await sweepHelpers(join(dataDir, 'helpers'))
  return new QemuLine({ ...init, dataDir, qemu, version, accelerator: found })
}
