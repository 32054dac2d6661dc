/** Orders through a bad network: whatever is lost, late or broken, capacity holds and no machine has two plants in the end. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { bidding } from '../../protocols/bid/index.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { fakeLog } from '../support/fake-log.ts'
import { FakeNetwork } from '../support/fake-transport.ts'
import { FakeRandom } from '../support/fake-random.ts'
import { biddingPlant, bytesOfOrder, orderOf, vmIdOf, type TestPlant } from './bidding-plant.ts'

const CAPACITY = { cpus: 8, memoryMiB: 1024, diskMiB: 8_192, machines: 3, networks: 1 }

async function run (seed: number, orders: number): Promise<void> {
  const clock = new FakeClock()
  const random = new FakeRandom(seed)
  let healed = false
  const network = new FakeNetwork({
    clock,
    fate: () => {
      const draw = healed ? 1 : random.fraction()
      if (draw < 0.08) return 'lost'
      if (draw < 0.14) return 'broken'
      return { delayMs: draw < 0.25 ? 3_000 + random.int(6_000) : 1 + random.int(30) }
    },
    reachable: () => healed || random.fraction() > 0.05
  })
  const plants: TestPlant[] = []
  for (const id of ['A', 'B', 'C']) plants.push(await biddingPlant({ transport: network.peer(id), clock, random, capacity: CAPACITY }))
  const byId = new Map(plants.map((plant) => [plant.id, plant]))
  const within = (): void => {
    for (const { ledger } of plants) {
      const used = ledger.used()
      for (const name of ['cpus', 'memoryMiB', 'diskMiB', 'machines', 'networks'] as const) expect(used[name]).toBeLessThanOrEqual(CAPACITY[name])
    }
  }
  const shop = bidding()({ transport: network.peer('shop'), clock, random, log: fakeLog() })
  const candidates = plants.map(({ id }) => ({ plant: id, why: 'all' }))
  const awarded: number[] = []
  await clock.settle(Promise.all(Array.from({ length: orders }, async (_, n) => {
    const order = orderOf({ memoryMiB: 128 + 128 * random.int(3) }, n % 2 === 0 ? {} : { network: { name: 'lan', addressing: 'mesh' } })
    const { end } = await shop.auction({ vmId: vmIdOf(n), signedOrder: bytesOfOrder({ vmId: vmIdOf(n), domainId: `d${n % 3}`, order }), ranked: false, handOvers: () => [], candidates })
    within()
    if (end.kind !== 'awarded') return
    // The machine starts at once; a lease that was granted is there.
    expect(byId.get(end.plant)?.ledger.start(end.leaseId, clock.monotonicMs())).toBe(true)
    awarded.push(n)
  })))
  healed = true
  await clock.advance(200_000)
  within()
  // Before any lease expires: settling and cancelling alone have cleared up.
  for (let n = 0; n < orders; n++) {
    const holders = plants.filter(({ ledger }) => ledger.leaseOf(vmIdOf(n)) !== undefined).length
    expect(holders).toBeLessThanOrEqual(1)
    expect(holders).toBe(awarded.includes(n) ? 1 : 0)
  }
  await shop.stop()
  await clock.advance(60_000)
  expect(network.peer('shop').streams).toBe(0)
}

test('whatever the network does, no plant exceeds its capacity and each machine that was awarded is on one plant', async () => {
  await fc.assert(fc.asyncProperty(fc.integer(), fc.integer({ min: 1, max: 12 }), run), { numRuns: 60 })
})
