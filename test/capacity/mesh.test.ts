import { networkInterfaces } from 'node:os'
import { expect, test } from 'vitest'
import type { PeerId } from '../../protocols/kit/index.ts'
import { adOf } from '../support/capacity.ts'
import { meshNode, plantNode, until } from '../support/mesh.ts'

type Plant = Awaited<ReturnType<typeof plantNode>>
const seenBy = (plant: Plant): string[] => plant.view.plants().map((seen) => seen.peer).toSorted()
const idsOf = (plants: Plant[]): string[] => plants.map((plant) => plant.transport.self).toSorted()
const allSee = (plants: Plant[]): boolean => plants.every((plant) => seenBy(plant).join() === idsOf(plants).join())

async function plantsOf (count: number): Promise<Plant[]> {
  const first = await plantNode()
  const others = await Promise.all(Array.from({ length: count - 1 }, async () => plantNode({ bootstrap: first.addresses() })))
  return [first, ...others]
}

test('three plants see each other within 5 s, and a fourth that joins sees them and they it', async () => {
  const plants = await plantsOf(3)
  await until('three see each other', () => allSee(plants))
  const last = plants.at(-1)
  const fourth = await plantNode({ bootstrap: last?.addresses() ?? [] }, { site: 'elsewhere' })
  const all = [...plants, fourth]
  await until('all four see each other', () => allSee(all))
  expect(plants[0]?.view.get(fourth.transport.self)?.ad.site).toBe('elsewhere')
})

// Ten nodes share this one process and its core, which no plants do: three within 5 s is the promise, above.
test('a plant that joins a mesh of nine by one of them sees all, and all see it', async () => {
  const plants = await plantsOf(9)
  await until('nine see each other', () => allSee(plants), 15_000)
  const joining = await plantNode({ bootstrap: plants[7]?.addresses() ?? [] })
  await until('it sees all and all see it', () => allSee([...plants, joining]), 15_000)
})

test('a change is seen by the others within a second', async () => {
  const plants = await plantsOf(3)
  await until('they see each other', () => allSee(plants))
  const [a, b, c] = plants as [Plant, Plant, Plant]
  let calls = 0
  b.view.onChange(() => { calls++ })
  a.view.setOwn(adOf({ freeCpus: 1 }))
  await until('the change is seen', () => [b, c].every((plant) => plant.view.get(a.transport.self)?.ad.freeCpus === 1), 2_000)
  await until('listeners are told', () => calls > 0)
  expect(c.view.candidates({ cpus: 2, memoryMiB: 1, diskMiB: 1 }).find((candidate) => candidate.peer === a.transport.self)?.short).toBe('cpus')
})

test('a plant that stops in order is off every view at once', async () => {
  const plants = await plantsOf(3)
  await until('they see each other', () => allSee(plants))
  const [a, b, c] = plants as [Plant, Plant, Plant]
  await a.view.stop()
  await a.stop()
  await until('it is off', () => allSee([b, c]), 2_000)
})

test('plants of another mesh are in no view, also when bootstrapped by address', async () => {
  const red = await plantNode({ mesh: 'red' })
  const blue = await plantNode({ mesh: 'blue' })
  const stray = await plantNode({ mesh: 'blue', bootstrap: [...red.addresses(), ...blue.addresses()] })
  await until('the blue see each other', () => allSee([blue, stray]))
  expect(seenBy(red)).toEqual([red.transport.self])
})

test('a peer that forges, floods and sends rubbish changes no view, and the plants still hear each other', async () => {
  const [a, b] = await plantsOf(2) as [Plant, Plant]
  const rogue = await meshNode({ bootstrap: a.addresses() })
  await rogue.pubsub.subscribe('capacity', () => 'accept')
  await until('it has joined', () => rogue.transport.connected().includes(a.transport.self))
  for (let i = 0; i < 300; i++) await rogue.pubsub.publish('capacity', Uint8Array.from({ length: 1 + i * 40 }, () => i % 256))
  const limits = { messageBytesMax: 1_000_000, idleTimeoutMs: 5_000, inboundMax: 1, inboundPerPeerMax: 1 }
  const stream = await rogue.transport.open(a.transport.self, '/plantmesh/capacity/1.0.0', limits)
  await stream.send(Buffer.from('rubbish'))
  await expect(stream.receive()).rejects.toMatchObject({ code: 'STREAM_RESET' })
  a.view.setOwn(adOf({ freeCpus: 2 }))
  await until('b hears a', () => b.view.get(a.transport.self)?.ad.freeCpus === 2)
  expect(seenBy(a)).toEqual(idsOf([a, b]))
  expect(seenBy(b)).toEqual(idsOf([a, b]))
})

test('plants on one network find each other by multicast, those of the same name only', async () => {
  const lan = Object.values(networkInterfaces()).flat().find((address) => address?.family === 'IPv4' && !address.internal)
  // Without a network card the kernel still carries multicast over loopback where it has a route for it.
  const listen = [`/ip4/${lan?.address ?? '127.0.0.1'}/tcp/0`]
  const mesh = `mdns${process.pid}`
  const one = await plantNode({ mesh, listen, mdns: true })
  const two = await plantNode({ mesh, listen, mdns: true })
  const other = await plantNode({ mesh: `${mesh}x`, listen, mdns: true })
  const silent = await plantNode({ mesh, listen, mdns: false })
  await until('they see each other', () => allSee([one, two]))
  expect(seenBy(other)).toEqual([other.transport.self])
  expect(seenBy(silent)).toEqual([silent.transport.self as PeerId])
})
