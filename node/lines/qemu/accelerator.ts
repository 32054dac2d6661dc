/** What QEMU can accelerate machines with on this host: found by starting one, not by the existence of /dev/kvm. */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { access, constants, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PlantError } from '../../../protocols/kit/index.ts'
import type { QemuCommands } from '../../setup/qemu-find.ts'
import { SANDBOX_ARGS } from './command-line.ts'
import { KVM_PROBE_MS, LOG_TAIL_BYTES, TCG_PROBE_MS } from './limits.ts'

export interface Accelerator {
  name: 'kvm' | 'tcg'
  /** A sentence for people: which it is and why. */
  why: string
  /** As `-accel` and `-cpu` take them. */
  accel: string
  cpu: string
  /** What the guest sees of the processor: suspended state resumes only where this is equal. */
  cpuFingerprint: string
  /** Whether QEMU's seccomp filter works here. */
  sandbox: boolean
}

/**
 * Translated code is kept in here, per machine. More only costs memory: a clone that boots nothing needs some 20 MiB of it, and what does
 * not fit is translated again.
 */
const TCG = 'tcg,thread=multi,tb-size=256'
/** All that QEMU emulates: the same on every host of this version. */
const TCG_CPU = 'max'
/** `host` alone fails where the host's hypervisor hides IA32_ARCH_CAPABILITIES. */
const KVM_CPUS = ['host', 'host,-arch-capabilities']

/**
 * A firmware image that does what kernels do and half-working KVMs do not: from real mode to protected mode to long mode with paging, a
 * CPUID and a loop, and then writes 0x10 to port 0xf4, on which QEMU's isa-debug-exit ends with status 0x21. Offset 0, at 0xf0000:
 *
 *   16 bit: cli; xor ax,ax; mov ds,ax; lgdt cs:[a8]; cr0 |= 1; jmp 8:f001c
 *   32 bit: ds = ss = 16; [1000] = 2003; [2000] = 3003; [3000] = 83; cr3 = 1000; cr4 |= PAE; EFER |= LME; cr0 |= PG; jmp 24:f0073
 *   64 bit: cpuid; ecx = 100000; loop; out 0xf4, 0x10; hlt    88: four descriptors; a8: their limit and address
 */
const PROBE_CODE = [
  'fa31c08ed82e660f0116a8000f20c00c010f22c066ea1c000f00080066b810008ed88ed0c7050010000003200000c7050020000003300000c705003000008300',
  '0000b8001000000f22d80f20e083c8200f22e0b9800000c00f320d000100000f300f20c00d000000800f22c0ea73000f00180031c00fa2b9a0860100ffc975fc',
  'b010e6f4f4ebfd900000000000000000ffff0000009acf00ffff00000092cf00ffff0000009aaf001f0088000f00'
].join('')
/** At the reset vector: jmp f000:0000. */
const PROBE_RESET = 'ea000000f0'
const PROBE_BYTES = 65_536
const RESET_VECTOR = 0xfff0
const PROBE_STATUS = 0x21

const probed = new Map<string, Promise<Accelerator>>()

/** The accelerator for this QEMU on this host; probed once per process. Throws VM_START_FAILED when QEMU cannot even emulate. */
export async function accelerator (qemu: QemuCommands): Promise<Accelerator> {
  const known = probed.get(qemu.system) ?? probe(qemu)
  probed.set(qemu.system, known)
  known.catch(() => { probed.delete(qemu.system) })
  return await known
}

