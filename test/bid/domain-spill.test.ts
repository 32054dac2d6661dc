/** VMPlants 3.4 (P6): network 50, compute 4 a machine, two plants of 32 machines and 4 networks, one domain. */
import { expect, test } from 'vitest'
import { bidding } from '../../protocols/bid/index.ts'
import { computeNetworkCost, memoryCost } from '../../node/plant/cost/index.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { fakeLog } from '../support/fake-log.ts'
import { FakeNetwork } from '../support/fake-transport.ts'
import { FakeRandom } from '../support/fake-random.ts'
import { biddingPlant, bytesOfOrder, orderOf, ROOMY, vmIdOf } from './bidding-plant.ts'

async function series (seed: number, cost: ReturnType<typeof memoryCost>, domains: string[]): Promise<string[]> {
  const clock = new FakeClock()
  const random = new FakeRandom(seed)
  const network = new FakeNetwork({ clock, fate: () => ({ delayMs: 1 + random.int(20) }) })
  for (const id of ['A', 'B']) await biddingPlant({ transport: network.peer(id), clock, random, cost, capacity: ROOMY, startAtOnce: true })
  const shop = bidding()({ transport: network.peer('shop'), clock, random, log: fakeLog() })
  const candidates = network.peer('shop').connected().map((plant) => ({ plant, why: 'all' }))
  const won: string[] = []
  for (const [n, domainId] of domains.entries()) {
    const { end } = await clock.settle(shop.auction({ vmId: vmIdOf(n), signedOrder: bytesOfOrder({ vmId: vmIdOf(n), domainId, order: orderOf() }), ranked: false, handOvers: () => [], candidates }))
    won.push(end.kind === 'awarded' ? end.plant : end.kind)
  }
  await shop.stop()
  return won
}

test('compute+network: thirteen machines of a domain go to the first plant, the fourteenth is the first on the other', async () => {
  const firsts = new Set<string>()
  for (let seed = 0; seed < 12; seed++) {
    const won = await series(seed, computeNetworkCost(), Array<string>(15).fill('ufl'))
    const first = won[0] ?? ''
    firsts.add(first)
    expect(won.slice(0, 13)).toEqual(Array(13).fill(first))
    expect(won[13]).toBe(first === 'A' ? 'B' : 'A')
  }
  // The first is drawn: over twelve seeds both plants were.
  expect(firsts.size).toBe(2)
})

test('compute+network: all 64 places and all 8 networks are sold, and not one more', async () => {
  const won = await series(3, computeNetworkCost(), Array.from({ length: 66 }, (_, n) => `domain${n % 4}`))
  expect(won.filter((plant) => plant === 'A')).toHaveLength(32)
  expect(won.filter((plant) => plant === 'B')).toHaveLength(32)
  expect(won.slice(64)).toEqual(['refused', 'refused'])
})

test('compute+network: a ninth domain finds no network', async () => {
  expect(await series(4, computeNetworkCost(), [...Array.from({ length: 8 }, (_, n) => `domain${n}`), 'domain0', 'ninth']).then((won) => won.map((plant) => plant === 'refused'))).toEqual([...Array(9).fill(false), true])
})

test('memory: machines alternate between equal plants', async () => {
  const won = await series(5, memoryCost(), Array<string>(10).fill('ufl'))
  for (let n = 0; n < 10; n += 2) expect(won[n]).not.toBe(won[n + 1])
})
