/** Each lie is told, and the mesh comes to terms with it. */
import { expect, test } from 'vitest'
import type { Lie } from '../../../sim/world/liar.ts'
import { SmallWorld } from '../../support/small-world.ts'

/** Four plants that know each other; p4 tells the lie from the start. */
async function meshWith (lie: Lie): Promise<SmallWorld> {
  const small = new SmallWorld(4)
  small.plant('p4').lies.add(lie)
  await small.pass(20_000)
  return small
}

test('room that is not there is advertised, and refused when it is asked for', async () => {
  const small = await meshWith('capacity')
  const seen = small.plant('p1').node?.shop.plants().find(({ plant }) => plant === small.plant('p4').peer)
  expect(seen?.ad['FreeMemoryMiB']).toBe(1_000_000)
  const order = small.order('p1', { memoryMiB: 100_000 })
  await small.pass(20_000)
  expect(order.result).toMatchObject({ end: 'refused', error: 'ORDER_REFUSED' })
})

test('a bid below cost wins, its award is refused, and the next bid is taken', async () => {
  const small = await meshWith('lowball')
  const order = small.order('p1')
  await small.pass(20_000)
  expect(order.result.end).toBe('running')
  expect(order.result.plant).not.toBe('p4')
  expect(order.decision?.attempts[0]).toMatchObject({ plant: small.plant('p4').peer, outcome: 'refused' })
})

test('a plant that never answers holds an order up for no longer than the deadline', async () => {
  const small = await meshWith('silence')
  const order = small.order('p1')
  await small.pass(30_000)
  expect(order.result.end).toBe('running')
  expect(order.result.phasesMs.bid).toBeLessThan(8_000)
})

test('a machine that a plant only says it holds is not made, and is not found there', async () => {
  const small = await meshWith('holds')
  const order = small.order('p1')
  await small.pass(120_000)
  expect(small.plant('p4').host.machines.size).toBe(0)
  expect(order.result.plant).not.toBe('p4')
})

test('old adverts of others that are handed on as new are not believed', async () => {
  const small = await meshWith('replay')
  small.order('p1')
  await small.pass(30_000)
  small.plant('p2').crash()
  await small.pass(1_000)
  small.plant('p2').start()
  await small.pass(60_000)
  const views = small.world.plants.map(({ node }) => node?.shop.plants().length)
  expect(views).toEqual([4, 4, 4, 4])
  const holder = small.world.plants.find(({ host }) => host.machines.size > 0)
  const seen = small.plant('p2').node?.shop.plants().find(({ plant }) => plant === holder?.peer)
  expect(seen?.ad['FreeMachines']).toBe(31)
})

test('a registrar that says what it likes keeps no order from being made once', async () => {
  const small = await meshWith('verdicts')
  const orders = ['p1', 'p2', 'p3', 'p1', 'p2', 'p3'].map((shop) => small.order(shop))
  await small.pass(120_000)
  for (const { vmId, result } of orders) {
    const places = small.world.plants.filter(({ host }) => host.machines.has(vmId))
    expect(places.length).toBeLessThanOrEqual(1)
    if (result.end === 'running') expect(places.map(({ name }) => name)).toEqual([result.plant])
  }
  expect(orders.filter(({ result }) => result.end === 'running').length).toBeGreaterThan(0)
})