async function probe (qemu: QemuCommands): Promise<Accelerator> {
  const dir = await mkdtemp(join(tmpdir(), 'plantmesh-probe-'))
  try {
    const image = join(dir, 'bios')
    const bytes = Buffer.alloc(PROBE_BYTES)
    bytes.write(PROBE_CODE, 0, 'hex')
    bytes.write(PROBE_RESET, RESET_VECTOR, 'hex')
    await writeFile(image, bytes)
    const tryOne = async (accel: string, cpu: string, sandbox: boolean, timeoutMs: number): Promise<string | undefined> => await run(qemu, image, accel, cpu, sandbox, timeoutMs)
    const [[kvmCpu, why], filtered] = await Promise.all([usableKvm(tryOne), tryOne(TCG, TCG_CPU, true, TCG_PROBE_MS)])
    const sandbox = filtered === undefined
    if (!sandbox) {
      const plain = await tryOne(TCG, TCG_CPU, false, TCG_PROBE_MS)
      if (plain !== undefined) throw new PlantError('VM_START_FAILED', { problem: 'QEMU does not run a machine here', reason: plain })
    }
    if (kvmCpu === undefined) return { name: 'tcg', why: `machines are emulated (TCG), some ten times slower than on KVM: ${why}`, accel: TCG, cpu: TCG_CPU, cpuFingerprint: TCG_CPU, sandbox }
    return { name: 'kvm', why: 'KVM works: a machine was started on it', accel: 'kvm', cpu: kvmCpu, cpuFingerprint: `${kvmCpu}+${await hostCpu()}`, sandbox }
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

type TryOne = (accel: string, cpu: string, sandbox: boolean, timeoutMs: number) => Promise<string | undefined>

/** The CPU model with which KVM runs a machine, or why it does not. */
async function usableKvm (tryOne: TryOne): Promise<[string | undefined, string]> {
  const refused = await access('/dev/kvm', constants.R_OK | constants.W_OK).then(() => undefined, (error: NodeJS.ErrnoException) => error.code)
  if (refused !== undefined) return [undefined, refused === 'ENOENT' ? 'this host has no /dev/kvm' : '/dev/kvm may not be opened by this user (sudo usermod -aG kvm $USER, then log in again)']
  const tries = await Promise.all(KVM_CPUS.map(async (cpu) => ({ cpu, why: await tryOne('kvm', cpu, false, KVM_PROBE_MS) })))
  const works = tries.find(({ why }) => why === undefined)
  return [works?.cpu, '/dev/kvm is there, but a machine started on it does not run: ' + tries.map(({ cpu, why }) => `-cpu ${cpu}: ${why ?? 'works'}`).join('; ')]
}

/** The host's processor, where machines see it as it is. */
async function hostCpu (): Promise<string> {
  const text = await readFile('/proc/cpuinfo', 'latin1').catch(() => '')
  const lines = ['vendor_id', 'cpu family', 'model', 'stepping', 'flags'].map((name) => new RegExp(`^${name}\\s*:.*$`, 'm').exec(text)?.[0] ?? '')
  return createHash('sha256').update(lines.join('\n')).digest('hex').slice(0, 16)
}

/** Undefined when the machine did what it was to do; else what happened instead. */
async function run (qemu: QemuCommands, image: string, accel: string, cpu: string, sandbox: boolean, timeoutMs: number): Promise<string | undefined> {
  const args = [...qemu.args, '-nodefaults', '-no-user-config', '-display', 'none', ...(sandbox ? SANDBOX_ARGS : []),
    '-M', 'q35', '-accel', accel, '-cpu', cpu, '-m', '16M', '-bios', image, '-device', 'isa-debug-exit,iobase=0xf4,iosize=4']
  const child = spawn(qemu.system, args, { env: qemu.env, stdio: ['ignore', 'ignore', 'pipe'] })
  let tail = ''
  let late = false
  child.stderr.setEncoding('utf8').on('data', (piece: string) => { tail = (tail + piece).slice(-LOG_TAIL_BYTES) })
  const timer = setTimeout(() => {
    late = true
    child.kill('SIGKILL')
  }, timeoutMs)
  const status = await new Promise<number | string>((resolve) => {
    child.on('error', (error) => { resolve(error.message) })
    child.on('close', (code, signal) => { resolve(code ?? signal ?? 'ended') })
  })
  clearTimeout(timer)
  if (status === PROBE_STATUS) return undefined
  if (late) return `the guest hangs (nothing happened for ${timeoutMs} ms)`
  return tail.trim().split('\n').at(-1) || `QEMU ended with ${status}`
}
