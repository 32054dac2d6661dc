/** kill -9 of anything: nothing acknowledged is lost, nothing is left over (issue: Records and crashes). */
import { afterEach, expect, test } from 'vitest'
import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { apiClient } from '../../node/cli/api-client.ts'
import { SOCKETS } from '../../node/lines/qemu/command-line.ts'
import { runState } from '../../node/lines/qemu/migration.ts'
import { connectQmp } from '../../node/lines/qemu/qmp.ts'
import { TestHost, machinesOf, until, type CliResult, type TestPlant } from '../support/plants.ts'

let host = new TestHost()
afterEach(async () => {
  await host.cleanUp()
  host = new TestHost()
})

function orderFile (name: string, script: string, more: Record<string, unknown> = {}): string {
  const path = join(host.dir, `${name}.json`)
  writeFileSync(path, JSON.stringify({ apiVersion: 'plantmesh/v1', kind: 'Machine', metadata: { name }, software: { os: 'tiny', actions: [{ id: 'act', script }] }, ...more }))
  return path
}
const at = (plant: TestPlant): Record<string, unknown> => ({ requirements: `PeerId == "${plant.peerId}"` })

test('a machine whose VMM is killed shows failed with its reason within 2 s', async () => {
  const [plant] = await host.mesh(1) as [TestPlant]
  const { vmid } = (await plant.cli(['create', '-f', orderFile('victim', 'true'), '--json'])).json
  const memory = async (): Promise<{ free: number, all: number }> => {
    const { plants: [own] } = await apiClient(plant.api).get('/v1/plants') as { plants: Array<{ ad: { FreeMemoryMiB: number, MemoryMiB: number } }> }
    return { free: own?.ad.FreeMemoryMiB ?? NaN, all: own?.ad.MemoryMiB ?? NaN }
  }
  expect((await memory()).free).toBeLessThan((await memory()).all)
  for (const pid of machinesOf(host.dir)) process.kill(pid, 'SIGKILL')
  // A failed machine gives back what it held: seen by the API, as a command takes too long to start.
  await until(async () => (await memory()).free === (await memory()).all, 2_000, 'the machine has failed')
  const machine = (await plant.cli(['query', vmid, '--json'])).json
  expect(machine).toMatchObject({ state: 'failed', error: { code: 'VM_DIED' } })
  expect(machine.error.details.reason).toContain('SIGKILL')
})

test('machines of a killed plant keep running, and the plant started again adopts them', async () => {
  const [first, second] = await host.mesh(2) as [TestPlant, TestPlant]
  const { vmid } = (await second.cli(['create', '-f', orderFile('survivor', 'echo alive > /root/mark', at(first)), '--json'])).json
  const [pid] = machinesOf(host.dir)
  await first.kill('SIGKILL')
  expect(machinesOf(host.dir)).toEqual([pid])
  const again = await host.plant({ dataDir: first.dataDir, bootstrap: second.addresses })
  expect(again.peerId).toBe(first.peerId)
  expect((await again.cli(['query', vmid, '--json'])).json).toMatchObject({ state: 'running', vmid })
  expect((await again.cli(['exec', vmid, '--', 'cat', '/root/mark'])).stdout).toBe('alive\n')
  await until(async () => (await second.cli(['query', vmid])).status === 0, 10_000, 'the other plant finds it')
  expect(machinesOf(host.dir)).toEqual([pid])
  expect((await second.cli(['collect', vmid])).status).toBe(0)
  expect(machinesOf(host.dir)).toEqual([])
})

