/** A plant whose wall clock jumps, by hours and in the middle of an order: nothing expires, nothing is prolonged, and who is refused is told why. */
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { TestHost, machinesOf, until, type TestPlant } from '../support/plants.ts'

const HOUR_MS = 3_600_000
const host = new TestHost()
const clockFile = join(host.dir, 'clock')
const jump = (ms: number): void => { writeFileSync(clockFile, String(ms)) }
let plant: TestPlant
let other: TestPlant

function orderFile (name: string, script: string): string {
  const path = join(host.dir, `${name}.json`)
  writeFileSync(path, JSON.stringify({ apiVersion: 'plantmesh/v1', kind: 'Machine', metadata: { name }, software: { os: 'tiny', actions: [{ id: 'only', script }] } }))
  return path
}

beforeAll(async () => {
  const wrap = (command: string[]): string[] => ['env', `JUMPING_CLOCK_FILE=${clockFile}`, `NODE_OPTIONS=--import=${new URL('../support/jumping-clock.ts', import.meta.url).pathname}`, ...command]
  plant = await host.plant({ wrap })
  other = await host.plant({ bootstrap: plant.addresses, golden: false })
  await until(async () => (await other.cli(['plants', '--json'])).json.length === 2, 20_000, 'the plants see each other')
}, 120_000)

afterAll(async () => { await host.cleanUp() })

test('an order goes on while the clock jumps, and its times are those that passed', async () => {
  for (const jumpMs of [HOUR_MS, -HOUR_MS]) {
    const name = `jump${jumpMs}`
    const creating = other.cli(['create', '-f', orderFile(name, 'sleep 4'), '--id', name, '--json'])
    await until(async () => (await other.cli(['list', '--json'])).json.some((m: { name: string, state: string }) => m.name === name && m.state !== 'running'), 20_000, 'it is being made')
    jump(jumpMs)
    const created = await creating
    expect(created.json).toMatchObject({ state: 'running', plant: plant.peerId })
    expect(created.json.phasesMs.configure).toBeGreaterThanOrEqual(4_000)
    expect(created.json.phasesMs.total).toBeLessThan(60_000)
    jump(0)
  }
}, 120_000)

test('a plant whose clock is off refuses calls with the difference, keeps its machines, and answers again when it is right', async () => {
  const [machine] = (await plant.cli(['list', '--json'])).json
  jump(2 * HOUR_MS)
  const refused = await plant.cli(['query', machine.vmid, '--json'])
  expect(refused.status).toBe(1)
  expect(refused.json.error).toMatchObject({ code: 'CALL_STALE' })
  expect(Math.abs(refused.json.error.details.behindMs)).toBeGreaterThan(HOUR_MS)
  const order = await plant.cli(['create', '-f', orderFile('off', 'true'), '--id', 'off', '--json'])
  expect(order.json.error).toMatchObject({ code: 'CALL_STALE' })
  expect(machinesOf(host.dir)).toHaveLength(2)
  jump(-2 * HOUR_MS)
  expect((await plant.cli(['query', machine.vmid, '--json'])).json.error).toMatchObject({ code: 'CALL_STALE' })
  rmSync(clockFile)
  expect((await other.cli(['query', machine.vmid, '--json'])).json).toMatchObject({ state: 'running' })
  expect((await other.cli(['exec', machine.vmid, '--', 'echo', 'fine'])).stdout).toBe('fine\n')
  expect((await other.cli(['plants', '--json'])).json).toHaveLength(2)
  expect((await other.cli(['collect', '--all'])).status).toBe(0)
  await until(() => machinesOf(host.dir).length === 0, 5_000, 'all are gone')
}, 60_000)
