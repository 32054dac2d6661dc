/** What a member tells of, when one stream takes another's place in the middle of it. */
import { expect, test } from 'vitest'
import { PeerStations } from '../../protocols/tunnel/peer-stations.ts'
import type { ToldStation } from '../../protocols/tunnel/messages.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { fakeLog } from '../support/fake-log.ts'
import { macText } from './frames.ts'
import { START_MS, crypto, lanOf, machineOf, noGrants, party, proofOf } from './people.ts'

test('a snapshot of a stream that was replaced changes nothing of the one that comes by the new stream', async () => {
  const [owner, plant] = [party(), party()]
  const clock = new FakeClock(START_MS)
  const stations = new PeerStations({ crypto, grants: noGrants, clock, log: fakeLog(), onRefused: () => {}, mayHave: () => true }, plant.id, lanOf(owner))
  const told = (n: number): ToldStation => {
    const machine = machineOf({ owner, shop: party(), orderId: `o-${n}` })
    return { station: { mac: macText(n), addresses: [], vmId: machine.vmId }, proof: proofOf(machine, plant.id) }
  }
  const { signal } = new AbortController()
  const all = [1, 2, 3, 4].map(told)
  const message = (add: ToldStation[], snapshot: 'more' | 'end') => ({ add, remove: [], uplink: false, snapshot })
  const old = stations.take(message([...all, told(9)], 'end'), signal)
  stations.newStream()
  const first = stations.take(message(all.slice(0, 2), 'more'), signal)
  expect(await clock.settle(old)).toBe(false)
  await clock.settle(first)
  expect(await clock.settle(stations.take(message(all.slice(2), 'end'), signal))).toBe(true)
  expect(stations.list.map(({ mac }) => mac)).toEqual([1, 2, 3, 4].map(macText))
})
