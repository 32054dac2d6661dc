import { expect, test } from 'vitest'
import { MemoryPack, namesOf, pieceOf } from './packs.ts'
import { fixed, swarmPlants } from './plants.ts'

test('a pack is fetched from one plant, every piece once', async () => {
  const [a, b] = await swarmPlants(2)
  if (a === undefined || b === undefined) throw new Error('two plants were asked for')
  const names = namesOf(1, 200)
  a.swarm.serve(new MemoryPack(names, (i) => pieceOf(1, i)))
  const pack = new MemoryPack(names)
  const fetch = b.swarm.fetch(pack, { providers: fixed(a.peer) })
  await fetch.done
  expect(pack.held).toBe(200)
  expect(pack.writes).toBe(200)
  expect(fetch.progress).toMatchObject({ wanted: 200, have: 200, wastedBytes: 0 })
})
