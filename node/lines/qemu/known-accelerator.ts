/**
 * The probe of the accelerator, remembered between starts: finding out that KVM does not work takes seconds, and a plant is started more
 * often than its host changes. Remembered for this boot of the host, this QEMU and this /dev/kvm; `plantmesh doctor` always probes anew.
 */
import { createHash } from 'node:crypto'
import { mkdir, readFile, rename, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import type { QemuCommands } from '../../setup/qemu-find.ts'
import { accelerator, type Accelerator } from './accelerator.ts'

const schema = z.strictObject({ name: z.enum(['kvm', 'tcg']), why: z.string(), accel: z.string(), cpu: z.string(), cpuFingerprint: z.string(), sandbox: z.boolean() })

/** As `accelerator`; what cannot be remembered is probed each time. */
export async function knownAccelerator (qemu: QemuCommands, version: string, cacheDir: string): Promise<Accelerator> {
  const path = join(cacheDir, `accelerator-${await situation(qemu, version)}.json`)
  const kept = schema.safeParse(await readFile(path, 'utf8').then((text): unknown => JSON.parse(text), () => undefined)) // None, or broken: probed.
  if (kept.success) return kept.data
  const found = await accelerator(qemu)
  const draft = `${path}.${process.pid}`
  await mkdir(cacheDir, { recursive: true })
    .then(async () => writeFile(draft, JSON.stringify(found)))
    .then(async () => rename(draft, path))
    .catch(() => undefined) // A cache that cannot be written costs the probe at the next start, nothing else.
  return found
}

/** What the answer depends on, digested. */
async function situation (qemu: QemuCommands, version: string): Promise<string> {
  const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => 'unknown')
  const kvm = await stat('/dev/kvm').then(({ mode, uid, gid, ctimeMs }) => ({ mode, uid, gid, ctimeMs }), () => 'none')
  const facts = [boot, kvm, qemu.system, qemu.args, version, process.getuid?.(), process.getgroups?.()]
  return createHash('sha256').update(JSON.stringify(facts)).digest('hex').slice(0, 16)
}
