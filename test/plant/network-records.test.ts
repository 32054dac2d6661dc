/** What a plant keeps claimed of its machines' addresses, by its records: theirs for life, and nothing after. */
import { expect, test } from 'vitest'
import { startNetworks, type ComposedNetworksComponents } from '../../node/composition/networks.ts'
import { NodeCrypto } from '../../node/drivers/node-crypto.ts'
import { Lifetime, type KeyId, type PeerId, type VmId } from '../../protocols/kit/index.ts'
import type { MachineRecord } from '../../storage/records/records.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { fakeLog } from '../support/fake-log.ts'
import { FakeRandom } from '../support/fake-random.ts'
import { FakeNetwork } from '../support/fake-transport.ts'
import { FakeRendezvous } from '../tunnel/support.ts'

const vmId = '0123456789abcdef0123456789abcdef' as VmId
type Station = NonNullable<MachineRecord['networks']>[number]['station']
const given: Station = { mac: '02:00:00:00:00:01', vmId, addresses: ['10.200.1.2'], given: { sinceMs: 5, prefixBits: 10 } }
const { given: _, ...leased } = { ...given, addresses: ['192.168.1.7'] }

async function startedAgain (station: Station): Promise<{ claimed: Set<VmId>, gone (): void, end (): Promise<void> }> {
  const clock = new FakeClock()
  const claimed = new Set<VmId>()
  const record = { vmId, domain: 'lab', domainKey: 'key' as KeyId, networks: [{ name: 'lan', station }] } as unknown as MachineRecord
  const lifetime = new Lifetime()
  const network = new FakeNetwork({ clock })
  const composed = await startNetworks({
    transport: network.peer('p' as PeerId), clock, random: new FakeRandom(1), crypto: new NodeCrypto(), log: fakeLog(), directory: new FakeRendezvous().of('p' as PeerId),
    records: { machines: () => [record], machine: () => record } as unknown as ComposedNetworksComponents['records'],
    deviceOf: () => { throw new Error('it never came back') },
    grants: {} as ComposedNetworksComponents['grants'],
    claims: { holds: (claim: { vmId: VmId }) => { claimed.add(claim.vmId) }, drop: (key: VmId) => { claimed.delete(key) }, onLost: () => {} } as unknown as ComposedNetworksComponents['claims'],
    orderOf: () => { throw new Error('not asked') }
  }, lifetime)
  return { claimed, gone: () => { composed.gone(record) }, end: async () => { await lifetime.end() } }
}

test('an address of the mesh stays claimed when its plant starts again, and is free when the machine never comes back', async () => {
  const { claimed, gone, end } = await startedAgain(given)
  expect(claimed.size).toBe(1)
  gone()
  expect(claimed.size).toBe(0)
  await end()
})

test('an address of the client\'s own LAN is claimed of nobody', async () => {
  const { claimed, end } = await startedAgain(leased)
  expect(claimed.size).toBe(0)
  await end()
})
