/** Machines that start before their disk has come, on real plants: over a slow link, through a kill of the plant and of the only holder. */
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { ALL_FILES } from '../lines/whole-disk.ts'
import { TestHost, until, type TestPlant } from '../support/plants.ts'

let host = new TestHost()
afterEach(async () => {
  await host.cleanUp()
  host = new TestHost()
})

const TEST_MS = 360_000
const WAIT_MS = 120_000
/** Of tiny's 98 MiB its disk is 15: at 16 Mbit/s it comes in 8 s, after all else. */
const SLOW = ['--download-max', '16', '--log-level', 'info']
const SWITCHED = 'machine switched'

function orderFile (name: string, on: TestPlant): string {
  const path = join(host.dir, `${name}.json`)
  writeFileSync(path, JSON.stringify({ apiVersion: 'plantmesh/v1', kind: 'Machine', metadata: { name }, software: { os: 'tiny', actions: [] }, requirements: `other.PeerId == "${on.peerId}"` }))
  return path
}

async function missingAt (plant: TestPlant): Promise<number> {
  const mesh = (await plant.cli(['golden', 'list', '--mesh', '--json'])).json as Array<{ name: string, missingBytes: number }>
  return mesh.find(({ name }) => name === 'tiny')?.missingBytes ?? NaN
}

async function pair (): Promise<[TestPlant, TestPlant]> {
  const a = await host.plant()
  const b = await host.plant({ bootstrap: a.addresses, golden: false, args: SLOW })
  await until(async () => await missingAt(b) > 0, WAIT_MS, 'tiny is known')
  return [a, b]
}

async function created (shop: TestPlant, name: string, on: TestPlant): Promise<{ vmid: string, state: string, plant: string }> {
  const made = await shop.cli(['create', '-f', orderFile(name, on), '--id', name, '--json'])
  expect(made.stdout + made.stderr).toContain('"state":"running"')
  return made.json
}

async function digest (plant: TestPlant, vmid: string): Promise<string> {
  const read = await plant.cli(['exec', vmid, '--', 'sh', '-c', ALL_FILES])
  expect(read.stdout).toMatch(/^[0-9a-f]{32} /)
  return read.stdout
}

test('a machine answers before its disk has come, reads all of it right, and reads on when neither its plant nor the holder is there', async () => {
  const [a, b] = await pair()
  const { vmid: whole } = await created(a, 'whole', a)
  const expected = await digest(a, whole)
  const { vmid } = await created(b, 'late', b)
  expect(await missingAt(b)).toBeGreaterThan(0)
  expect((await b.cli(['exec', vmid, '--', 'echo', 'works'])).stdout).toBe('works\n')
  expect(await digest(b, vmid)).toBe(expected)
  await until(() => b.log().includes(SWITCHED), WAIT_MS, 'the machine is switched')
  expect(await missingAt(b)).toBe(0)
  await until(() => readdirSync(join(b.dataDir, 'disks')).length === 0, WAIT_MS, 'nothing is served any more')
  // What it read of its disk, and looked at of its memory: both come first when it is fetched again.
  expect(readdirSync(join(b.dataDir, 'boot-traces')).map((name) => name.replace(/^[0-9a-f]+\./, '')).sort()).toEqual(['disk.qcow2.json', 'ram.json'])
  await a.kill('SIGKILL')
  await b.kill('SIGKILL')
  const again = await host.plant({ dataDir: b.dataDir, golden: false, args: SLOW })
  await until(async () => (await again.cli(['exec', vmid, '--', 'true'])).status === 0, WAIT_MS, 'it is adopted')
  expect(await digest(again, vmid)).toBe(expected)
}, TEST_MS)

test('a plant killed while a disk comes serves it again, adopts the machine and goes on; without a holder the machine waits', async () => {
  const [a, b] = await pair()
  const { vmid: whole } = await created(a, 'whole', a)
  const expected = await digest(a, whole)
  const { vmid } = await created(b, 'late', b)
  await b.kill('SIGKILL')
  await a.kill('SIGKILL')
  const alone = await host.plant({ dataDir: b.dataDir, golden: false, args: SLOW })
  await until(() => alone.log().includes('adopted a running machine'), WAIT_MS, 'it is adopted')
  const reading = alone.cli(['exec', vmid, '--timeout', '300000', '--', 'sh', '-c', ALL_FILES])
  await until(() => alone.log().includes('they wait where they read'), WAIT_MS, 'it is said that the disk does not come')
  expect((await alone.cli(['list', '--json'])).json).toMatchObject([{ vmid, state: 'running' }])
  const back = await host.plant({ dataDir: a.dataDir, bootstrap: alone.addresses })
  expect((await reading).stdout).toBe(expected)
  await until(() => alone.log().includes(SWITCHED), WAIT_MS, 'the machine is switched')
  expect((await back.cli(['exec', vmid, '--', 'echo', 'works'])).stdout).toBe('works\n')
}, TEST_MS)
