/** Machines that start before their disk has come, on real plants: over a slow link, through a kill of the plant and of the only holder. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { ALL_FILES } from '../lines/whole-disk.ts'
import { SLOW, SWITCHED, WAIT_MS, createdOn, diskDigest, missingAt, slowPair } from '../support/late-plants.ts'
import { TestHost, until } from '../support/plants.ts'

let host = new TestHost()
afterEach(async () => {
  await host.cleanUp()
  host = new TestHost()
})

const TEST_MS = 360_000

test('a machine answers before its disk has come, reads all of it right, and reads on when neither its plant nor the holder is there', async () => {
  const [a, b] = await slowPair(host)
  const { vmid: whole } = await createdOn(host, a, 'whole', a)
  const expected = await diskDigest(a, whole)
  const { vmid } = await createdOn(host, b, 'late', b)
  expect(await missingAt(b)).toBeGreaterThan(0)
  expect((await b.cli(['exec', vmid, '--', 'echo', 'works'])).stdout).toBe('works\n')
  expect(await diskDigest(b, vmid)).toBe(expected)
  await until(() => b.log().includes(SWITCHED), WAIT_MS, 'the machine is switched')
  expect(await missingAt(b)).toBe(0)
  await until(() => readdirSync(join(b.dataDir, 'disks')).length === 0, WAIT_MS, 'nothing is served any more')
  // What it read of its disk, and looked at of its memory: both come first when it is fetched again.
  expect(readdirSync(join(b.dataDir, 'boot-traces')).map((name) => name.replace(/^[0-9a-f]+\./, '')).sort()).toEqual(['disk.qcow2.json', 'ram.json'])
  await a.kill('SIGKILL')
  await b.kill('SIGKILL')
  const again = await host.plant({ dataDir: b.dataDir, golden: false, args: SLOW })
  await until(async () => (await again.cli(['exec', vmid, '--', 'true'])).status === 0, WAIT_MS, 'it is adopted')
  expect(await diskDigest(again, vmid)).toBe(expected)
}, TEST_MS)

test('a plant killed while a disk comes serves it again, adopts the machine and goes on; without a holder the machine waits', async () => {
  const [a, b] = await slowPair(host)
  const { vmid: source } = await createdOn(host, a, 'source', a)
  // 32 MiB more take 16 s to come: on a loaded host, too, the plant is killed before its disk is there.
  expect((await a.cli(['exec', source, '--', 'sh', '-c', 'dd if=/dev/urandom of=/root/much bs=1M count=32 && sync'])).status).toBe(0)
  expect((await a.cli(['golden', 'publish', source, '--name', 'bulky'])).status).toBe(0)
  const all = ['sh', '-c', `(${ALL_FILES}); md5sum /root/much`]
  const expected = (await a.cli(['exec', source, '--', ...all])).stdout
  expect(expected).toMatch(/^[0-9a-f]{32} .*\n[0-9a-f]{32} .*much\n$/)
  await until(async () => (await b.cli(['golden', 'list', '--mesh', '--json'])).json.length === 2, WAIT_MS, 'bulky is known')
  const { vmid } = await createdOn(host, b, 'late', b, 'bulky')
  await b.kill('SIGKILL')
  await a.kill('SIGKILL')
  const alone = await host.plant({ dataDir: b.dataDir, golden: false, args: SLOW })
  await until(() => alone.log().includes('adopted a running machine'), WAIT_MS, 'it is adopted')
  const reading = alone.cli(['exec', vmid, '--timeout', '300000', '--', ...all])
  await until(() => alone.log().includes('they wait where they read'), WAIT_MS, 'it is said that the disk does not come')
  expect((await alone.cli(['list', '--json'])).json).toMatchObject([{ vmid, state: 'running' }])
  const back = await host.plant({ dataDir: a.dataDir, bootstrap: alone.addresses })
  expect((await reading).stdout).toBe(expected)
  await until(() => alone.log().includes(SWITCHED), WAIT_MS, 'the machine is switched')
  expect((await back.cli(['exec', vmid, '--', 'echo', 'works'])).stdout).toBe('works\n')
}, TEST_MS)
