/** Machines that start before their disk has come, on real plants: over a slow link, and what is left when it has come. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
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
