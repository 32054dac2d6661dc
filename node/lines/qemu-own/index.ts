/** The QEMU production line (VMPlants 3.2, P10, P11; VMM.md): suspended golden machines, cloned copy-on-write in disk and memory. */
import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PlantError, asPlantError, isVmId, type Log, type VmId } from '../../../protocols/kit/index.ts'
import type { Golden } from '../../../protocols/order/golden.ts'
import { hostIsa } from '../../drivers/host-probe.ts'
import { findQemu, unpackedQemu, type QemuCommands } from '../../setup/qemu-find.ts'
import { runTool } from '../../setup/run-tool.ts'
import type { CloneRequest, LiveMachine, ProductionLine } from '../line.ts'
import { accelerator as probeAccelerator, type Accelerator } from './accelerator.ts'
import { commandLine, processName } from './command-line.ts'
import { buildTinyDisk } from '../qemu/image/build-disk.ts'
import { agentOf, QemuMachine } from './machine.ts'
import { Overlays } from './overlays.ts'
import { isAlive, kill, vmmProcesses } from './processes.ts'
import { bootAndSuspend, linkOrCopy, suspendCopy, takeIn } from './suspend.ts'
import { attachVmm, startVmm, STATE_DESCRIPTOR, type Vmm } from './vmm.ts'

export interface QemuLineInit {
  dataDir: string
  /** Keeps packages between builds. */
  cacheDir: string
  /** Where QEMU was unpacked, if it is not the host's own. */
  qemuDir?: string
  log: Log
}

/** From resume to an agent that answers: some 150 ms; sixteen at once on two emulating cores took 2.2 s. */
const CLONE_ANSWERS_TIMEOUT_MS = 60_000
/** An adopted machine's agent may be busy; it is still a machine when it does not answer. */
const ADOPT_ANSWERS_TIMEOUT_MS = 10_000

/** Throws VMM_MISSING when there is no QEMU of 7.2 or later. */
export async function qemuLine (init: QemuLineInit): Promise<ProductionLine> {
  const found = init.qemuDir === undefined ? await findQemu({ dataDir: init.dataDir }) : undefined
  const qemu = init.qemuDir === undefined ? found : unpackedQemu(init.qemuDir)
  if (qemu === undefined) throw new PlantError('VMM_MISSING', { looked: 'PATH and the cache' })
  const version = /version ([\d.]+)/.exec(await runTool(qemu.system, ['--version'], { env: qemu.env, failure: 'VMM_MISSING' }))?.[1] ?? 'unknown'
  const accelerator = await probeAccelerator(qemu)
  init.log[accelerator.name === 'kvm' ? 'info' : 'warn']({ accelerator: accelerator.name, qemu: version }, accelerator.why)
  return new QemuLine(init, qemu, accelerator, version)
}

class QemuLine implements ProductionLine {
  readonly kind = 'qemu'
  readonly isa = hostIsa()
  readonly accelerator: 'kvm' | 'tcg'
  readonly fingerprint: string
  readonly #init: QemuLineInit
  readonly #qemu: QemuCommands
  readonly #accelerator: Accelerator
  readonly #machinesDir: string
  readonly #overlays: Overlays

  constructor (init: QemuLineInit, qemu: QemuCommands, accelerator: Accelerator, version: string) {
    this.#init = init
    this.#qemu = qemu
    this.#accelerator = accelerator
    this.accelerator = accelerator.name
    this.fingerprint = `qemu-${version}/q35/${accelerator.name}/${accelerator.cpu}`
    this.#machinesDir = join(init.dataDir, 'machines')
    this.#overlays = new Overlays(qemu)
  }

