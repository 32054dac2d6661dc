/** The daemon's plants fetch golden machines of each other in a virtual world: the cheapest makes it, what cannot be had is given back, and kills lose nothing. */
import { expect, test } from 'vitest'
import type { ClientOrder } from '../../../sim/world/client.ts'
import type { GoldenId } from '../../../protocols/kit/index.ts'
import { SmallWorld } from '../../support/small-world.ts'

const on = (world: SmallWorld, ...names: string[]): { requirements: string } => ({ requirements: names.map((name) => `other.PeerId == "${world.plant(name).peer}"`).join(' || ') })
const itemsOf = (order: ClientOrder, world: SmallWorld, name: string): string[] =>
  order.decision?.answers.find(({ plant }) => plant === world.plant(name).peer)?.bid?.items.map(({ item }) => item) ?? []

async function young (holders: number, plants: number): Promise<SmallWorld> {
  const world = new SmallWorld(plants, { holders })
  await world.pass(20_000)
  return world
}

test('plants without a golden machine bid with the bytes that they miss, and one of them makes the machine', async () => {
  const world = await young(1, 3)
  const order = world.order('p1', on(world, 'p2', 'p3'))
  await world.pass(60_000)
  expect(order.result).toMatchObject({ end: 'running', plant: expect.stringMatching(/p[23]/) })
  for (const name of ['p2', 'p3']) expect(itemsOf(order, world, name)).toContain('fetch')
  expect(order.result.phasesMs.fetch).toBeGreaterThan(0)
  const again = world.order('p3', on(world, 'p2', 'p3'))
  await world.pass(60_000)
  expect(again.result).toMatchObject({ end: 'running', plant: order.result.plant })
  expect(itemsOf(again, world, order.result.plant ?? '')).not.toContain('fetch')
})

test('a plant that has it wins over one that would have to fetch', async () => {
  const world = await young(1, 3)
  const order = world.order('p2')
  await world.pass(60_000)
  expect(order.result).toMatchObject({ end: 'running', plant: 'p1' })
})

test('one seed is one history', async () => {
  const histories = await Promise.all([0, 1].map(async () => {
    const world = await young(1, 3)
    world.order('p1', on(world, 'p2', 'p3'))
    await world.pass(60_000)
    return world.world.trace.digest()
  }))
  expect(histories[0]).toBe(histories[1])
})

test('a plant that is cut off from all who have it gives the order back, and the next one makes the machine', async () => {
  const world = await young(1, 3)
  // p2 has half of it already and so is the cheaper: the first award is its.
  const stop = new AbortController()
  const { images } = world.plant('p2').node ?? {}
  const found = images?.find('linux', stop.signal)
  await world.pass(1_000)
  const half = images?.fetch((await found)?.[0]?.goldenId as GoldenId, () => {}, stop.signal)
  half?.catch(() => {})
  await world.pass(4_000)
  stop.abort(new Error('enough'))
  await world.pass(1_000)
  world.cut(['p1'], ['p2'])
  world.cut(['p2'], ['p1'])
  const order = world.order('p3', on(world, 'p2', 'p3'))
  await world.pass(120_000)
  expect(order.result).toMatchObject({ end: 'running', plant: 'p3' })
  expect(world.plant('p2').host.records.machines.size).toBe(0)
  expect(world.plant('p2').node?.ledger.used().machines).toBe(0)
  const attempts = [...world.plant('p3').host.records.decisions.values()].flatMap(({ decision }) => decision['attempts'] as Array<{ outcome: string, machine?: { plant: string } }>)
  expect(attempts.map(({ outcome, machine }) => [outcome, machine?.plant])).toEqual([['given back', world.plant('p2').peer], ['running', world.plant('p3').peer]])
})

test('a plant that dies in the middle of a fetch makes the machine after its restart, with what had come', async () => {
  const world = await young(1, 2)
  const order = world.order('p1', on(world, 'p2'))
  for (let waited = 0; waited < 100 && world.plant('p2').host.records.machines.size === 0; waited++) await world.pass(50)
  await world.pass(400)
  world.plant('p2').crash()
  await world.pass(2_000)
  world.plant('p2').start()
  await world.pass(90_000)
  expect([...world.plant('p2').host.records.machines.values()].map(({ state }) => state)).toEqual(['running'])
  expect(order.answered).toBe(true)
})

test('when the only holder is gone for good the order ends refused, with what was missing', async () => {
  const world = await young(1, 2)
  const order = world.order('p2', on(world, 'p2'))
  for (let waited = 0; waited < 100 && world.plant('p2').host.records.machines.size === 0; waited++) await world.pass(50)
  world.plant('p1').crash()
  await world.pass(120_000)
  expect(order.answered).toBe(true)
  expect(order.result.end).not.toBe('running')
  expect(world.plant('p2').host.records.machines.size).toBe(0)
})
