/**
 * A mesh that is cut, with real plants (CONTRACT.md, Conventions): what one side makes is marked provisional, and when the sides meet again one
 * machine of the order is left, the one of the earlier award. A side that is stopped (SIGSTOP) is silent to the other as one beyond a cut is: its
 * connections stand and nothing comes.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { TestHost, machinesOf, until, type TestPlant } from '../support/plants.ts'

const host = new TestHost()
let plants: TestPlant[] = []
const order = join(host.dir, 'order.yaml')

beforeAll(async () => {
  plants = await host.mesh(3)
  writeFileSync(order, '{ apiVersion: plantmesh/v1, kind: Machine, metadata: { name: cut }, software: { os: tiny } }\n')
}, 120_000)

afterAll(async () => {
  signal(plants, 'SIGCONT')
  await host.cleanUp()
})

const signal = (which: TestPlant[], name: NodeJS.Signals): void => { for (const plant of which) plant.process.kill(name) }

test('two sides that each made the machine of one order end with one, that of the earlier award, no longer provisional', async () => {
  const [lone, ...others] = plants as [TestPlant, ...TestPlant[]]
  signal(others, 'SIGSTOP')
  const refused = await lone.cli(['create', '-f', order, '--id', 'strictly', '--strict', '--json'])
  expect(refused.json.error).toMatchObject({ code: 'MESH_CUT' })
  const first = await lone.cli(['create', '-f', order, '--id', 'twice', '--json'])
  expect(first.json).toMatchObject({ state: 'running', provisional: true, plant: lone.peerId })

  signal([lone], 'SIGSTOP')
  signal(others, 'SIGCONT')
  const [near] = others as [TestPlant]
  const second = await near.cli(['create', '-f', order, '--id', 'twice', '--json'])
  expect(second.json).toMatchObject({ vmid: first.json.vmid, state: 'running' })
  expect(second.json.plant).not.toBe(lone.peerId)
  expect(machinesOf(host.dir)).toHaveLength(2)

  signal([lone], 'SIGCONT')
  await until(() => machinesOf(host.dir).length === 1, 60_000, 'one of the two machines is collected')
  await until(async () => (await near.cli(['query', first.json.vmid, '--json'])).json?.provisional === undefined, 60_000, 'the machine is settled')
  for (const plant of plants) expect((await plant.cli(['query', first.json.vmid, '--json'])).json).toMatchObject({ vmid: first.json.vmid, state: 'running', plant: lone.peerId })
  expect((await near.cli(['exec', first.json.vmid, '--', 'echo', 'still here'])).stdout).toBe('still here\n')
  expect((await near.cli(['create', '-f', order, '--id', 'twice', '--json'])).json).toMatchObject({ vmid: first.json.vmid, plant: lone.peerId })
  expect(machinesOf(host.dir)).toHaveLength(1)
}, 240_000)

test('a list names the plants that are silent, and what they have is not swept away unseen', async () => {
  const [asked, ...others] = plants as [TestPlant, TestPlant, TestPlant]
  signal([others[1]], 'SIGSTOP')
  const listed = await asked.cli(['list', '--json'])
  expect(listed.json).toHaveLength(1)
  expect(listed.stderr).toContain(`plant ${others[1].peerId} did not answer`)
  const collected = await asked.cli(['collect', '--all', '--json'])
  expect(collected).toMatchObject({ status: 1, json: { machines: [{ state: 'collected' }], silent: [others[1].peerId] } })
  signal([others[1]], 'SIGCONT')
  await until(async () => (await asked.cli(['collect', '--all'])).status === 0, 60_000, 'all answer again')
}, 120_000)
