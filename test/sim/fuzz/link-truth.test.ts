/** What the links' checker works out of the drawn faults alone. */
import { expect, test } from 'vitest'
import { LinkTruth } from '../../../sim/fuzz/link-truth.ts'
import type { Fault } from '../../../sim/scenario/index.ts'
import { Faults } from '../../../sim/world/faults.ts'
import { SmallWorld } from '../../support/small-world.ts'

test('slow links are worked out in the order in which they struck when they were drawn in another (seed 736)', async () => {
  const small = new SmallWorld(2)
  const at = (name: string) => ({ plants: [name], sites: [], groups: [] })
  const slow = (atMs: number, latencyTimes: number, addLatencyMs: number): Extract<Fault, { kind: 'slowLink' }> =>
    ({ kind: 'slowLink', atMs, from: at('p1'), to: at('p2'), latencyTimes, addLatencyMs, lossShare: 0, bandwidthShare: 1, untilMs: 24_000 })
  const faults = [slow(3_000, 3, 100), slow(2_000, 19, 200)]
  const found: string[] = []
  small.world.network.links.watch = new LinkTruth(small.world, faults, (text) => { found.push(text) })
  new Faults(small.world).plan(faults)
  await small.pass(24_000)
  expect(found).toEqual([])
  expect(small.world.strikes.counts.get('latency')).toBeGreaterThan(0)
})
