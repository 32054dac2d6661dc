/** The same over real libp2p streams: three plants and a shop on loopback. */
import { expect, test } from 'vitest'
import { BID_LIMITS, BID_PROTOCOL, bidding, decodeCallAnswer, encodeCall } from '../../protocols/bid/index.ts'
import type { Mesh } from '../../node/drivers/libp2p-mesh.ts'
import { SystemClock } from '../../node/drivers/system-clock.ts'
import { SystemRandom } from '../../node/drivers/system-random.ts'
import { afterTest, meshOf, quietLog, until } from '../support/mesh.ts'
import { biddingPlant, bytesOfOrder, orderOf, ROOMY, there, vmIdOf } from './bidding-plant.ts'

const clock = new SystemClock()
const random = new SystemRandom()
const signedOrder = (n: number): Uint8Array => bytesOfOrder({ vmId: vmIdOf(n), domainId: 'a', order: orderOf() })

test('twelve orders at once on three plants of four places each are leased, and the thirteenth is refused with reasons', async () => {
  const [shopNode, ...nodes] = await meshOf(4) as [Mesh, ...Mesh[]]
  const plants = await Promise.all(nodes.map((node) => biddingPlant({ transport: node.transport, clock, random, capacity: { ...ROOMY, machines: 4 } })))
  await until('the shop to know its neighbours', () => shopNode.transport.connected().length === 3)
  const shop = bidding()({ transport: shopNode.transport, clock, random, log: quietLog })
  afterTest(() => shop.stop())
  const candidates = plants.map(({ id }) => ({ plant: id, why: 'all' }))
  const sell = (n: number) => shop.auction({ vmId: vmIdOf(n), signedOrder: signedOrder(n), ranked: false, handOvers: () => [], candidates })
  const results = await Promise.all(Array.from({ length: 12 }, (_, n) => sell(n)))
  expect(results.map(({ end }) => end.kind)).toEqual(Array(12).fill('awarded'))
  expect(plants.map(({ ledger }) => ledger.used().machines)).toEqual([4, 4, 4])
  const last = await sell(99)
  expect(last.end.kind).toBe('refused')
  expect(last.decision.answers.map((answer) => answer.refusal?.reasons[0]?.code)).toEqual(Array(3).fill('MACHINES_FULL'))
})

test('200 calls at once from one real peer are each answered, and so is an order of a megabyte', async () => {
  const [caller, node] = await meshOf(2) as [Mesh, Mesh]
  await until('the two to be connected', () => caller.transport.connected().length === 1)
  const plant = await biddingPlant({ transport: node.transport, clock, random, bidding: { book: { bidsPerPeerMax: 150 } } })
  const call = async (n: number, order = signedOrder(n)): Promise<string> => {
    const stream = await caller.transport.open(plant.id, BID_PROTOCOL, BID_LIMITS)
    await stream.send(encodeCall({ t: 0, callId: vmIdOf(n), signedOrder: order, withinMs: 10_000 }))
    const answer = decodeCallAnswer(there(await stream.receive({ timeoutMs: 20_000 })))
    await stream.close()
    return answer.t === 0 ? 'bid' : answer.t === 1 ? there(answer.refusal.reasons[0]).code : 'held'
  }
  const answers = await Promise.all(Array.from({ length: 200 }, (_, n) => call(n)))
  expect([answers.filter((answer) => answer === 'bid').length, answers.filter((answer) => answer === 'LIMIT').length]).toEqual([150, 50])
  const big = bytesOfOrder({ vmId: vmIdOf(500), domainId: 'a', order: orderOf({}, { requirements: 'true', software: { os: 'x'.repeat(1_000_000), channel: 'agent', actions: [] } }) })
  // The peer's share is used up, yet the message is read and answered.
  expect(await call(500, big)).toBe('LIMIT')
})
