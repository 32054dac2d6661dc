/** See `index.ts`. What exists on disk and as processes is the only state (`machine-dir.ts`). */
import { chmod, mkdir, symlink } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { PlantError, isVmId } from '../../../protocols/kit/index.ts'
import type { Log, VmId } from '../../../protocols/kit/index.ts'
import type { Golden } from '../../../protocols/order/golden.ts'
import type { QemuCommands } from '../../setup/qemu-find.ts'
import type { CloneRequest, LiveMachine, ProductionLine, SpareMachine } from '../line.ts'
import type { Accelerator } from './accelerator.ts'
import { BASE_SOCKET, LINE_UP, NAME_MARK, STATE_FD } from './command-line.ts'
import type { MachineLine } from './command-line.ts'
import { filled } from './filled.ts'
import type { HelperComponents } from './helper.ts'
import { QemuImages } from './images.ts'
import type { AgentClient } from './channel/agent-client.ts'
import { buildTinyDisk } from './image/build-disk.ts'
import { Kernels } from './kernels.ts'
import { ADOPT_ANSWERS_WITHIN_MS, BOOT_ANSWERS_WITHIN_MS, CLONE_ANSWERS_WITHIN_MS } from './limits.ts'
import { OVERLAY, cloneFile, machineDirs, makeDir, onDisk, readDescription, removeDir, writeDescription } from './machine-dir.ts'
import type { MachineDescription } from './machine-dir.ts'
import { QemuMachine } from './machine.ts'
import { PatientAgent } from './patient-agent.ts'
import { cancelMigration, runState, takeIn, takenIn } from './migration.ts'
import { Overlays } from './overlays.ts'
import { GOLDEN_FILES, partsOf, startFiles } from './parts.ts'
import { endProcess, isAlive, processesIn } from './processes.ts'
import { publishMachine } from './publish.ts'
import { QemuSpare, growDisk, rehearse } from './spare.ts'
import type { SpareParts } from './spare.ts'
import { answering, bootAndSuspend } from './suspend.ts'
import { attachVmm, startFailure, startVmm } from './vmm.ts'
import type { Vmm } from './vmm.ts'

/** The copy of a read-only file. */
const OWNER_WRITES = 0o644
/** Of building tiny: fetching and laying out, then booting and suspending. */
const DISK_SHARE = 0.8

export interface QemuLineParts {
  dataDir: string
  cacheDir: string
  log: Log
  qemu: QemuCommands
  version: string
  accelerator: Accelerator
}

/** A production line over one QEMU and one data directory; made by `qemuLine`. Errors are those of the interface. */
export class QemuLine implements ProductionLine {
  readonly kind = 'qemu'
  /** Of the guests, whatever the host's is. */
  readonly isa = 'x86_64'
  readonly images: QemuImages
  readonly #parts: QemuLineParts
  readonly #machinesDir: string
  readonly #overlays: Overlays
  readonly #kernels: Kernels

