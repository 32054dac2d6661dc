import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Capacity } from '../../../node/plant/capacity.ts'
import { marketOf, REASON_BITS, type BidDesk, type Market, type MarketInit } from '../../../sim/scale/bid-market.ts'
import { BidRounds, TAPE, type RoundCounts } from '../../../sim/scale/bid-rounds.ts'
import { CoreDesk } from '../../../sim/scale/core-desk.ts'
import { TypedDesk } from '../../../sim/scale/typed-desk.ts'
import type { StreamTable } from '../../../sim/kernel/index.ts'

type DeskOf = (market: Market, ties: StreamTable) => BidDesk
const cores: DeskOf = (market, ties) => new CoreDesk(market, ties)
const typed: DeskOf = (market, ties) => new TypedDesk(market, ties)

interface Run { tape: number[], counts: RoundCounts }

/** Every decision of a run, in order: who was asked, what each said, who was awarded and how that went, what came of the order. */
function run (init: MarketInit, deskOf: DeskOf, untilMs: number): Run {
  const tape: number[] = []
  const rounds = new BidRounds(marketOf(init), deskOf, (...said) => { tape.push(...said) })
  rounds.runUntil(untilMs)
  return { tape, counts: rounds.counts }
}

const capacity: fc.Arbitrary<Capacity> = fc.record({
  cpus: fc.integer({ min: 0, max: 8 }),
  memoryMiB: fc.integer({ min: 0, max: 1_024 }),
  diskMiB: fc.integer({ min: 0, max: 4_096 }),
  machines: fc.integer({ min: 0, max: 6 }),
  networks: fc.integer({ min: 0, max: 4 })
})
const life = fc.oneof(
  fc.record({ kind: fc.constant('exponential' as const), meanMs: fc.integer({ min: 10, max: 20_000 }) }),
  fc.record({ kind: fc.constant('fixed' as const), ms: fc.integer({ min: 0, max: 5_000 }) }),
  fc.constant({ kind: 'forever' as const })
)
const need = fc.record({
  cpus: fc.integer({ min: 1, max: 4 }),
  memoryMiB: fc.integer({ min: 1, max: 512 }),
  diskMiB: fc.integer({ min: 1, max: 2_048 }),
  network: fc.boolean(),
  weight: fc.integer({ min: 1, max: 5 }),
  life,
  domain: fc.integer({ min: 0, max: 3 })
}, { requiredKeys: ['cpus', 'memoryMiB', 'diskMiB', 'network'] })

/** Small plants, many orders, short books: so that every refusal happens. */
const market: fc.Arbitrary<MarketInit> = fc.record({
  seed: fc.integer(),
  plants: fc.integer({ min: 2, max: 40 }),
  capacities: fc.array(capacity, { minLength: 1, maxLength: 4 }),
  needs: fc.array(need, { minLength: 1, maxLength: 4 }),
  domains: fc.integer({ min: 1, max: 8 }),
  cost: fc.constantFrom('compute+network', 'memory', 'time-to-done'),
  asked: fc.integer({ min: 1, max: 16 }),
  viewEntries: fc.integer({ min: 1, max: 40 }),
  book: fc.record({ bidTtlMs: fc.integer({ min: 1, max: 4_000 }), bidsMax: fc.integer({ min: 1, max: 30 }), bidsPerPeerMax: fc.integer({ min: 1, max: 10 }) }, { requiredKeys: [] }),
  orderEveryMs: fc.integer({ min: 50, max: 4_000 }),
  lifeMs: fc.integer({ min: 10, max: 20_000 }),
  latencyMs: fc.integer({ min: 0, max: 740 }),
  periodMs: fc.integer({ min: 1, max: 1_000 }),
  gossip: fc.constantFrom('aggregate', 'message')
})

test('typed arrays decide as the daemon\'s cores do: whom to ask, bids and refusals, the winner, leases', () => {
  fc.assert(fc.property(market, (init) => {
    const [a, b] = [run(init, typed, 5_000), run(init, cores, 5_000)]
    expect(a.counts).toEqual(b.counts)
    expect(a.tape).toEqual(b.tape)
  }), { numRuns: 60 })
})

test('one event for all calls of an order decides as one for each message', () => {
  fc.assert(fc.property(market, (init) => {
    const [a, b] = [run({ ...init, fanOut: 'one event' }, typed, 10_000), run({ ...init, fanOut: 'message' }, typed, 10_000)]
    expect(a.tape).toEqual(b.tape)
    expect({ ...a.counts, events: 0 }).toEqual({ ...b.counts, events: 0 })
  }), { numRuns: 60 })
})

test('the drawn markets have every refusal, lost awards and second awards in them', () => {
  let seen = 0
  let awardsRefused = 0
  for (const init of fc.sample(market, { numRuns: 150, seed: 7 })) {
    const { tape, counts } = run(init, typed, 10_000)
    for (let at = 0; at < tape.length; at += 5) {
      const value = tape[at + 4] ?? 0
      if ((tape[at] === TAPE.SAID || tape[at] === TAPE.AWARDED) && value < 0) seen |= -value
    }
    awardsRefused += counts.awardsRefused
  }
  expect(seen).toBe(Object.values(REASON_BITS).reduce((all, bit) => all | bit, 0))
  expect(awardsRefused).toBeGreaterThan(100)
})

test('a plant never holds more than it has, and every order ends', () => {
  fc.assert(fc.property(market, (init) => {
    const market = marketOf(init)
    const machines = new Int32Array(market.plants)
    const open = new Set<number>()
    const rounds = new BidRounds(market, typed, (what, _at, round, plant, value) => {
      if (what === TAPE.ASKED) open.add(round)
      if (what === TAPE.ENDED) open.delete(round)
      if (what === TAPE.RELEASED) machines[plant] = (machines[plant] ?? 0) - 1
      if (what !== TAPE.AWARDED || value < 0) return
      machines[plant] = (machines[plant] ?? 0) + 1
      expect(machines[plant]).toBeLessThanOrEqual(market.capacities[plant % market.capacities.length]?.machines ?? 0)
    })
    rounds.runUntil(10_000)
    const { orders, granted, refused } = rounds.counts
    expect(orders - granted - refused).toBe(open.size)
    expect(open.size).toBeLessThanOrEqual(orders)
  }), { numRuns: 50 })
})

test('the same seed gives the same decisions, another seed others', () => {
  const init = { seed: 'x', plants: 200, orderEveryMs: 1_000, lifeMs: 5_000 }
  expect(run(init, typed, 5_000)).toEqual(run(init, typed, 5_000))
  expect(run({ ...init, seed: 'y' }, typed, 5_000).tape).not.toEqual(run(init, typed, 5_000).tape)
})

test('a round trip as long as the shop\'s deadline is refused', () => {
  expect(() => new BidRounds(marketOf({ seed: 1, plants: 3, latencyMs: 750 }), typed)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }))
})
