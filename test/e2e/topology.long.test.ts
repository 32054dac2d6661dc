/** A router's plant is killed and started again: both of its networks come back by themselves, and the machine has not noticed. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { machinesOf, TestHost, type TestPlant } from '../support/plants.ts'

const SAMPLE = new URL('../../node/cli/sample-topology.yaml', import.meta.url).pathname
const host = new TestHost()
let plants: TestPlant[] = []

beforeAll(async () => { plants = await host.mesh(3) })
afterAll(async () => { await host.cleanUp() })

interface View { vmid: string, name: string, plant: string }

test('a router routes again once its plant was killed and is back', async () => {
  const { machines } = (await (plants[0] as TestPlant).cli(['create', '-f', SAMPLE, '--json'])).json as { machines: View[] }
  expect(machines).toHaveLength(3)
  const of = (name: string): View => machines.find((machine) => machine.name === name) as View
  const reaches = async (through: TestPlant, from: string, to: string): Promise<string> =>
    (await through.cli(['exec', of(from).vmid, '--', 'sh', '-c', `for i in $(seq 60); do ping -c 1 -W 2 ${to} && exit; sleep 0.5; done; exit 1`])).stdout
  const killed = plants.find(({ peerId }) => peerId === of('gate').plant) as TestPlant
  const other = plants.find((plant) => plant !== killed) as TestPlant
  expect(await reaches(other, 'alice', '192.168.2.10')).toContain('ttl=63')
  const before = machinesOf(host.dir).sort()
  await killed.kill('SIGKILL')
  const again = await host.plant({ dataDir: killed.dataDir, bootstrap: other.addresses })
  expect(await reaches(again, 'alice', '192.168.2.10')).toContain('ttl=63')
  expect(await reaches(again, 'bob', '192.168.1.10')).toContain('ttl=63')
  expect((await again.cli(['query', of('gate').vmid, '--json'])).json.attributes).toMatchObject({ Network: 'east', Address: '192.168.1.1', Networks: 'east 192.168.1.1, west 192.168.2.1' })
  expect(machinesOf(host.dir).sort()).toEqual(before)
  // A router that boots again takes its cards, addresses and rules with it.
  await again.cli(['exec', of('gate').vmid, '--', 'sync; reboot -f'])
  expect(await reaches(again, 'bob', '192.168.1.10')).toContain('ttl=63')
  expect((await again.cli(['collect', '--all'])).status).toBe(0)
})
