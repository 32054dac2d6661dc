/** Machines that start before their disk has come, on real plants: over a slow link, through a kill of the plant and of the only holder. */
import { readdirSync, statSync, writeFileSync } from 'node:fs'
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

async function tinyAt (plant: TestPlant): Promise<{ missingBytes: number, plants: string[] } | undefined> {
  const mesh = (await plant.cli(['golden', 'list', '--mesh', '--json'])).json as Array<{ name: string, missingBytes: number, plants: string[] }>
  return mesh.find(({ name }) => name === 'tiny')
}

async function missingAt (plant: TestPlant): Promise<number> { return (await tinyAt(plant))?.missingBytes ?? NaN }

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

/** What the winning bid of an order said it must fetch before the machine starts. */
async function bytesBid (shop: TestPlant, name: string): Promise<number> {
  const why = await shop.cli(['why', name])
  return Number(/ms for (\d+) bytes/.exec(why.stdout)?.[1])
}

test('a plant asks another for what its machine read: its bid counts only that, and it comes first', async () => {
  const [a, b] = await pair()
  const told = async (plant: TestPlant): Promise<number> => until(async () => await missingAt(plant) > 0, WAIT_MS, 'tiny is known').then(async () => missingAt(plant))
  const allBytes = await told(b)
  await created(b, 'first', b)
  expect(await bytesBid(b, 'first')).toBe(allBytes)
  await until(() => b.log().includes(SWITCHED), WAIT_MS, 'the machine is switched')
  await until(() => readdirSync(join(b.dataDir, 'boot-traces')).some((name) => name.endsWith('disk.qcow2.json')), WAIT_MS, 'what it read is kept')
  const c = await host.plant({ bootstrap: [...a.addresses, ...b.addresses], golden: false, args: SLOW })
  expect(await told(c)).toBe(allBytes)
  // Either may be the one that is asked first, and only one of them has seen a boot.
  await until(async () => (await tinyAt(c))?.plants.length === 2, WAIT_MS, 'both are known to hold tiny')
  const { vmid } = await created(c, 'second', c)
  const bid = await bytesBid(c, 'second')
  expect(bid).toBeLessThan(allBytes - 4 * 2 ** 20)
  const [, first, rest] = /"firstBytes":(\d+),"restBytes":(\d+)/.exec(c.log()) ?? []
  expect(Number(first)).toBeGreaterThan(0)
  // A bid counts the files that must be whole and these; nothing else was fetched before the rest.
  expect(bid).toBeLessThanOrEqual(allBytes - Number(rest) + Number(first))
  expect((await c.cli(['exec', vmid, '--', 'echo', 'works'])).stdout).toBe('works\n')
}, TEST_MS)

test('a guest reads what it never read before while no plant runs at all', async () => {
  const [a, b] = await pair()
  const { vmid: whole } = await created(a, 'whole', a)
  const expected = await digest(a, whole)
  const { vmid } = await created(b, 'alone', b)
  await until(() => b.log().includes(SWITCHED), WAIT_MS, 'the machine is switched')
  // It begins once its plant has long been killed, and what it writes shows on the host when it is done.
  const script = `sleep 20; cut -d. -f1 /proc/uptime > /root/began; (${ALL_FILES}) > /root/digest; cut -d. -f1 /proc/uptime > /root/ended; dd if=/dev/urandom of=/root/done bs=1M count=8; sync`
  const started = await b.cli(['exec', vmid, '--', 'sh', '-c', `cut -d. -f1 /proc/uptime; (${script}) > /dev/null 2>&1 < /dev/null & true`])
  const beganMs = performance.now()
  await a.kill('SIGKILL')
  await b.kill('SIGKILL')
  const killedS = Number(started.stdout) + (performance.now() - beganMs) / 1_000 + 1
  const overlay = join(b.dataDir, 'machines', vmid, 'overlay.qcow2')
  const beforeBytes = statSync(overlay).size
  await until(() => statSync(overlay).size >= beforeBytes + 8 * 2 ** 20, WAIT_MS, 'the guest has written that it is done')
  const again = await host.plant({ dataDir: b.dataDir, golden: false, args: SLOW })
  const read = async (name: string): Promise<string> => (await again.cli(['exec', vmid, '--', 'cat', `/root/${name}`])).stdout
  await until(async () => await read('digest') !== '', WAIT_MS, 'it is adopted')
  expect(await read('digest')).toBe(expected)
  expect(Number(await read('began'))).toBeGreaterThan(killedS)
}, TEST_MS)
