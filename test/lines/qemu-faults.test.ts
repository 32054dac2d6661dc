/** What is particular to QEMU: paths that its options or sockets might stumble over, files that are broken, a full disk, a plain user. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFile, chown, cp, mkdir, mkdtemp, readdir, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { LOG, trimLog } from '../../node/lines/qemu/machine-dir.ts'
import { QemuMachine } from '../../node/lines/qemu/machine.ts'
import { runState } from '../../node/lines/qemu/migration.ts'
import { LOG_BYTES_MAX } from '../../node/lines/qemu/limits.ts'
import { qemuLine } from '../../node/lines/qemu/index.ts'
import { digests } from '../contracts/line.ts'
import { sh } from '../contracts/shell.ts'
import { fakeLog } from '../support/fake-log.ts'
import { goldenOf, newMac, newVmId, testLine, tinyGolden } from '../support/tiny.ts'
import type { TinyGolden } from '../support/tiny.ts'
import { TEST_CACHE, until } from './tiny-machine.ts'

let tiny: TinyGolden
beforeAll(async () => { tiny = await tinyGolden() })
afterAll(async () => { await tiny?.clean() })

test('machines live in a data directory with a long path and golden machines in one with an odd name', async () => {
  const base = await mkdtemp(join(tmpdir(), 'plantmesh-odd-'))
  try {
    const dataDir = join(base, 'd'.repeat(150), 'with space')
    const goldenDir = join(base, 'a,b=c:d\'e"f%g{h}')
    await cp(tiny.goldenDir, goldenDir, { recursive: true })
    const line = await testLine(dataDir)
    const machine = await line.clone({ vmId: newVmId(), golden: tiny.golden, goldenDir, mac: newMac(), diskMiB: 600 })
    await sh(machine, 'echo odd > /root/mark; sync')
    const console = await machine.console()
    console.destroy()
    const copyDir = join(base, 'copy, of it')
    await mkdir(copyDir)
    await line.publish(machine, copyDir)
    const copy = await line.clone({ vmId: newVmId(), golden: goldenOf(line, 'copy', { ...tiny.golden.hardware, diskMiB: 600 }), goldenDir: copyDir, mac: newMac(), diskMiB: 600 })
    expect(await sh(copy, 'cat /root/mark')).toBe('odd\n')
    expect((await copy.channel('iso').run({ script: 'true', parameters: {}, files: {}, timeoutMs: 60_000 })).status).toBe(0)
    await machine.release()
    const adopted = await (await testLine(dataDir)).adopt(machine.vmId)
    expect(await sh(adopted, 'cat /root/mark')).toBe('odd\n')
    await adopted?.destroy()
    await copy.destroy()
  } finally {
    await rm(base, { recursive: true, force: true })
  }
})

test('a golden machine with a broken or missing file gives VM_START_FAILED with QEMU\'s words, and leaves nothing', async () => {
  const broken: Array<[string, (dir: string) => Promise<void>]> = [
    ['no state', async (dir) => { await rm(join(dir, 'state')) }],
    ['state cut off', async (dir) => { await truncate(join(dir, 'state'), 10_000) }],
    ['state of something else', async (dir) => { await writeFile(join(dir, 'state'), 'not a state at all') }],
    ['no memory', async (dir) => { await rm(join(dir, 'ram')); await mkdir(join(dir, 'ram')) }],
    ['no kernel', async (dir) => { await rm(join(dir, 'kernel')) }],
    ['no disk', async (dir) => { await rm(join(dir, 'disk.qcow2')) }]
  ]
  for (const [what, spoil] of broken) {
    const dir = await mkdtemp(join(tmpdir(), 'plantmesh-broken-'))
    try {
      await cp(tiny.goldenDir, dir, { recursive: true })
      await spoil(dir)
      const failed = await tiny.line.clone({ vmId: newVmId(), golden: tiny.golden, goldenDir: dir, mac: newMac(), diskMiB: 512 }).then(() => undefined, (error: unknown) => error)
      expect(failed, what).toMatchObject({ code: 'VM_START_FAILED', details: { problem: expect.stringMatching(/./) } })
      expect(await tiny.line.leftovers(), what).toEqual([])
    } finally {
      await rm(dir, { recursive: true, force: true })
    }
  }
})

test('a full disk gives DISK_FULL for a clone and for a copy, leaves nothing of them, and machines go on', async () => {
  // In a mount namespace of its own: needs no root where user namespaces are allowed.
  const disk = await mkdtemp(join(tmpdir(), 'plantmesh-full-'))
  const { status, said } = await child(['unshare', '-rm', 'sh', '-c', 'mount -t tmpfs -o size=64m none "$1" && exec "$2" "$3" "$1" "$4" full', 'sh', disk, process.execPath, CHILD, tiny.goldenDir])
  await rm(disk, { recursive: true })
  expect({ status, said }).toEqual({ status: 0, said: ['cloned true', 'publish DISK_FULL []', 'alive', 'clone DISK_FULL', 'guest told true', 'leftovers 1', 'clean'] })
})

test('a plain user clones golden machines of his own, and they stay as they were', async () => {
  const base = await mkdtemp(join(tmpdir(), 'plantmesh-user-'))
  try {
    const goldenDir = join(base, 'golden')
    await cp(tiny.goldenDir, goldenDir, { recursive: true })
    const plain = process.getuid?.() === 0 ? NOBODY : undefined
    if (plain !== undefined) for (const path of [base, goldenDir, ...(await readdir(goldenDir)).map((file) => join(goldenDir, file))]) await chown(path, plain, plain)
    const before = await digests(goldenDir)
    const { status, said } = await child([process.execPath, CHILD, join(base, 'data'), goldenDir, 'plain'], plain)
    expect({ status, said }).toEqual({ status: 0, said: ['cloned true', 'sees what of the memory file it looked at true', 'clean'] })
    expect(await digests(goldenDir)).toEqual(before)
  } finally {
    await rm(base, { recursive: true, force: true })
  }
})

test('a machine that stands still though nobody holds it is noticed and goes on, one that is held stays', async () => {
  const log = fakeLog()
  const line = await qemuLine({ dataDir: tiny.dataDir, cacheDir: TEST_CACHE, log })
  const machine = await line.clone({ vmId: newVmId(), golden: tiny.golden, goldenDir: tiny.goldenDir, mac: newMac(), diskMiB: 512 })
  try {
    if (!(machine instanceof QemuMachine)) throw new Error('not of this line')
    await machine.vmm.qmp.execute('stop')
    await until(async () => {
      await machine.stats()
      return await runState(machine.vmm.qmp) === 'running' || undefined
    })
    expect(log.lines.filter(({ level }) => level === 'error')).toMatchObject([{ fields: { vmId: machine.vmId } }])
    await machine.pause()
    for (let look = 0; look < 5; look++) await machine.stats()
    expect(await runState(machine.vmm.qmp)).toBe('paused')
  } finally {
    await machine.destroy()
  }
})

test('what QEMU prints stays bounded', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'plantmesh-log-'))
  try {
    await appendFile(join(dir, LOG), 'x'.repeat(LOG_BYTES_MAX + 1))
    await trimLog(dir)
    expect((await stat(join(dir, LOG))).size).toBe(0)
    await appendFile(join(dir, LOG), 'short')
    await trimLog(dir)
    expect((await stat(join(dir, LOG))).size).toBe(5)
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
})

test('without QEMU the error is VMM_MISSING', async () => {
  await expect(qemuLine({ dataDir: tiny.dataDir, cacheDir: TEST_CACHE, qemuDir: '/nonexistent', log: fakeLog() })).rejects.toMatchObject({ code: 'VMM_MISSING' })
})

test('says which accelerator it uses, and warns when it emulates', async () => {
  const log = fakeLog()
  const line = await qemuLine({ dataDir: tiny.dataDir, cacheDir: TEST_CACHE, log })
  const said = log.lines.find(({ fields }) => fields['accelerator'] === line.accelerator)
  expect(said?.level).toBe(line.accelerator === 'kvm' ? 'info' : 'warn')
  expect(line.fingerprint).toContain(line.accelerator)
})

const CHILD = join(import.meta.dirname, 'qemu-faults-child.ts')
const NOBODY = 65_534

async function child (command: string[], uid?: number): Promise<{ status: number | null, said: string[] }> {
  const [program = '', ...args] = command
  const started = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, HOME: tmpdir() }, ...(uid !== undefined && { uid, gid: uid }) })
  let out = ''
  started.stdout.setEncoding('utf8').on('data', (piece: string) => { out += piece })
  let problem = ''
  started.stderr.setEncoding('utf8').on('data', (piece: string) => { problem += piece })
  const [status] = await once(started, 'close') as [number | null]
  return { status, said: [...out.split('\n').filter(Boolean), ...(status === 0 ? [] : [problem])] }
}
