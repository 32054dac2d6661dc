/** What a plant knows of the order in which machines read: its own, else what others tell, asked for seldom and waited for shortly. */
import { expect, test } from 'vitest'
import type { GoldenId } from '../../protocols/kit/index.ts'
import type { ReadRuns } from '../../protocols/image/index.ts'
import { BootOrders, TOLD_WAIT_MS, middleOf } from '../../node/plant/images/boot-orders.ts'
import { FakeClock } from '../support/fake-clock.ts'

const goldenId = 'ab'.repeat(16) as GoldenId
const never = new AbortController().signal

function orders (traces: () => Promise<ReadRuns[]>): { clock: FakeClock, kept: { runs?: unknown }, asked: () => number, orders: BootOrders } {
  const clock = new FakeClock()
  const kept: { runs?: unknown } = {}
  let asked = 0
  const store = { get: async () => kept.runs, put: async (_: GoldenId, _file: string, runs: ReadRuns) => { kept.runs = runs } }
  const mesh = { traces: async () => { asked++; return traces() } }
  return { clock, kept, asked: () => asked, orders: new BootOrders({ clock, mesh, parts: { file: 'disk', traces: store }, signal: never }) }
}

test('others are asked once in a minute, bids that need the same wait for one ask, and its own comes before theirs', async () => {
  const { clock, kept, asked, orders: one } = orders(async () => [[[3, 1]]])
  expect(await one.known(goldenId)).toBeUndefined()
  expect(await clock.settle(Promise.all([one.told(goldenId, never), one.told(goldenId, never)]))).toEqual([[[3, 1]], [[3, 1]]])
  await one.ask(goldenId)
  expect(asked()).toBe(1)
  await clock.advance(60_000)
  await one.ask(goldenId)
  expect(asked()).toBe(2)
  await one.saw(goldenId, [[4, 1]], false)
  expect(kept.runs).toBeUndefined()
  await one.saw(goldenId, [[4, 1]], true)
  expect([await one.known(goldenId), await one.told(goldenId, never), asked()]).toEqual([[[4, 1]], [[4, 1]], 2])
})

test('who is slow to tell holds a bid up for TOLD_WAIT_MS and no longer, and nobody once the wait is called off', async () => {
  const answer = Promise.withResolvers<ReadRuns[]>()
  const { clock, orders: one } = orders(async () => answer.promise)
  let settled = false
  const told = one.told(goldenId, never).finally(() => { settled = true })
  await clock.advance(TOLD_WAIT_MS - 1)
  expect(settled).toBe(false)
  await clock.advance(1)
  expect(await told).toBeUndefined()
  await expect(one.told(goldenId, AbortSignal.abort(new Error('enough')))).rejects.toThrow('enough')
  answer.resolve([[[1, 1]]])
  await one.ask(goldenId)
  expect(await one.told(goldenId, never)).toEqual([[1, 1]])
})

test('of what several tell the middle one counts', () => {
  const [few, some, many]: [ReadRuns, ReadRuns, ReadRuns] = [[[9, 1]], [[1, 4], [8, 2]], [[0, 1_000]]]
  expect([[], [few], [few, some], [some, many, few], [many, some]].map((told) => middleOf(told))).toEqual([undefined, few, some, some, many])
})
