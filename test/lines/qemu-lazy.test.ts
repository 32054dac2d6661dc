/** Machines that start before their disk has arrived: where it is read from, the switch to the file, servers that die, what a start looks at. */
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { baseNode } from '../../node/lines/qemu/command-line.ts'
import { switchToFile } from '../../node/lines/qemu/base-disk.ts'
import { QemuMachine } from '../../node/lines/qemu/machine.ts'
import type { LiveMachine } from '../../node/lines/line.ts'
import { BootTrace, traced } from '../../storage/nbd/boot-trace.ts'
import { describeLineLife } from '../contracts/line-life.ts'
import { digests } from '../contracts/line.ts'
import { sh } from '../contracts/shell.ts'
import { lazyGolden, lazyLine, processesOf, remainsOf, type LazyGolden, type LazyKind } from '../support/lazy.ts'
import { goldenOf, newMac, newVmId } from '../support/tiny.ts'
import { until } from './tiny-machine.ts'
import { ALL_FILES } from './whole-disk.ts'

const PIECE_BYTES = 64 * 1024

for (const kind of ['suspended', 'booted'] as const) {
  describeLineLife(`qemu, ${kind}, with a disk that has not arrived`, async () => {
    const subject = await lazyLine(kind)
    return {
      ...subject,
      kill: ({ pid }) => { process.kill(pid, 'SIGKILL') },
      after: (ms, fn) => {
        const timer = setTimeout(fn, ms)
        return () => { clearTimeout(timer) }
      },
      scratch: async () => await mkdtemp(join(subject.dataDir, 'golden-'))
    }
  })
}

