/** Machines that start before their disk has come, on real plants: with what others' machines read first, while no plant runs at all, and through a kill of the plant and of the only holder. */
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { ALL_FILES } from '../lines/whole-disk.ts'
import { SLOW, SWITCHED, WAIT_MS, createdOn, diskDigest, missingAt, slowPair, tinyAt } from '../support/late-plants.ts'
import { TestHost, until, type TestPlant } from '../support/plants.ts'

let host = new TestHost()
afterEach(async () => {
  await host.cleanUp()
  host = new TestHost()
})

const TEST_MS = 720_000

/** What the winning bid of an order said it must fetch before the machine starts. */
async function bytesBid (shop: TestPlant, name: string): Promise<number> {
  const why = await shop.cli(['why', name])
  return Number(/ms for (\d+) bytes/.exec(why.stdout)?.[1])
}

test('a plant asks another for what its machine read: its bid counts only that, and it comes first', async () => {
  const [a, b] = await slowPair(host)
  const told = async (plant: TestPlant): Promise<number> => until(async () => await missingAt(plant) > 0, WAIT_MS, 'tiny is known').then(async () => missingAt(plant))
  const allBytes = await told(b)
  await createdOn(host, b, 'first', b)
  expect(await bytesBid(b, 'first')).toBe(allBytes)
  await until(() => b.log().includes(SWITCHED), WAIT_MS, 'the machine is switched')
  await until(() => readdirSync(join(b.dataDir, 'boot-traces')).some((name) => name.endsWith('disk.qcow2.json')), WAIT_MS, 'what it read is kept')
  const c = await host.plant({ bootstrap: [...a.addresses, ...b.addresses], golden: false, args: SLOW })
  expect(await told(c)).toBe(allBytes)
  // Either may be the one that is asked first, and only one of them has seen a boot.
  await until(async () => (await tinyAt(c))?.plants.length === 2, WAIT_MS, 'both are known to hold tiny')
  const { vmid } = await createdOn(host, c, 'second', c)
  const bid = await bytesBid(c, 'second')
  expect(bid).toBeLessThan(allBytes - 4 * 2 ** 20)
  const [, first, rest] = /"firstBytes":(\d+),"restBytes":(\d+)/.exec(c.log()) ?? []
  expect(Number(first)).toBeGreaterThan(0)
  // A bid counts the files that must be whole and these; nothing else was fetched before the rest.
  expect(bid).toBeLessThanOrEqual(allBytes - Number(rest) + Number(first))
  expect((await c.cli(['exec', vmid, '--', 'echo', 'works'])).stdout).toBe('works\n')
}, TEST_MS)

test('a guest reads what it never read before while no plant runs at all', async () => {
  const [a, b] = await slowPair(host)
  const { vmid: whole } = await createdOn(host, a, 'whole', a)
  const expected = await diskDigest(a, whole)
  const { vmid } = await createdOn(host, b, 'alone', b)
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
