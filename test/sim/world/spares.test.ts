/** Spares in a small world: the daemon's own policy over simulated hosts. */
import { expect, test } from 'vitest'
import { SmallWorld } from '../../support/small-world.ts'
import type { ClientOrder } from '../../../sim/world/client.ts'

/** How many a plant has memory for where that is what it runs out of. */
const MACHINES = 12

/** Orders one after the other, so long apart; each is told how it ended. */
async function steadily (small: SmallWorld, count: number, everyMs: number): Promise<ClientOrder[]> {
  const orders: ClientOrder[] = []
  for (let i = 0; i < count; i++) {
    orders.push(small.order('p1'))
    await small.pass(everyMs)
  }
  return orders
}

const phasesOf = (small: SmallWorld, order: ClientOrder): Record<string, number> => small.plant('p1').host.records.machines.get(order.vmId)?.phasesMs ?? {}

test('orders that come again and again get spares, and all that a machine has is its own', async () => {
  const small = new SmallWorld(1, { spareMemoryMiB: 256 })
  await small.pass(10_000)
  const orders = await steadily(small, 8, 5_000)
  const { host, warehouse, node } = small.plant('p1')
  expect(orders.map(({ result }) => result.end)).toEqual(Array.from({ length: 8 }, () => 'running'))
  expect(orders.map((order) => phasesOf(small, order)['spare'] !== undefined)).toEqual([false, false, true, true, true, true, true, true])
  for (const order of orders.slice(2)) expect(phasesOf(small, order)['clone']).toBeUndefined()
  const machines = orders.map((order) => host.machines.get(order.vmId))
  for (const part of ['mac', 'hostName', 'machineId'] as const) expect(new Set(machines.map((machine) => machine?.identity?.[part])).size).toBe(8)
  for (const [i, machine] of machines.entries()) expect(host.records.machines.get(orders[i]?.vmId ?? machine?.vmId as never)?.attributes['Mac']).toBe(machine?.mac)
  const spares = host.machines.size - 8
  expect(spares).toBeGreaterThan(0)
  expect(spares * 64).toBeLessThanOrEqual(256)
  expect(warehouse?.pins).toBe(host.machines.size)
  expect(node?.ledger.leases()).toHaveLength(8)
  await small.pass(700_000)
  expect(host.machines.size).toBe(8)
  expect(warehouse?.pins).toBe(8)
})

test('spares give way to leases: the host never holds more than it offers, and an order that fits gets its machine', async () => {
  const small = new SmallWorld(1, { spareMemoryMiB: 4_096, capacity: { cpus: 64, memoryMiB: MACHINES * 64 } })
  await small.pass(10_000)
  const { host } = small.plant('p1')
  let most = 0
  const orders: ClientOrder[] = []
  while (orders.length < MACHINES + 4) {
    orders.push(small.order('p1'))
    for (let i = 0; i < 200; i++) {
      await small.pass(10)
      most = Math.max(most, host.inUse().memoryMiB)
    }
  }
  expect(most).toBe(MACHINES * 64)
  expect(orders.filter(({ result }) => result.end === 'running')).toHaveLength(MACHINES)
  expect([...host.machines.keys()].filter((vmId) => !host.records.machines.has(vmId))).toEqual([])
})

test('a plant killed at any moment of a hand-out has the machine of its order afterwards, and no spare of before', async () => {
  for (const afterMs of [0, 5, 20, 40, 60, 80, 100, 120, 150, 200, 300]) {
    const small = new SmallWorld(1, { spareMemoryMiB: 256 })
    await small.pass(10_000)
    await steadily(small, 3, 5_000)
    const order = small.order('p1')
    await small.pass(afterMs)
    const plant = small.plant('p1')
    const before = new Set(plant.host.machines.keys())
    plant.crash()
    plant.start()
    await small.pass(60_000)
    expect(order.result.end, `after ${afterMs} ms`).toBe('running')
    expect(plant.host.machines.get(order.vmId)?.identity?.hostName, `after ${afterMs} ms`).toBeDefined()
    const spares = [...plant.host.machines.keys()].filter((vmId) => !plant.host.records.machines.has(vmId))
    expect(spares.filter((vmId) => before.has(vmId)), `after ${afterMs} ms`).toEqual([])
    expect(plant.warehouse?.pins).toBe(plant.host.machines.size)
  }
})

test('the same world comes to the same, event by event', async () => {
  const told = async (): Promise<string[]> => {
    const small = new SmallWorld(2, { spareMemoryMiB: 256 })
    await small.pass(10_000)
    const orders = await steadily(small, 6, 3_000)
    return [...orders.map((order) => `${order.vmId} ${order.result.end} ${JSON.stringify(phasesOf(small, order))}`), ...small.plant('p1').host.machines.keys()]
  }
  expect(await told()).toEqual(await told())
})
