/**
 * kill -9 of a plant at drawn moments of an order (issue: Records and crashes; The checks). After its restart the order asked again is one
 * machine that works, and after its collection nothing is left: no VMM, no directory, no capacity held.
 */
import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { TestHost, machinesOf, until, type TestPlant } from '../support/plants.ts'
import { drawPoints } from '../support/points.ts'

/** From the command's start; an order takes about a second and a half: its signing, claim, bid, award, clone, identity and two actions. */
const MOMENTS_MS = Array.from({ length: 40 }, (_, i) => 250 + i * 50)
const POINT_MS = 15_000
const BUDGET_MS = 60_000
const host = new TestHost()
afterAll(async () => { await host.cleanUp() })

const file = join(host.dir, 'order.json')
writeFileSync(file, JSON.stringify({ apiVersion: 'plantmesh/v1', kind: 'Machine', software: { os: 'tiny', actions: [{ id: 'one', script: 'echo x >> /root/runs' }, { id: 'two', after: ['one'], script: 'sleep 0.5; echo y >> /root/runs' }] } }))

async function restarted (killed: TestPlant): Promise<TestPlant> {
  return host.plant({ dataDir: killed.dataDir })
}

async function accountedFor (plant: TestPlant, id: string): Promise<void> {
  const made = await plant.cli(['create', '-f', file, '--id', id, '--json'])
  expect(made.json, made.stderr).toMatchObject({ state: 'running', orderId: id })
  expect((await plant.cli(['exec', made.json.vmid, '--', 'cat', '/root/runs'])).stdout).toBe('x\ny\n')
  expect(machinesOf(host.dir)).toHaveLength(1)
  expect((await plant.cli(['collect', made.json.vmid])).status).toBe(0)
  await until(() => machinesOf(host.dir).length === 0, 5_000, 'no VMM is left')
  const machines = join(plant.dataDir, 'machines')
  expect(existsSync(machines) ? readdirSync(machines) : []).toEqual([])
  const [{ ad }] = (await plant.cli(['plants', '--json'])).json
  expect(ad).toMatchObject({ FreeMemoryMiB: ad.MemoryMiB, FreeMachines: 32 })
}

describe('a plant killed in the middle of an order', () => {
  const { points } = drawPoints(MOMENTS_MS, { name: 'kill a plant making a machine', pointMs: POINT_MS, budgetMs: BUDGET_MS })
  let plant: TestPlant | undefined
  for (const atMs of points) {
    test(`after ${atMs} ms makes one machine of it when asked again`, async () => {
      plant ??= await host.plant()
      const id = `killed-${atMs}`
      const asked = plant.cli(['create', '-f', file, '--id', id, '--json'])
      await new Promise((resolve) => setTimeout(resolve, atMs)) // The moment is the point of the test.
      await plant.kill('SIGKILL')
      await asked
      plant = await restarted(plant)
      await accountedFor(plant, id)
    })
  }
})

describe('a shop killed in the middle of an order', () => {
  const { points } = drawPoints(MOMENTS_MS, { name: 'kill a shop', pointMs: POINT_MS, budgetMs: BUDGET_MS / 2 })
  for (const atMs of points) {
    test(`after ${atMs} ms leaves one machine when another is asked`, async () => {
      const [maker, shop] = await host.mesh(2) as [TestPlant, TestPlant]
      const id = `shop-${atMs}`
      const asked = shop.cli(['create', '-f', file, '--id', id, '--json'])
      await new Promise((resolve) => setTimeout(resolve, atMs)) // The moment is the point of the test.
      await shop.kill('SIGKILL')
      await asked
      // The shop may have won the award itself: its plant comes back, and the order is one machine all the same.
      const back = await host.plant({ dataDir: shop.dataDir, bootstrap: maker.addresses })
      const made = await maker.cli(['create', '-f', file, '--id', id, '--json'])
      expect(made.json, made.stderr).toMatchObject({ state: 'running', orderId: id })
      expect(machinesOf(host.dir)).toHaveLength(1)
      expect((await back.cli(['collect', made.json.vmid])).status).toBe(0)
      expect(machinesOf(host.dir)).toEqual([])
      await Promise.all([maker.kill('SIGTERM'), back.kill('SIGTERM')])
    })
  }
})