  constructor (parts: QemuLineParts) {
    this.#parts = parts
    this.#machinesDir = join(parts.dataDir, 'machines')
    this.#overlays = new Overlays(parts.qemu)
    this.#kernels = new Kernels(join(parts.dataDir, 'kernels'))
    this.images = new QemuImages({ helpers: this.#helpers, cacheDir: parts.cacheDir })
  }

  get accelerator (): 'kvm' | 'tcg' { return this.#parts.accelerator.name }
  get fingerprint (): string { return `qemu-${this.#parts.version}/q35/${this.accelerator}/${this.#parts.accelerator.cpuFingerprint}/${LINE_UP}` }

  async clone (request: CloneRequest, signal?: AbortSignal): Promise<LiveMachine> {
    return await this.#made(request, async ({ vmm, agent, description }) => {
      if (description.diskMiB > request.golden.hardware.diskMiB) await growDisk(vmm, agent, description.diskMiB, signal)
      await writeDescription(vmm.dir, Object.assign(description, { made: true }))
      return new QemuMachine({ ...this.#parts, vmId: request.vmId, description, vmm, agent })
    }, signal)
  }

  async prepare (request: Omit<CloneRequest, 'disk' | 'diskMiB'>, signal?: AbortSignal): Promise<SpareMachine> {
    return await this.#made({ ...request, diskMiB: request.golden.hardware.diskMiB }, async (parts) => {
      await rehearse(parts, signal)
      return new QemuSpare({ ...this.#parts, ...parts, machinesDir: this.#machinesDir })
    }, signal)
  }

  /** Starts a clone and waits until its agent answers; it is what `finish` makes of it. When either fails, nothing is left. */
  async #made<T> (request: CloneRequest, finish: (parts: SpareParts) => Promise<T>, signal?: AbortSignal): Promise<T> {
    const { vmId, golden } = request
    const dir = this.#dirOf(vmId)
    signal?.throwIfAborted()
    await makeDir(this.#machinesDir)
    // Not recursive: a machine that exists is never touched.
    await onDisk(dir, async () => { await mkdir(dir, { mode: 0o700 }) }).catch((error: unknown) => {
      throw codeOf(error) === 'EEXIST' ? new PlantError('VM_STATE', { vmId, problem: 'there is a machine of this id' }) : error
    })
    let vmm: Vmm | undefined
    try {
      const description = this.#describe(request)
      const { suspended } = description.parts
      await writeDescription(dir, description)
      if (request.disk !== undefined) await symlink(resolve(request.disk.socketPath), join(dir, BASE_SOCKET))
      await this.#overlays.make(golden.hardware.diskMiB, join(dir, OVERLAY))
      vmm = await startVmm(this.#helpers, dir, this.#lineOf(description), {
        ...(suspended && { statePath: join(request.goldenDir, GOLDEN_FILES.state) }), signal,
        onProcess: async (process) => { await writeDescription(dir, Object.assign(description, { process })) }
      })
      if (suspended) await resumed(vmm, signal)
      const agent = await answering(vmm, suspended ? CLONE_ANSWERS_WITHIN_MS : BOOT_ANSWERS_WITHIN_MS, signal)
      return await finish({ vmm, agent, description })
    } catch (error) {
      const failure = vmm === undefined ? error : await startFailure(dir, vmm, error)
      vmm?.letGo()
      await this.sweep(vmId)
      signal?.throwIfAborted()
      throw failure
    }
  }

  async adopt (vmId: VmId, signal?: AbortSignal): Promise<LiveMachine | undefined> {
    const dir = this.#dirOf(vmId)
    const description = await readDescription(dir)
    const process = description?.process
    if (description === undefined || process === undefined || !description.made || !isAlive(process)) return undefined
    const vmm = await attachVmm(dir, process, signal)
    try {
      await goOn(vmm, description)
      const machine = new QemuMachine({ ...this.#parts, vmId, description, vmm, agent: await adoptedAgent(vmm, description, signal) })
      await machine.drives.recall()
      await machine.cards.recall()
      await machine.recallDisk()
      return machine
    } catch (error) {
      vmm.letGo()
      throw error
    }
  }

  async diskSocketOf (vmId: VmId): Promise<string | undefined> { return (await readDescription(this.#dirOf(vmId)))?.diskSocket }

  async leftovers (): Promise<VmId[]> {
    const processes = await processesIn(this.#machinesDir, NAME_MARK)
    const names = processes.map(({ cwd }) => cwd.slice(this.#machinesDir.length + 1))
    return [...new Set([...await machineDirs(this.#machinesDir), ...names.filter(isVmId)])]
  }

  async sweep (vmId: VmId): Promise<void> {
    const dir = this.#dirOf(vmId)
    for (const process of await processesIn(dir, NAME_MARK)) await endProcess(process)
    await removeDir(dir)
  }

  async publish (machine: LiveMachine, dir: string, signal?: AbortSignal): Promise<{ diskMiB: number }> {
    if (!(machine instanceof QemuMachine)) throw new PlantError('VM_STATE', { vmId: machine.vmId, problem: 'it is of another production line' })
    return await filled(dir, async () => await publishMachine(this.#helpers, machine, dir, signal), signal)
  }

  async resize (golden: Golden, goldenDir: string, hardware: { cpus: number, memoryMiB: number }, dir: string, signal?: AbortSignal): Promise<void> {
    await filled(dir, async () => {
      // The disk is a copy: the boot writes to it, and takes the agent from the seed that it may still need.
      const parts = partsOf(golden)
      for (const name of ['kernel', 'initrd', 'disk', 'seed'] as const) {
        if (name === 'disk' || parts[name]) await cloneWritable(join(goldenDir, GOLDEN_FILES[name]), join(dir, GOLDEN_FILES[name]))
      }
      await bootAndSuspend(this.#helpers, dir, hardware, () => {}, signal)
      await removeDir(join(dir, GOLDEN_FILES.seed))
    }, signal)
  }

  async buildTiny (dir: string, hardware: { cpus: number, memoryMiB: number, diskMiB: number }, onStep: (step: string, share: number) => void, signal?: AbortSignal): Promise<void> {
    const { qemu, cacheDir } = this.#parts
    await filled(dir, async () => {
      await buildTinyDisk({ dir, diskMiB: hardware.diskMiB, cacheDir, qemuImg: qemu.img, qemuEnv: qemu.env, onStep: (step, share) => { onStep(step, share * DISK_SHARE) }, signal })
      await bootAndSuspend(this.#helpers, dir, hardware, (step, share) => { onStep(step, DISK_SHARE + share * (1 - DISK_SHARE)) }, signal)
    }, signal)
  }

  get #helpers (): HelperComponents {
    const { qemu, accelerator, dataDir } = this.#parts
    return { qemu, accelerator, helpersDir: join(dataDir, 'helpers'), kernels: this.#kernels }
  }

  #dirOf (vmId: VmId): string { return join(this.#machinesDir, vmId) }

  #describe ({ vmId, golden, goldenDir, diskMiB, mac, disk }: CloneRequest): MachineDescription {
    const { cpus, memoryMiB } = golden.hardware
    return {
      version: 1, vmId, goldenId: golden.goldenId, goldenDir, parts: partsOf(golden), fingerprint: this.fingerprint, cpus, memoryMiB,
      diskMiB: Math.max(diskMiB, golden.hardware.diskMiB), mac, made: false, held: false, ...(disk !== undefined && { diskSocket: disk.socketPath })
    }
  }

  #lineOf ({ vmId, cpus, memoryMiB, mac, goldenDir, parts, diskSocket }: MachineDescription): MachineLine {
    const { qemu, accelerator, version } = this.#parts
    const { disk, ...boot } = startFiles(goldenDir, parts)
    return {
      name: vmId, accelerator: accelerator.accel, cpuModel: accelerator.cpu, sandbox: accelerator.sandbox, firmwareArgs: qemu.args,
      cpus, memoryMiB, mac, ...boot, disk: OVERLAY, base: diskSocket === undefined ? { path: disk } : { socketPath: BASE_SOCKET },
      ...(parts.suspended && { ram: { path: join(goldenDir, GOLDEN_FILES.ram), share: false } }), ramReadOnly: opensRamReadOnly(version), incoming: parts.suspended
    }
  }
}

/** Has a started machine take in its suspended state, and go on from it. */
async function resumed ({ qmp }: Vmm, signal?: AbortSignal): Promise<void> {
  await takeIn(qmp, `fd:${STATE_FD}`, 'by-file', signal)
  await takenIn(qmp, signal)
  await qmp.execute('cont', {}, { signal })
}

/** Lets an adopted machine go on that was stopped for a copy when its plant died; one that its owner paused stays so. */
async function goOn (vmm: Vmm, description: MachineDescription): Promise<void> {
  await cancelMigration(vmm.qmp)
  if (!description.held && await runState(vmm.qmp) !== 'running') await vmm.qmp.execute('cont')
}

/** A guest that is paused, or too busy to answer, is still somebody's machine: it is adopted, and its agent reached when it is wanted. */
async function adoptedAgent (vmm: Vmm, { held }: MachineDescription, signal?: AbortSignal): Promise<AgentClient> {
  const reach = async (stop?: AbortSignal): Promise<AgentClient> => await answering(vmm, ADOPT_ANSWERS_WITHIN_MS, stop)
  if (held) return new PatientAgent(reach)
  try {
    return await reach(signal)
  } catch (error) {
    if (error instanceof PlantError && error.code === 'AGENT_SILENT') return new PatientAgent(reach)
    throw error
  }
}

async function cloneWritable (from: string, to: string): Promise<void> {
  await cloneFile(from, to)
  await onDisk(to, async () => { await chmod(to, OWNER_WRITES) })
}

/** QEMU 8.2 and later (qapi/qom.json, MemoryBackendFileProperties, `rom`). */
function opensRamReadOnly (version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  return major > 8 || (major === 8 && minor >= 2)
}

function codeOf (error: unknown): string | undefined {
  return error instanceof Error && 'code' in error ? String(error.code) : undefined
}
