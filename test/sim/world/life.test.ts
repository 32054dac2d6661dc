/** The life cycle of templates with the daemon's plants on virtual time: copies spread with use, come back when plants die, and go after the cool-down. */
import { expect, test } from 'vitest'
import type { GoldenId } from '../../../protocols/kit/index.ts'
import type { LifePolicy } from '../../../storage/templates/life-policy.ts'
import { SmallWorld } from '../../support/small-world.ts'

const HOUR_MS = 3_600_000
/** Hold-off 5 s, a look each half second. */
const LIFE: Partial<LifePolicy> = { coolDownMs: 60_000, copiesMin: 2, usesPerCopy: 1 }
const holders = (world: SmallWorld): string[] => world.world.plants.filter((plant) => plant.host.shelf.size > 0).map(({ name }) => name)
const young = async (plants: number, life = LIFE, from = 1): Promise<SmallWorld> => {
  const world = new SmallWorld(plants, { holders: from, life })
  await world.pass(3_000)
  return world
}
const on = (world: SmallWorld, name: string): { requirements: string } => ({ requirements: `other.PeerId == "${world.plant(name).peer}"` })
const linux = (world: SmallWorld): GoldenId => [...world.plant('p1').host.shelf.keys()][0] as GoldenId

test('a golden machine that only one plant has is copied to another one, once, and no further', async () => {
  const world = await young(6)
  expect(holders(world)).toEqual(['p1'])
  await world.pass(60_000)
  expect(holders(world)).toHaveLength(2)
  await world.pass(600_000)
  expect(holders(world)).toHaveLength(2)
})

test('copies spread in proportion to use, and shrink to two once it is over and they have cooled down', async () => {
  // Three at once over one line take 20 s each: the next in rank wait for longer than that (hold-off 10 s).
  const world = await young(6, { ...LIFE, coolDownMs: 120_000 })
  const orders = Array.from({ length: 4 }, () => world.order('p1', on(world, 'p1')))
  await world.pass(60_000)
  expect(orders.map(({ result }) => result.end)).toEqual(['running', 'running', 'running', 'running'])
  await world.pass(60_000)
  expect(holders(world)).toHaveLength(4)
  const why = world.plant('p1').node?.life?.why([linux(world)]).templates[0]
  expect(why).toMatchObject({ here: 'own', holders: 4, target: 4, does: 'leave' })
  expect(why?.usesHere).toBeGreaterThan(3)
  // After an hour 4 uses count as 1.5.
  await world.pass(HOUR_MS)
  expect(holders(world)).toHaveLength(2)
  expect(holders(world)).toContain('p1')
}, 120_000)

test('when a plant with a copy dies for good another one takes its place', async () => {
  const world = await young(6)
  await world.pass(60_000)
  const [, second = ''] = holders(world)
  world.plant(second).powerOff(true)
  await world.pass(300_000)
  const now = holders(world)
  expect(now).toHaveLength(2)
  expect(now).not.toContain(second)
}, 120_000)

test('copies that are one too many go only where the others can be asked: cut off from each other all keep theirs', async () => {
  const world = await young(4)
  for (let i = 0; i < 4; i++) world.order('p1', on(world, 'p1'))
  await world.pass(120_000)
  expect(holders(world)).toHaveLength(4)
  const names = world.world.plants.map(({ name }) => name)
  for (const name of names) world.cut([name], names.filter((other) => other !== name))
  await world.pass(HOUR_MS)
  expect(holders(world)).toHaveLength(4)
  world.world.network.links.heal()
  await world.pass(600_000)
  expect(holders(world)).toHaveLength(2)
}, 120_000)

test('a plant without disk for others takes nothing ahead of use', async () => {
  const world = await young(4, { ...LIFE, copyBytesMax: 0 })
  await world.pass(300_000)
  expect(holders(world)).toEqual(['p1'])
  expect(world.plant('p2').node?.life?.why().templates[0]?.why).toContain('no room')
})

test('what a crash interrupts is gone on with, and a copy is known as one after a restart', async () => {
  const world = await young(2)
  for (let waited = 0; waited < 300 && world.plant('p2').node?.images?.incoming().length !== 1; waited++) await world.pass(50)
  world.plant('p2').crash()
  await world.pass(1_000)
  world.plant('p2').start()
  await world.pass(120_000)
  expect(holders(world)).toEqual(['p1', 'p2'])
  expect(world.plant('p2').node?.life?.why([linux(world)]).templates[0]).toMatchObject({ here: 'copy' })
})

test('one seed is one history', async () => {
  const histories = await Promise.all([0, 1].map(async () => {
    const world = await young(5)
    await world.pass(120_000)
    return world.world.trace.digest()
  }))
  expect(histories[0]).toBe(histories[1])
})
