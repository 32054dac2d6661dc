/** Real nodes in a process whose wall clock jumps. */
import { afterEach, expect, test, vi } from 'vitest'
import type { Mesh } from '../../node/drivers/libp2p-mesh.ts'
import { meshOf, until } from '../support/mesh.ts'

const HOUR_MS = 3_600_000

afterEach(() => { vi.restoreAllMocks() })

function jump (ms: number): void {
  vi.restoreAllMocks()
  const { now } = Date
  vi.spyOn(Date, 'now').mockImplementation(() => now() + ms)
}

test('the directory answers and neighbours stay while the wall clock goes back and forth by hours', async () => {
  const [a, b] = await meshOf(2) as [Mesh, Mesh]
  for (const mesh of [a, b]) await until('the routing table is filled', () => mesh.directory.tableSize === 1)
  let left = 0
  a.transport.onNeighbour((_, change) => { if (change === 'left') left++ })
  for (const ms of [0, 2 * HOUR_MS, -2 * HOUR_MS, 0]) {
    jump(ms)
    // More than one request at each time: what one leaves behind must not harm the next.
    for (const [i, [from, to]] of [[a, b], [b, a], [a, b], [b, a]].entries() as ArrayIterator<[number, [Mesh, Mesh]]>) {
      await from.directory.provide(`vm/${ms}-${i}`)
      await until('it is found', async () => (await to.directory.find(`vm/${ms}-${i}`, 1))[0] === from.transport.self, 5_000)
      expect(await to.directory.find(`vm/${ms}-none`, 1)).toEqual([])
    }
  }
  jump(-2 * HOUR_MS)
  // Two rounds of pings between neighbours.
  await new Promise((resolve) => { setTimeout(resolve, 25_000) })
  expect(left).toBe(0)
  expect(b.transport.connected()).toEqual([a.transport.self])
}, 60_000)
