/** Debian that starts on another plant before its disk has come: through a kill of the plant in the middle, and without the plant after the last piece. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { ALL_FILES } from '../lines/whole-disk.ts'
import { TestHost, until, type TestPlant } from '../support/plants.ts'

const host = new TestHost()
afterAll(async () => { await host.cleanUp() })

const WAIT_MS = 600_000
const ROOM = ['--capacity', 'memoryMiB=4096,cpus=16,diskMiB=20000']
/** Of its 530 MiB the disk is 385: at 100 Mbit/s it comes within half a minute of the start. */
const SLOW = [...ROOM, '--download-max', '100', '--log-level', 'info']

async function created (shop: TestPlant, name: string, on: TestPlant): Promise<string> {
  const file = join(host.dir, `${name}.json`)
  writeFileSync(file, JSON.stringify({
    apiVersion: 'plantmesh/v1', kind: 'Machine', metadata: { name }, hardware: { cpus: 1, memoryMiB: 512, diskMiB: 2048 }, software: { os: 'debian', actions: [] }, requirements: `other.PeerId == "${on.peerId}"`
  }))
  const made = await shop.cli(['create', '-f', file, '--id', name, '--json'])
  expect(made.json, made.stdout + made.stderr).toMatchObject({ state: 'running' })
  return made.json.vmid
}

async function digest (plant: TestPlant, vmid: string): Promise<string> {
  const read = await plant.cli(['exec', vmid, '--timeout', String(WAIT_MS), '--', 'sh', '-c', ALL_FILES])
  expect(read.stdout, read.stderr).toMatch(/^[0-9a-f]{32} /)
  return read.stdout
}

test('Debian answers before its disk has come, waits while its plant is dead, and needs no plant once it has come', async () => {
  const a = await host.plant({ golden: false, args: ROOM })
  expect((await a.cli(['golden', 'build', 'debian', '--json'])).json).toMatchObject({ name: 'debian' })
  const expected = await digest(a, await created(a, 'whole', a))
  const b = await host.plant({ golden: false, bootstrap: a.addresses, args: SLOW })
  await until(async () => ((await b.cli(['golden', 'list', '--mesh', '--json'])).json as unknown[]).length > 0, WAIT_MS, 'debian is known')
  const vmid = await created(b, 'late', b)
  expect(b.log()).not.toContain('machine switched')
  await b.kill('SIGKILL')
  const again = await host.plant({ dataDir: b.dataDir, golden: false, bootstrap: a.addresses, args: SLOW })
  await until(() => again.log().includes('adopted a running machine'), WAIT_MS, 'it is adopted')
  expect(await digest(again, vmid)).toBe(expected)
  await until(() => again.log().includes('machine switched'), WAIT_MS, 'it is switched')
  await a.kill('SIGKILL')
  await again.kill('SIGKILL')
  // Nobody serves anything now; what it reads while no plant is there is asked by the next one.
  const last = await host.plant({ dataDir: b.dataDir, golden: false, args: SLOW })
  await until(async () => (await last.cli(['exec', vmid, '--', 'true'])).status === 0, WAIT_MS, 'it is adopted')
  expect(await digest(last, vmid)).toBe(expected)
})
