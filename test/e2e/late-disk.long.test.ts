/** Machines that start before their disk has come, on real plants: with what others' machines read first, and while no plant runs at all. */
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
