/** Two hundred drawn worlds: in none of them happens what must not (sim/fuzz/checkers.ts). */
import { expect, test } from 'vitest'
import { fuzzSeed } from '../../../sim/drivers/fuzz.ts'

const SEEDS = 200

test(`nothing that must not be happens in ${SEEDS} drawn worlds, and all come together again`, async () => {
  let orders = 0
  let running = 0
  for (let seed = 1; seed <= SEEDS; seed++) {
    const outcome = await fuzzSeed(seed)
    orders += outcome.orders
    running += outcome.running
    expect(outcome.problem, `plantmesh sim fuzz --seeds 1 --first ${seed}`).toBeUndefined()
  }
  // Trouble enough to refuse some, not so much that hardly any is made.
  expect(running / orders).toBeGreaterThan(0.5)
  expect(running / orders).toBeLessThan(0.95)
}, 600_000)
