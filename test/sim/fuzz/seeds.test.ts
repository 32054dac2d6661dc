/** Two hundred drawn worlds: in none of them happens what must not (sim/fuzz/checkers.ts), and every kind of fault has done something. */
import { expect, test } from 'vitest'
import { fuzzSeed } from '../../../sim/drivers/fuzz.ts'
import { LIES, SWARM_LIES } from '../../../sim/world/liar.ts'
import type { Strike } from '../../../sim/world/strikes.ts'

const SEEDS = 200
/** Each must have had an effect so often, and in so many worlds: a fault that is drawn and changes nothing tests nothing. */
const EFFECTS_MIN = 10
const WORLDS_MIN = 3
const STRIKES: readonly Strike[] = [
  'partition', 'oneWay', 'otherWay', 'latency', 'bandwidth', 'loss', 'crash', 'crashAtEffect', 'hostDown', 'siteOutage', 'standStill', 'clockDrift', 'clockStep', 'diskFull',
  'machineDeath', 'askedTwice', 'clientLeft', 'flawedGuest', ...LIES.map((lie) => `lie ${lie}` as const), 'stop', 'published'
]
/** These strike once in a world. */
const AIMS: readonly Strike[] = ['aim stillInGrant', 'aim crashInCollect', 'aim crashInBurial', 'aim registrarsCrash', 'aim regretInResize', 'aim crashInFetch']
/** Once in a world, too, and each in so many: they are what fetches are checked for. */
const FETCHES: readonly Strike[] = [...SWARM_LIES.map((lie) => `lie ${lie}` as const), 'aim fullInFetch', 'aim holderGone', 'removed']
const FETCH_WORLDS_MIN = 5

test(`nothing that must not be happens in ${SEEDS} drawn worlds, all come together again, and every kind of fault has struck`, async () => {
  let orders = 0
  let running = 0
  const effects = new Map<Strike, { times: number, worlds: number }>()
  for (let seed = 1; seed <= SEEDS; seed++) {
    const outcome = await fuzzSeed(seed)
    orders += outcome.orders
    running += outcome.running
    for (const [what, times = 0] of Object.entries(outcome.strikes)) {
      const before = effects.get(what as Strike) ?? { times: 0, worlds: 0 }
      effects.set(what as Strike, { times: before.times + times, worlds: before.worlds + 1 })
    }
    expect(outcome.problem, `plantmesh sim fuzz --seeds 1 --first ${seed}`).toBeUndefined()
  }
  // Trouble enough to refuse some, not so much that hardly any is made.
  expect(running / orders).toBeGreaterThan(0.5)
  expect(running / orders).toBeLessThan(0.95)
  const idle = STRIKES.filter((what) => (effects.get(what)?.times ?? 0) < EFFECTS_MIN || (effects.get(what)?.worlds ?? 0) < WORLDS_MIN)
  expect(idle, 'faults that had no effect').toEqual([])
  expect(AIMS.filter((what) => (effects.get(what)?.worlds ?? 0) < WORLDS_MIN), 'faults that found nothing to aim at').toEqual([])
  expect(FETCHES.filter((what) => (effects.get(what)?.worlds ?? 0) < FETCH_WORLDS_MIN), 'faults of fetches that hardly struck').toEqual([])
  // It takes a plant that is just about to give up one of two copies.
  expect(effects.has('aim keeperGone')).toBe(true)
  // What slow links lose is what they were drawn to lose.
  const lost = (effects.get('loss')?.times ?? 0) / (effects.get('lossExpected')?.times ?? 0)
  expect(lost).toBeGreaterThan(0.7)
  expect(lost).toBeLessThan(1.3)
}, 600_000)
