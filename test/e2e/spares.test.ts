/** Machines made before they are ordered, on a real plant: orders at a steady rate, the budget, and an order that needs the room. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { privateBytesOf } from '../../node/lines/qemu/processes.ts'
import { TestHost, machinesOf, until, type TestPlant } from '../support/plants.ts'

const MIB = 2 ** 20
const BUDGET_MIB = 300
/** Room for four machines of tiny, or for three and what spares of it take. */
const CAPACITY_MIB = 4 * 256
const host = new TestHost()
let plant: TestPlant
const file = join(host.dir, 'order.json')
const up = ['--spare-memory', String(BUDGET_MIB), '--capacity', `cpus=16,memoryMiB=${CAPACITY_MIB}`]

beforeAll(async () => {
  writeFileSync(file, JSON.stringify({ apiVersion: 'plantmesh/v1', kind: 'Machine', software: { os: 'tiny' } }))
  plant = await host.plant({ args: up })
})
afterAll(async () => { await host.cleanUp() })

interface Machine { vmid: string, phasesMs: Record<string, number>, attributes: Record<string, unknown> }
const create = async (): Promise<Machine> => {
  const made = await plant.cli(['create', '-f', file, '--json'])
  expect(made.json, made.stderr).toMatchObject({ state: 'running' })
  return made.json
}
const collect = async (...machines: Machine[]): Promise<void> => { for (const { vmid } of machines) expect((await plant.cli(['collect', vmid])).status).toBe(0) }
/** VMMs beside those of `count` machines. */
const spares = (count: number): number => machinesOf(host.dir).length - count

test('orders that come one after the other get spares, whose identity is the order\'s', async () => {
  await collect(await create(), await create())
  await until(() => spares(0) > 0, 20_000, 'a spare is made')
  const machines: Machine[] = []
  for (let i = 0; i < 3; i++) {
    await until(() => spares(machines.length) > 0, 20_000, 'another is made')
    await pause(1_500) // It is there before it is ready.
    machines.push(await create())
  }
  for (const { vmid, phasesMs, attributes } of machines) {
    expect(phasesMs).toHaveProperty('spare')
    expect(phasesMs).not.toHaveProperty('clone')
    const said = await plant.cli(['exec', vmid, '--', 'sh', '-c', 'hostname; cat /sys/class/net/eth0/address'])
    expect(said.stdout).toBe(`${String(attributes['HostName'])}\n${String(attributes['Mac'])}\n`)
  }
  expect(new Set(machines.flatMap(({ attributes }) => [attributes['HostName'], attributes['Mac']])).size).toBe(6)
  const ofMachines = await Promise.all(machinesOf(host.dir).map(async (pid) => await privateBytesOf(pid) / MIB))
  const ofSpares = ofMachines.toSorted((a, b) => a - b).slice(0, spares(3)).reduce((sum, mib) => sum + mib, 0)
  expect(ofSpares).toBeLessThanOrEqual(BUDGET_MIB)
  // No ad counts them.
  const [{ ad }] = (await plant.cli(['plants', '--json'])).json
  expect(ad).toMatchObject({ FreeMemoryMiB: CAPACITY_MIB - 3 * 256 })
  // The fourth takes all that is left: not one spare may stay beside it.
  const last = await create()
  expect(spares(4)).toBe(0)
  await collect(...machines, last)
}, 180_000)

test('a plant killed with spares has swept them when it is ready again, and one that is stopped leaves none', async () => {
  await collect(await create(), await create())
  await until(() => spares(0) > 0, 20_000, 'a spare is made')
  await plant.kill('SIGKILL')
  expect(spares(0)).toBeGreaterThan(0)
  plant = await host.plant({ dataDir: plant.dataDir, args: up })
  expect(spares(0)).toBe(0)
  const kept = await create()
  await collect(await create())
  await until(() => spares(1) > 0, 20_000, 'a spare is made')
  await plant.kill('SIGTERM')
  expect(machinesOf(host.dir)).toHaveLength(1)
  plant = await host.plant({ dataDir: plant.dataDir, args: up })
  expect((await plant.cli(['exec', kept.vmid, '--', 'echo', 'here'])).stdout).toBe('here\n')
}, 180_000)
