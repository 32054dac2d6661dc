/** Of two machines of one order that of the earlier award stays: what the checker says to disks that are made up. */
import { expect, test } from 'vitest'
import { earlierStays } from '../../../sim/fuzz/earlier.ts'
import type { Seen } from '../../../sim/fuzz/seen.ts'

interface Plant { peer: string, life: object | undefined, host: { records: { machines: Map<string, object> } } }

/** Puts a machine of the one order on the disk of a plant, in place of what was there. */
function put ({ peer, host }: Plant, state: string, awardedAtMs: number): void {
  host.records.machines.set('vm', { vmId: 'vm', state, lease: { id: `lease-${peer}`, awardedAtMs } })
}

interface World { a: Plant, b: Plant, order: { vmId: string, collecting: boolean } }

test.each<[string, boolean, number, (world: World) => void]>([
  ['the earlier one goes', true, 1, ({ a }) => { put(a, 'collected', 1) }],
  ['the earlier one is forgotten', true, 1, ({ a }) => { a.host.records.machines.clear() }],
  ['of two at one instant that of the lower id goes', true, 2, ({ a }) => { put(a, 'collected', 2) }],
  ['the later one goes', false, 1, ({ b }) => { put(b, 'collected', 2) }],
  ['the earlier one fails', false, 1, ({ a }) => { put(a, 'failed', 1) }],
  ['the later one goes when the earlier one has failed', false, 1, ({ a, b }) => {
    put(a, 'failed', 1)
    put(b, 'collected', 2)
  }],
  ['the client has it collected', false, 1, ({ a, order }) => {
    order.collecting = true
    put(a, 'collected', 1)
  }],
  ['a host has lost its disk', false, 1, ({ a }) => {
    a.life = undefined
    a.host.records.machines.clear()
  }]
])('%s: blamed %s', (_what, blamed, firstMs, then) => {
  const [a, b] = ['a', 'b'].map((peer): Plant => ({ peer, life: {}, host: { records: { machines: new Map() } } })) as [Plant, Plant]
  const order = { vmId: 'vm', collecting: false }
  const seen = { world: { plants: [a, b], timeline: { nowMs: 0 } }, orders: [order] } as unknown as Seen
  const checker = earlierStays()
  put(a, 'running', firstMs)
  put(b, 'running', 2)
  expect(checker.afterEvent?.(seen)).toBeUndefined()
  then({ a, b, order })
  expect(checker.afterEvent?.(seen)?.checker).toBe(blamed ? 'earlier' : undefined)
})