  async clone (request: CloneRequest, signal?: AbortSignal): Promise<LiveMachine> {
    const { vmId, golden, goldenDir, mac } = request
    const dir = this.#dirOf(vmId)
    let vmm: Vmm | undefined
    try {
      await mkdir(dir, { recursive: true, mode: 0o700 })
      await writeFile(join(dir, 'mac'), mac)
      await this.#overlays.make(golden, goldenDir, join(dir, 'overlay.qcow2'))
      const name = processName(vmId)
      const { cpus, memoryMiB } = golden.hardware
      const line = commandLine({ name, cpus, memoryMiB, mac, bootDir: goldenDir, disk: join(dir, 'overlay.qcow2'), ram: { path: join(goldenDir, 'ram'), share: false }, incoming: true }, this.#accelerator)
      vmm = await startVmm(this.#qemu, line, dir, { name, stateFile: join(goldenDir, 'state'), signal })
      await takeIn(vmm.qmp, `fd:${STATE_DESCRIPTOR}`, true)
      await vmm.qmp.run('cont')
      const machine = new QemuMachine({ vmId, mac, dir, vmm, qemu: this.#qemu, agent: await firstOf(agentOf(dir, CLONE_ANSWERS_TIMEOUT_MS, signal), vmm) })
      if (request.diskMiB > golden.hardware.diskMiB) {
        const bytes = request.diskMiB * 2 ** 20
        await vmm.qmp.run('block_resize', { device: 'disk0', size: bytes })
        await machine.agent.grow(bytes, signal)
      }
      return machine
    } catch (error) {
      vmm?.qmp.close()
      await this.sweep(vmId)
      signal?.throwIfAborted()
      throw diskFull(error, dir) ?? error
    }
  }

  async adopt (vmId: VmId, _golden: Golden, signal?: AbortSignal): Promise<LiveMachine | undefined> {
    const dir = this.#dirOf(vmId)
    const process = vmmProcesses(this.#machinesDir).find((p) => p.name === processName(vmId))
    if (process === undefined) return undefined
    const vmm = await attachVmm({ ...process, dir })
    try {
      const mac = await readFile(join(dir, 'mac'), 'utf8')
      const machine = new QemuMachine({ vmId, mac, dir, vmm, qemu: this.#qemu, agent: await firstOf(agentOf(dir, ADOPT_ANSWERS_TIMEOUT_MS, signal), vmm) })
      const network = await machine.network()
      network.destroy() // It takes a second attach; who needs the network attaches again.
      return machine
    } catch (error) {
      vmm.qmp.close()
      throw error
    }
  }

  async leftovers (): Promise<VmId[]> {
    const entries = await readdir(this.#machinesDir).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return []
      throw error
    })
    const processes = vmmProcesses(this.#machinesDir)
    // Helpers belong to a work that ended with the plant: nobody asks for them again.
    for (const helper of processes.filter((p) => p.name === processName('helper'))) await kill(helper)
    for (const entry of entries.filter((e) => e.startsWith('helper-'))) await rm(join(this.#machinesDir, entry), { recursive: true, force: true })
    const names = [...entries, ...processes.map((p) => p.name.slice(processName('').length))]
    return [...new Set(names)].filter(isVmId)
  }

  async sweep (vmId: VmId): Promise<void> {
    for (const process of vmmProcesses(this.#machinesDir)) if (process.name === processName(vmId) && isAlive(process)) await kill(process)
    await rm(this.#dirOf(vmId), { recursive: true, force: true })
  }

  async publish (machine: LiveMachine, dir: string, signal?: AbortSignal): Promise<{ diskMiB: number }> {
    if (!(machine instanceof QemuMachine)) throw new PlantError('VM_STATE', { vmId: machine.vmId, problem: 'a machine of another production line' })
    const { qmp } = machine.vmm
    const memory = await qmp.run('query-memory-size-summary')
    const cpus = (await qmp.run('query-cpus-fast') as unknown as unknown[]).length
    const memoryMiB = Number(memory['base-memory']) / 2 ** 20
    try {
      await suspendCopy(this.#suspending, machine, { cpus, memoryMiB }, await bootDirOf(machine), dir, signal)
    } catch (error) {
      throw diskFull(error, dir) ?? error
    }
    return { diskMiB: await this.#diskMiB(join(dir, 'disk.qcow2')) }
  }

  async resize (golden: Golden, goldenDir: string, hardware: { cpus: number, memoryMiB: number }, dir: string, signal?: AbortSignal): Promise<void> {
    for (const name of ['kernel', 'initrd']) await linkOrCopy(join(goldenDir, name), join(dir, name))
    try {
      // A copy of its own: the boot writes to it.
      await runTool(this.#qemu.img, ['convert', '-O', 'qcow2', join(goldenDir, 'disk.qcow2'), join(dir, 'disk.qcow2')], { env: this.#qemu.env, signal, failure: 'DISK_FULL' })
      await bootAndSuspend(this.#suspending, dir, hardware, (step) => { this.#init.log.info({ golden: golden.name, ...hardware }, `resize: ${step}`) }, signal)
    } catch (error) {
      throw diskFull(error, dir) ?? error
    }
  }

  async buildTiny (dir: string, hardware: { cpus: number, memoryMiB: number, diskMiB: number }, onStep: (step: string, share: number) => void, signal?: AbortSignal): Promise<void> {
    const { cacheDir } = this.#init
    await buildTinyDisk({ dir, diskMiB: hardware.diskMiB, cacheDir, qemuImg: this.#qemu.img, qemuEnv: this.#qemu.env, onStep: (step, share) => { onStep(step, share * 0.8) }, signal })
    try {
      await bootAndSuspend(this.#suspending, dir, hardware, (step) => { onStep(step, step === 'booting' ? 0.8 : 0.9) }, signal)
    } catch (error) {
      throw diskFull(error, dir) ?? error
    }
  }

  get #suspending (): { qemu: QemuCommands, accelerator: Accelerator, machinesDir: string } {
    return { qemu: this.#qemu, accelerator: this.#accelerator, machinesDir: this.#machinesDir }
  }

  #dirOf (vmId: VmId): string { return join(this.#machinesDir, vmId) }

  async #diskMiB (path: string): Promise<number> {
    const info = JSON.parse(await runTool(this.#qemu.img, ['info', '--output=json', path], { env: this.#qemu.env })) as { 'virtual-size': number }
    return info['virtual-size'] / 2 ** 20
  }
}

/** The agent, or the machine's death if that comes first. */
async function firstOf<T extends { close (): void }> (agent: Promise<T>, vmm: Vmm): Promise<T> {
  const gone = vmm.died.then(({ reason }) => { throw new PlantError('VM_DIED', { reason }) })
  try {
    return await Promise.race([agent, gone])
  } catch (error) {
    agent.then((late) => { late.close() }, () => undefined) // Whichever came first is what is told.
    throw error
  }
}

/** The directory with the kernel of a machine: that of its golden machine, as its own command line names it. */
async function bootDirOf (machine: QemuMachine): Promise<string> {
  const args = (await readFile(`/proc/${machine.pid}/cmdline`, 'utf8')).split('\0')
  return join(args[args.indexOf('-kernel') + 1] ?? '', '..')
}

function diskFull (error: unknown, dir: string): PlantError | undefined {
  const { code } = error as NodeJS.ErrnoException
  const said = JSON.stringify(asPlantError(error).report())
  return code === 'ENOSPC' || code === 'EDQUOT' || /No space left on device|Disk quota exceeded/.test(said) ? new PlantError('DISK_FULL', { dir }, { cause: error }) : undefined
}
