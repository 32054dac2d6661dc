import { expect, test } from 'vitest'
import { microtaskQuiet } from '../../../sim/drivers/quiet.ts'
import { Faults } from '../../../sim/world/faults.ts'
import { World } from '../../../sim/world/world.ts'
import { scenarioOf } from './support.ts'

test('a fault strikes the plants of the group it names, and none of a group whose name looks like one of its plants', () => {
  const scenario = scenarioOf({ plants: [{ name: 'n', count: 3 }, { name: 'n-7' }, { name: 'n-70', count: 2 }], golden: [{ name: 'linux' }] })
  const world = new World({ scenario: { ...scenario, orders: [] }, seed: 1, quiet: microtaskQuiet() })
  const struck = (groups: string[]): string[] => {
    new Faults(world).strike({ kind: 'clockStep', atMs: 0, target: { plants: [], sites: [], groups }, byMs: 1_000 })
    const names = world.plants.filter(({ host }) => host.clock.wallMs > world.plants.reduce((least, one) => Math.min(least, one.host.clock.wallMs), Infinity)).map(({ name }) => name)
    for (const { host } of world.plants) host.clock.setRight()
    return names
  }
  expect(struck(['n'])).toEqual(['n-1', 'n-2', 'n-3'])
  expect(struck(['n-7'])).toEqual(['n-7'])
  expect(struck(['n-70'])).toEqual(['n-70-1', 'n-70-2'])
})
