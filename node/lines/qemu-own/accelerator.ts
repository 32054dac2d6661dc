/**
 * Which accelerator works here. A host may have /dev/kvm, let it be opened and machines be made, and still hang or abort in the first
 * guest (nested virtualisation): so a machine is started on it that must do something before KVM is believed.
 */
import { spawn } from 'node:child_process'
import { access, constants, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { QemuCommands } from '../../setup/qemu-find.ts'

export interface Accelerator {
  name: 'kvm' | 'tcg'
  cpu: string
  /** A sentence for people: why it is this one. */
  why: string
}

/** A working KVM answers within 100 ms; a loaded host gets time. */
const PROBE_TIMEOUT_MS = 3_000
/** isa-debug-exit ends QEMU with (value << 1) | 1; the probe writes 0x10. */
const PROBE_STATUS = 33

/**
 * Firmware of 64 KiB that switches to protected and then to long mode with paging, asks CPUID, counts down from 100,000 and writes 0x10 to
 * port 0xf4: what the first milliseconds of a kernel do. The code stands at the start, the far jump of the reset vector at 0xfff0.
 */
const PROBE_CODE = 'fa31c08ed82e660f0116a8000f20c00c010f22c066ea1c000f00080066b810008ed88ed0c7050010000003200000c7050020000003300000c7050030000083000000' +
  'b8001000000f22d80f20e083c8200f22e0b9800000c00f320d000100000f300f20c00d000000800f22c0ea73000f00180031c00fa2b9a0860100ffc975fcb010e6f4f4ebfd90' +
  '0000000000000000ffff0000009acf00ffff00000092cf00ffff0000009aaf001f0088000f'
const RESET_VECTOR = 'ea000000f0'

/** CPU models to try under KVM; some hosts refuse a register of the first. */
const KVM_CPUS = ['host', 'host,arch-capabilities=off']

const found = new Map<string, Promise<Accelerator>>()

/** The accelerator for this QEMU on this host; tried once a process. */
export async function accelerator (qemu: QemuCommands): Promise<Accelerator> {
  let probed = found.get(qemu.system)
  if (probed === undefined) found.set(qemu.system, probed = probe(qemu))
  return probed
}

async function probe (qemu: QemuCommands): Promise<Accelerator> {
  const emulate = (why: string): Accelerator => ({ name: 'tcg', cpu: 'qemu64', why: `emulating: ${why}` })
  try {
    await access('/dev/kvm', constants.R_OK | constants.W_OK)
  } catch (error) {
    return emulate((error as NodeJS.ErrnoException).code === 'ENOENT' ? 'this host has no /dev/kvm' : '/dev/kvm may not be opened by this user (sudo usermod -aG kvm $USER, then log in again)')
  }
  const dir = await mkdtemp(join(tmpdir(), 'plantmesh-probe-'))
  try {
    const firmware = Buffer.alloc(65_536)
    Buffer.from(PROBE_CODE, 'hex').copy(firmware)
    Buffer.from(RESET_VECTOR, 'hex').copy(firmware, 0xfff0)
    await writeFile(join(dir, 'probe.bin'), firmware)
    for (const cpu of KVM_CPUS) if (await works(qemu, cpu, join(dir, 'probe.bin'))) return { name: 'kvm', cpu, why: 'KVM works: a machine was started on it' }
    return emulate('/dev/kvm is there, but a machine started on it does not run')
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

async function works (qemu: QemuCommands, cpu: string, firmware: string): Promise<boolean> {
  const args = ['-accel', 'kvm', '-cpu', cpu, '-M', 'q35', '-m', '32', '-nodefaults', '-no-user-config', '-display', 'none', '-bios', firmware, '-device', 'isa-debug-exit,iobase=0xf4']
  const child = spawn(qemu.system, [...qemu.args, ...args], { stdio: 'ignore', env: qemu.env })
  const timer = setTimeout(() => { child.kill('SIGKILL') }, PROBE_TIMEOUT_MS)
  try {
    return await new Promise<boolean>((resolve) => {
      child.on('exit', (status) => { resolve(status === PROBE_STATUS) })
      child.on('error', () => { resolve(false) })
    })
  } finally {
    clearTimeout(timer)
  }
}
