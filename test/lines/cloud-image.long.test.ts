/** A cloud image - its own loader, kernel and cloud-init - becomes a golden machine with an agent. */
import { randomBytes } from 'node:crypto'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Golden } from '../../protocols/order/golden.ts'
import type { ProductionLine } from '../../node/lines/line.ts'
import { sh } from '../contracts/shell.ts'
import { makeCloudImage } from '../support/cloud-image.ts'
import { SmallSwitch } from '../support/small-switch.ts'
import { goldenOf, newMac, newVmId, testLine } from '../support/tiny.ts'
import { TEST_CACHE, until } from './tiny-machine.ts'

const HARDWARE = { cpus: 1, memoryMiB: 512, diskMiB: 2048 }
let dir: string
let line: ProductionLine

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'plantmesh-cloud-'))
  line = await testLine(join(dir, 'data'))
})
afterAll(async () => {
  for (const vmId of await line.leftovers()) await line.sweep(vmId)
  await rm(dir, { recursive: true, force: true })
})

test('a cloud image that is offered a seed starts the agent, and clones of it have names and keys of their own', async () => {
  const file = join(dir, 'cloud.qcow2')
  await makeCloudImage(file, join(dir, 'work'), TEST_CACHE)
  const goldenDir = join(dir, 'golden')
  expect(await line.images?.importImage({ file, name: 'cloud', dir: goldenDir, hardware: HARDWARE, diskOnly: false, onStep: () => {} })).toEqual({ diskMiB: 2048, suspended: true })
  // It boots by its own loader: no kernel beside it, and no seed any more.
  const names = (await readdir(goldenDir)).sort()
  expect(names).toEqual(['disk.qcow2', 'ram', 'state'])
  const golden: Golden = { ...goldenOf(line, 'cloud', HARDWARE), files: names.map((name) => ({ name, bytes: 0, sha256: '0'.repeat(64) })) }
  const keys = new Set<string | undefined>()
  const network = new SmallSwitch('lab')
  for (const hostName of ['one', 'two']) {
    const machine = await line.clone({ vmId: newVmId(), golden, goldenDir, mac: newMac(), diskMiB: 2560 })
    const address = `10.200.1.${keys.size + 2}`
    try {
      network.plug({ mac: machine.mac, addresses: [address], vmId: machine.vmId, name: hostName }, await machine.network())
      keys.add((await machine.identify({ mac: machine.mac, hostName, machineId: randomBytes(16).toString('hex'), seed: randomBytes(32), networked: true })).hostKey)
      const { status, outputTail } = await machine.channel('agent').run({ script: 'hostname; df -m / | tail -1', parameters: {}, files: {}, timeoutMs: 120_000 })
      expect(status).toBe(0)
      expect(outputTail).toMatch(new RegExp(`^${hostName}\n`))
      // The image's own tools grew its partition and file system from 1.5 GiB.
      await until(async () => (await sh(machine, 'ip -4 -o addr')).includes(` ${address}/10 `) || undefined)
      expect(await sh(machine, `getent hosts ${hostName}.lab`)).toContain(address)
      expect(Number(/\/dev\/vda1\s+(\d+)/.exec(outputTail)?.[1])).toBeGreaterThan(2300)
    } finally {
      await machine.destroy()
    }
  }
  expect(keys.size).toBe(2)
  expect(keys).not.toContain(undefined)
})
