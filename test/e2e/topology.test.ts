/** A topology document becomes its machines: all of them, once, on their networks, and again when they have ended. Real plants, real machines, the real command line. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { machinesOf, TestHost, type TestPlant } from '../support/plants.ts'

const SAMPLE = new URL('../../node/cli/sample-topology.yaml', import.meta.url).pathname
const host = new TestHost()
let plants: TestPlant[] = []
const plant = (i: number): TestPlant => plants[i] as TestPlant

beforeAll(async () => { plants = await host.mesh(2) })
afterAll(async () => { await host.cleanUp() })

interface View { vmid: string, name: string, state: string, labels: Record<string, string> }
const byName = ({ machines }: { machines: View[] }): Record<string, string> => Object.fromEntries(machines.map(({ name, vmid }) => [name, vmid]))

test('a topology is made once, whoever is asked, and anew once it was collected', async () => {
  const first = await plant(0).cli(['create', '-f', SAMPLE, '--json'])
  expect(first.stderr).toBe('')
  expect(first).toMatchObject({ status: 0, json: { topology: 'two-lans', orderId: expect.stringMatching(/^two-lans-[0-9a-f]{16}$/) as string, failures: [] } })
  expect(first.json.machines.map(({ name, state, labels }: View) => ({ name, state, labels })).sort((a: View, b: View) => a.name < b.name ? -1 : 1))
    .toEqual(['alice', 'bob', 'gate'].map((name) => ({ name, state: 'running', labels: { topology: 'two-lans' } })))
  const gate = byName(first.json)['gate'] as string
  expect((await plant(1).cli(['exec', gate, '--', 'cat', '/proc/sys/net/ipv4/ip_forward'])).stdout).toBe('1\n')
  // Addresses and routes come by DHCP, which is asked in the background; the host that is asked for is another LAN's.
  const { alice = '' } = byName(first.json)
  const there = await plant(1).cli(['exec', alice, '--', 'sh', '-c', `for i in $(seq 40); do ping -c 1 -W 2 192.168.2.10 && exec ping -c 1 -W 5 gate-${gate.slice(0, 8)}; sleep 0.5; done; ip addr; ip route; exit 1`])
  expect(there.status).toBe(0)
  expect(there.stdout).toContain(`PING gate-${gate.slice(0, 8)} (192.168.1.1)`)
  // One router on the way takes one off what a guest begins with, 64.
  expect(there.stdout).toMatch(/from 192\.168\.2\.10: .*ttl=63/)
  const again = await plant(1).cli(['create', '-f', SAMPLE, '--json'])
  expect(byName(again.json)).toEqual(byName(first.json))
  expect(machinesOf(host.dir)).toHaveLength(3)
  expect((await plant(0).cli(['collect', gate])).status).toBe(0)
  const mended = await plant(0).cli(['create', '-f', SAMPLE, '--json'])
  expect(mended.json.failures).toEqual([])
  const { gate: another, ...rest } = byName(mended.json)
  expect(another).not.toBe(gate)
  expect({ ...rest, gate }).toEqual(byName(first.json))
  expect((await plant(1).cli(['create', '-f', SAMPLE])).stdout).toContain(another)
  expect(machinesOf(host.dir)).toHaveLength(3)
  expect(await plant(0).cli(['collect', '--order', 'another', '--json'])).toMatchObject({ status: 0, json: { machines: [] } })
  expect((await plant(0).cli(['collect', '--order', first.json.orderId, '--json'])).json.machines).toHaveLength(3)
  expect(machinesOf(host.dir)).toEqual([])
  expect((await plant(0).cli(['collect', '--all', '--order', first.json.orderId])).status).toBe(2)
})

test('a machine of it that fails is told, the others stay, and asked again it is tried again', async () => {
  const file = join(host.dir, 'half.json')
  const machine = (name: string, script: string): object => ({ metadata: { name }, software: { os: 'tiny', actions: [{ id: 'do', script }] } })
  writeFileSync(file, JSON.stringify({ apiVersion: 'plantmesh/v1', kind: 'Topology', metadata: { name: 'half' }, machines: [machine('good', 'true'), machine('bad', 'exit 3')] }))
  const first = await plant(0).cli(['create', '-f', file, '--json'])
  expect(first).toMatchObject({ status: 1, json: { failures: [{ name: 'bad', documentIndex: 1, copyIndex: 0, error: { code: 'ACTION_FAILED' } }] } })
  const again = await plant(1).cli(['create', '-f', file, '--json'])
  expect(again).toMatchObject({ status: 1, json: { failures: [{ name: 'bad', copyIndex: 1 }] } })
  expect(byName(again.json)).toEqual(byName(first.json))
  expect(machinesOf(host.dir)).toHaveLength(1)
  expect(await plant(0).cli(['create', '-f', file, '--count', '2', '--json'])).toMatchObject({ status: 2, json: { error: { code: 'USAGE' } } })
  expect((await plant(0).cli(['collect', '--all'])).status).toBe(0)
})
