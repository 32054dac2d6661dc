import { expect, test } from 'vitest'
import type { Connection } from '@libp2p/interface'
import { GossipStreams } from '../../node/drivers/gossip-streams.ts'
import { makeKey } from '../../node/drivers/key-file.ts'
import { GOSSIP_LOOK_MS } from '../../node/drivers/mesh-limits.ts'
import { FakeClock } from '../support/fake-clock.ts'

test('a neighbour that gossip has no stream to gets one within one look, by the best of its connections, and nobody else does', async () => {
  const clock = new FakeClock()
  const [well, deaf, gone] = [makeKey().peerId, makeKey().peerId, makeKey().peerId]
  const opened: Array<[string, Connection]> = []
  const best = {} as Connection
  const streams = new GossipStreams({
    clock,
    admission: { neighbours: () => [well, deaf, gone] },
    connections: (peer) => peer === gone ? [] : [best, {} as Connection],
    gossip: { streamsOutbound: new Map([[well, {}]]), onPeerConnected: (peer: { toString (): string }, connection: Connection) => { opened.push([peer.toString(), connection]) } }
  })
  await clock.advance(GOSSIP_LOOK_MS)
  expect(opened).toEqual([[deaf, best]])
  expect(opened[0]?.[1]).toBe(best)
  await clock.advance(GOSSIP_LOOK_MS)
  expect(opened).toHaveLength(2)
  await streams.stop()
  await clock.advance(10 * GOSSIP_LOOK_MS)
  expect([opened.length, clock.pending]).toEqual([2, 0])
})