test('machines whose VMM stands still are neither killed nor waited for by a plant that starts, and answer once they go on', async () => {
  const [plant] = await host.mesh(1) as [TestPlant]
  const vmids: string[] = []
  const pids = new Map<string, number>()
  for (const name of ['stands', 'runs', 'ends']) {
    const { vmid } = (await plant.cli(['create', '-f', orderFile(name, `echo ${name} > /root/mark`), '--json'])).json
    pids.set(vmid, machinesOf(host.dir).find((pid) => ![...pids.values()].includes(pid)) ?? 0)
    vmids.push(vmid)
  }
  const [stands = '', runs = '', ends = ''] = vmids
  await plant.kill('SIGKILL')
  for (const vmid of [stands, ends]) process.kill(pids.get(vmid) ?? 0, 'SIGSTOP')
  const startedAtMs = performance.now()
  const again = await host.plant({ dataDir: plant.dataDir })
  // A machine that does not answer is given 30 s before it is asked anew; the plant does not wait for it.
  expect(performance.now() - startedAtMs).toBeLessThan(25_000)
  expect((await again.cli(['query', stands, '--json'])).json).toMatchObject({ state: 'running' })
  expect((await again.cli(['exec', runs, '--', 'cat', '/root/mark'])).stdout).toBe('runs\n')
  expect(machinesOf(host.dir)).toHaveLength(3)
  // One ends before it was adopted: told as any other death. Another is collected before it was.
  process.kill(pids.get(ends) ?? 0, 'SIGKILL')
  await until(async () => (await again.cli(['query', ends, '--json'])).json.state === 'failed', 10_000, 'its end is known')
  const asked = again.cli(['exec', stands, '--', 'cat', '/root/mark'])
  process.kill(pids.get(stands) ?? 0, 'SIGCONT')
  expect(await asked).toMatchObject({ status: 0, stdout: 'stands\n' })
  expect((await again.cli(['collect', ...vmids])).status).toBe(0)
  expect(machinesOf(host.dir)).toEqual([])
  expect(readdirSync(join(again.dataDir, 'machines'))).toEqual([])
})

test('a machine of which a copy is being made goes on when its plant stops, and can be collected', async () => {
  const [plant] = await host.mesh(1) as [TestPlant]
  const { vmid } = (await plant.cli(['create', '-f', orderFile('copied', 'true'), '--json'])).json
  const [pid] = machinesOf(host.dir)
  const copying = async (of: TestPlant, name: string): Promise<{ ended: Promise<CliResult> }> => {
    const ended = of.cli(['golden', 'publish', vmid, '--name', name, '--json'])
    await until(() => machinesOf(host.dir).length > 1, 20_000, 'the copy is being made')
    return { ended }
  }
  const cut = await copying(plant, 'cut')
  await plant.kill('SIGTERM')
  expect((await cut.ended).status).not.toBe(0)
  expect(machinesOf(host.dir)).toEqual([pid])
  const qmp = await connectQmp(join(plant.dataDir, 'machines', vmid, SOCKETS.qmp), { alive: () => true })
  expect(await runState(qmp)).toBe('running')
  qmp.close()
  const again = await host.plant({ dataDir: plant.dataDir })
  const called = await copying(again, 'called-off')
  // It stands still, so that it cannot be through before it is called off.
  for (const copy of machinesOf(host.dir)) if (copy !== pid) process.kill(copy, 'SIGSTOP')
  expect((await again.cli(['collect', vmid])).status).toBe(0)
  expect((await called.ended).json.error).toMatchObject({ code: 'VM_STATE' })
  expect(machinesOf(host.dir)).toEqual([])
  expect((await again.cli(['golden', 'list', '--json'])).json).toHaveLength(1)
})

test('a shop killed in the middle of an order leaves one machine when the order is asked again', async () => {
  const [maker, shop, other] = await host.mesh(3) as [TestPlant, TestPlant, TestPlant]
  const file = orderFile('once', 'sleep 2', at(maker))
  const asked = shop.cli(['create', '-f', file, '--id', 'once', '--json'])
  await until(() => machinesOf(host.dir).length > 0, 20_000, 'the machine is being made')
  await shop.kill('SIGKILL')
  expect((await asked).status).toBe(1)
  const again = await other.cli(['create', '-f', file, '--id', 'once', '--json'])
  expect(again.json).toMatchObject({ state: 'running' })
  expect(machinesOf(host.dir)).toHaveLength(1)
})

test('a plant killed in the middle of making a machine makes it after its restart, once', async () => {
  const [plant] = await host.mesh(1) as [TestPlant]
  const file = orderFile('halfway', 'sleep 2; echo x >> /root/runs', {})
  const asked = plant.cli(['create', '-f', file, '--id', 'halfway', '--json'])
  await until(() => machinesOf(host.dir).length > 0, 20_000, 'the machine is being made')
  await plant.kill('SIGKILL')
  await asked
  const again = await host.plant({ dataDir: plant.dataDir })
  const made = (await again.cli(['create', '-f', file, '--id', 'halfway', '--json'])).json
  expect(made).toMatchObject({ state: 'running' })
  expect((await again.cli(['exec', made.vmid, '--', 'cat', '/root/runs'])).stdout).toBe('x\n')
  expect(machinesOf(host.dir)).toHaveLength(1)
  expect((await again.cli(['collect', made.vmid])).status).toBe(0)
  expect(machinesOf(host.dir)).toEqual([])
  const machines = join(again.dataDir, 'machines')
  expect(existsSync(machines) ? readdirSync(machines) : []).toEqual([])
})
