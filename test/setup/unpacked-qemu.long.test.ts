/** Fetches and unpacks QEMU as a user without root would, and asks two at once; needs Debian's mirror. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ensureQemu } from '../../node/setup/qemu.ts'
import { provesItself } from '../../node/setup/qemu-find.ts'

test('QEMU is fetched, unpacked and proven without root, once for two that ask', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'plantmesh-unpack-'))
  try {
    const env = { ...process.env, PLANTMESH_CACHE: join(dir, 'cache'), PLANTMESH_IGNORE_SYSTEM_QEMU: '1' }
    const steps: string[] = []
    const [one, two] = await Promise.all([0, 1].map(async () => ensureQemu({ dataDir: join(dir, 'data'), env, onStep: (text) => { steps.push(text) } })))
    expect(one?.qemuDir).toBe(join(dir, 'cache', 'qemu'))
    expect(two?.qemuDir).toBe(one?.qemuDir)
    expect(steps.filter((text) => text.startsWith('unpacking'))).toHaveLength(1)
    expect(steps).toContain('another process is bringing QEMU; waiting for it')
    if (one !== undefined) await provesItself(one)
    expect(readdirSync(join(dir, 'cache')).filter((name) => name.includes('draft'))).toEqual([])
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
})
