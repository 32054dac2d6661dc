/** The mesh's golden machines as one plant lists them. */
import { expect, test } from 'vitest'
import type { PeerId } from '../../protocols/kit/index.ts'
import type { Golden } from '../../protocols/order/golden.ts'
import { meshGoldens } from '../../node/plant/images/mesh-goldens.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { fakeLog } from '../support/fake-log.ts'
import { holding } from '../support/holdings.ts'

test('a child of a child lacks what lies between it and the base that is here, not all of it', () => {
  const root = holding(1, { ownBytes: 900, totalBytes: 900 })
  const middle = holding(2, { ownBytes: 30, totalBytes: 920, base: root.goldenId })
  const child = holding(3, { ownBytes: 20, totalBytes: 930, base: middle.goldenId })
  const orphan = holding(4, { ownBytes: 10, totalBytes: 940, base: holding(5).goldenId })
  const held = [root, middle, child, orphan].map((one) => ({ goldenId: one.goldenId, said: new Map([['there' as PeerId, one]]) }))
  const images = meshGoldens({
    clock: new FakeClock(), log: fakeLog(), isa: 'x86_64', swarm: {} as never, freeDiskBytes: () => undefined, learn: () => {},
    warehouse: { list: () => [{ goldenId: root.goldenId } as Golden] } as never, store: { incoming: () => [], packs: () => [] } as never,
    mesh: { held: (id?: string) => held.filter(({ goldenId }) => id === undefined || goldenId === id), knownManifest: () => undefined } as never
  })
  expect(images.list().map(({ missingBytes }) => missingBytes)).toEqual([0, 30, 50, 940])
})
