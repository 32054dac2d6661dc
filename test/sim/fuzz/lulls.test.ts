/** What plants keep planned in peace, whatever the lines between them are like. */
import { expect, test } from 'vitest'
import { Lulls } from '../../../sim/fuzz/lulls.ts'
import { SmallWorld } from '../../support/small-world.ts'

/** The fewest timers of the first plant within the next so many milliseconds. */
async function least ({ world }: SmallWorld, ms: number): Promise<number> {
  const lulls = new Lulls()
  const untilMs = world.timeline.nowMs + ms
  await world.run(untilMs, () => {
    lulls.look(world.plants)
    return true
  })
  return lulls.of('p1')
}

test('a plant to which a message is on its way for longer than a lull has no timer more (seed 720)', async () => {
  const small = new SmallWorld(2)
  const { world } = small
  await small.pass(60_000)
  const quiet = await least(small, 10_000)
  const [a, b] = world.plants.map(({ peer }) => new Set([peer]))
  if (a === undefined || b === undefined) throw new Error('there are two')
  world.network.links.slow({ from: b, to: a }, { latencyTimes: 1, addLatencyMs: 15_000, lossShare: 0, bandwidthShare: 1 })
  await least(small, 12_000)
  expect(await least(small, 3_000)).toBe(quiet)
})