describe.each(['suspended', 'booted'] as const)('a disk that has not arrived, of a machine that is %s', (kind: LazyKind) => {
  let lazy: LazyGolden
  /** Of all files, as the guest of a machine that has its disk from the beginning sees them. */
  let expected: string
  beforeAll(async () => { lazy = await lazyGolden(kind) })
  afterAll(async () => { await lazy?.clean() })

  const clone = async (): Promise<QemuMachine> => qemu(await lazy.line.clone({ ...lazy.request, vmId: newVmId(), mac: newMac(), diskMiB: 512 }))
  const gone = async (machine: LiveMachine): Promise<void> => {
    await machine.destroy()
    expect({ leftovers: await lazy.line.leftovers(), processes: await processesOf(lazy.dataDir), remains: await remainsOf(lazy.dataDir) }).toEqual({ leftovers: [], processes: [], remains: [] })
  }
  const adopt = async (machine: LiveMachine): Promise<QemuMachine> => {
    await machine.release()
    return qemu(await (await lazy.reopen()).adopt(machine.vmId))
  }

  test('is read from its server, and after the switch from the file, with the guest reading all the time; nobody serves it any more', async () => {
    const server = await lazy.serve()
    const before = await digests(lazy.goldenDir)
    const machine = await clone()
    expect(machine.diskSocket).toBe(lazy.socketPath)
    expected = await sh(machine, ALL_FILES)
    const reading = sh(machine, `for i in 1 2 3; do ${ALL_FILES}; done`)
    await machine.arrived(lazy.diskPath)
    await Promise.all([machine.arrived(lazy.diskPath), machine.arrived(lazy.diskPath)])
    expect(machine.diskSocket).toBeUndefined()
    await until(async () => server.connections === 0 || undefined)
    await server.stop()
    expect(await reading).toBe(expected.repeat(3))
    expect(await sh(machine, ALL_FILES)).toBe(expected)
    const adopted = await adopt(machine)
    expect(await lazy.line.diskSocketOf(machine.vmId)).toBeUndefined()
    expect(adopted.diskSocket).toBeUndefined()
    expect(await sh(adopted, ALL_FILES)).toBe(expected)
    await gone(adopted)
    expect(await digests(lazy.goldenDir)).toEqual(before)
  })

  test('is waited for while its server is away, without an error in the guest', async () => {
    const server = await lazy.serve()
    const machine = await clone()
    await server.stop()
    const reading = sh(machine, ALL_FILES)
    expect(await Promise.race([reading.then(() => 'read'), machine.stats().then(async () => await machine.vmm.qmp.execute('query-status'))])).toMatchObject({ status: 'running' })
    expect(await lazy.line.diskSocketOf(machine.vmId)).toBe(lazy.socketPath)
    const adopted = await adopt(machine).finally(() => { reading.catch(() => {}) }) // Its agent's connection was let go of.
    expect(adopted.diskSocket).toBe(lazy.socketPath)
    const next = await lazy.serve()
    expect(await sh(adopted, ALL_FILES)).toBe(expected)
    expect(await sh(adopted, 'dmesg | grep -ci "i/o error" || true')).toBe('0\n')
    await adopted.arrived(lazy.diskPath)
    await next.stop()
    expect(await sh(adopted, ALL_FILES)).toBe(expected)
    await gone(adopted)
  })

  test('is switched by the next plant when one ended in the middle, wherever that was', async () => {
    const server = await lazy.serve()
    const ends: Array<[string, (machine: QemuMachine) => Promise<void>, string | undefined]> = [
      ['the file was opened', async ({ vmm }) => { await vmm.qmp.execute('blockdev-add', baseNode({ path: lazy.diskPath })) }, lazy.socketPath],
      ['the switch was made and not noted', async ({ vmm }) => { await switchToFile(vmm.qmp, lazy.diskPath) }, undefined]
    ]
    for (const [what, step, socket] of ends) {
      const machine = await clone()
      await step(machine)
      const adopted = await adopt(machine)
      expect(adopted.diskSocket, what).toBe(socket)
      await adopted.arrived(lazy.diskPath)
      expect(adopted.diskSocket, what).toBeUndefined()
      await until(async () => server.connections === 0 || undefined)
      expect(await sh(adopted, ALL_FILES), what).toBe(expected)
      await gone(adopted)
    }
    await server.stop()
  })

  test('stays served when the file cannot be opened, and a copy that is being made has it to its end', async () => {
    const server = await lazy.serve()
    const machine = await clone()
    await expect(machine.arrived('/nonexistent')).rejects.toMatchObject({ code: 'VM_STATE' })
    expect(machine.diskSocket).toBe(lazy.socketPath)
    const dir = await mkdtemp(join(tmpdir(), 'plantmesh-copy-'))
    try {
      const publishing = lazy.line.publish(machine, dir)
      await until(async () => (await readdir(dir)).includes('disk.qcow2') || undefined, 1)
      await machine.arrived(lazy.diskPath).then(async () => { await server.stop() })
      await publishing
      expect(await sh(machine, ALL_FILES)).toBe(expected)
      const copy = await lazy.line.clone({ vmId: newVmId(), golden: goldenOf(lazy.line, 'copy'), goldenDir: dir, mac: newMac(), diskMiB: 512 })
      expect(await sh(copy, ALL_FILES)).toBe(expected)
      await copy.destroy()
    } finally {
      await rm(dir, { recursive: true, force: true })
    }
    await gone(machine)
  })

  test('gives VM_START_FAILED with QEMU\'s words when nobody serves it, and leaves nothing', async () => {
    await expect(clone()).rejects.toMatchObject({ code: 'VM_START_FAILED', details: { log: expect.stringMatching(/base\.sock/) } })
    expect(await remainsOf(lazy.dataDir)).toEqual([])
  })

  test('is read in pieces that are the same for each start, and far from all of them', async () => {
    const orders: number[][] = []
    for (const _ of [1, 2]) {
      const trace = new BootTrace(PIECE_BYTES)
      const server = await lazy.serve((disk) => traced(disk, trace))
      const machine = await clone()
      orders.push(trace.order())
      await gone(machine)
      await server.stop()
    }
    const [first = [], second = []] = orders
    const pieces = Math.ceil((await stat(lazy.diskPath)).size / PIECE_BYTES)
    expect(first[0]).toBe(0)
    expect(first.length).toBeLessThan(pieces * 0.9)
    expect(second.filter((piece) => first.includes(piece)).length).toBeGreaterThan(second.length * 0.9)
  })

  test('leaves the memory file\'s pages that a resume looked at to be told, and none for one that booted', async () => {
    const server = await lazy.serve()
    const machine = await clone()
    const touched = await machine.memoryTouched(PIECE_BYTES)
    const pieces = lazy.golden.hardware.memoryMiB * 16
    if (kind === 'booted') expect(touched).toEqual([])
    else {
      expect(touched.length).toBeGreaterThan(pieces * 0.02)
      expect(touched.length).toBeLessThan(pieces * 0.7)
      expect(touched).toEqual([...new Set(touched)].sort((a, b) => a - b))
      expect(touched.at(-1)).toBeLessThan(pieces)
      await sh(machine, 'mount -t tmpfs none /mnt; dd if=/dev/zero of=/mnt/much bs=1M count=60')
      expect((await machine.memoryTouched(PIECE_BYTES)).length).toBeGreaterThan(touched.length + 500)
    }
    await gone(machine)
    expect(await machine.memoryTouched(PIECE_BYTES)).toEqual([])
    await server.stop()
  })
})

function qemu (machine: LiveMachine | undefined): QemuMachine {
  if (!(machine instanceof QemuMachine)) throw new Error('it is none of this line\'s')
  return machine
}
