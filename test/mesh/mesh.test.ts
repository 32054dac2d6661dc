import { expect, test } from 'vitest'
import { makeKey } from '../../node/drivers/key-file.ts'
import type { Mesh } from '../../node/drivers/libp2p-mesh.ts'
import { PlantError } from '../../protocols/kit/index.ts'
import { fixedAddress, meshNode, meshOf, until } from '../support/mesh.ts'

const neighboursOf = (mesh: Mesh): string[] => mesh.transport.connected().toSorted()
const others = (all: Mesh[], self: Mesh): string[] => all.filter((mesh) => mesh !== self).map((mesh) => mesh.transport.self).toSorted()

test('three plants know each other within 5 s when two were given the address of the third', async () => {
  const meshes = await meshOf(3)
  for (const mesh of meshes) {
    await until('all are neighbours', () => neighboursOf(mesh).join() === others(meshes, mesh).join())
    await until('the routing table is filled', () => mesh.directory.tableSize === 2)
  }
})

test('the peer id of a mesh is the key id of its key', async () => {
  const key = makeKey()
  const mesh = await meshNode({ key })
  expect(mesh.transport.self).toBe(key.keyId)
  expect(mesh.addresses()[0]).toMatch(new RegExp(`/tcp/[1-9][0-9]*/p2p/${key.keyId}$`))
})

test('gossip carries the author, and a handler that rejects stops its spread', async () => {
  const [a, b, c] = await meshOf(3) as [Mesh, Mesh, Mesh]
  const heard: Array<[string, string]> = []
  await a.pubsub.subscribe('capacity', () => 'accept')
  await b.pubsub.subscribe('capacity', (from, message) => { heard.push([from, Buffer.from(message).toString()]); return 'accept' })
  await c.pubsub.subscribe('capacity', () => 'accept')
  await until('it is heard', async () => {
    await a.pubsub.publish('capacity', Buffer.from('hello'))
    return heard.length > 0
  })
  expect(heard[0]).toEqual([a.transport.self, 'hello'])
})

test('a bootstrap peer that comes up late is joined', async () => {
  const address = await fixedAddress()
  const waiting = await meshNode({ bootstrap: [address] })
  const late = await meshNode({ listen: [address] })
  await until('it is joined', () => waiting.transport.connected().includes(late.transport.self), 10_000)
})

test('a plant that restarts with the same key and port is found again by those it knew, without a bootstrap of its own', async () => {
  const key = makeKey()
  const address = await fixedAddress()
  const first = await meshNode({ key, listen: [address] })
  const [left, right] = await Promise.all([meshNode({ bootstrap: first.addresses() }), meshNode({ bootstrap: first.addresses() })])
  for (const mesh of [left, right]) await until('both joined', () => mesh.transport.connected().includes(first.transport.self))
  const changes: string[] = []
  left.transport.onNeighbour((peer, change) => { if (peer === first.transport.self) changes.push(change) })
  await first.stop()
  await until('its leaving is seen', () => changes.includes('left'))
  const again = await meshNode({ key, listen: [address] })
  await until('it is found again', () => again.transport.connected().length === 2, 10_000)
  expect(changes).toEqual(['left', 'joined'])
})

test('two plants that lost their bootstrap peer still know each other', async () => {
  const [first, left, right] = await meshOf(3) as [Mesh, Mesh, Mesh]
  await until('they met', () => left.transport.connected().includes(right.transport.self))
  await first.stop()
  await until('the first is gone', () => !left.transport.connected().includes(first.transport.self))
  expect(left.transport.connected()).toEqual([right.transport.self])
})

test('plants of another mesh name are never joined, also when one is bootstrapped to the other by address', async () => {
  const [red, red2] = await meshOf(2, { mesh: 'red' }) as [Mesh, Mesh]
  const [blue, blue2] = await meshOf(2, { mesh: 'blue' }) as [Mesh, Mesh]
  const strangers: string[] = []
  const reds = [red, red2].map((mesh) => mesh.transport.self as string)
  const stray = await meshNode({ mesh: 'blue', bootstrap: [...red.addresses(), ...blue.addresses()] })
  const blues = [blue, blue2, stray]
  for (const mesh of [red, red2]) mesh.transport.onNeighbour((peer) => { if (!reds.includes(peer)) strangers.push(peer) })
  for (const mesh of blues) mesh.transport.onNeighbour((peer) => { if (reds.includes(peer)) strangers.push(peer) })
  const heard: string[] = []
  for (const mesh of [red, red2]) await mesh.pubsub.subscribe('capacity', (from) => { heard.push(from); return 'accept' })
  for (const mesh of blues) await mesh.pubsub.subscribe('capacity', () => 'accept')
  await until('the stray has joined the blue ones', () => stray.transport.connected().length === 2)
  await until('the red ones hear each other', async () => {
    for (const mesh of [red, ...blues]) await mesh.pubsub.publish('capacity', Buffer.from('x'))
    return heard.includes(red.transport.self)
  })
  await expect(stray.transport.open(red.transport.self, '/x/1.0.0', { messageBytesMax: 10, idleTimeoutMs: 100, inboundMax: 1, inboundPerPeerMax: 1 })).rejects.toThrow(PlantError)
  expect(strangers).toEqual([])
  expect(heard.filter((from) => !reds.includes(from))).toEqual([])
  await until('the routing tables hold their own', () => red.directory.tableSize === 1 && stray.directory.tableSize === 2)
  expect(neighboursOf(red)).toEqual([red2.transport.self])
})

test.each(['', 'a b', '-x', 'x..y', 'x'.repeat(41), 'ä'])('a mesh called %j is refused', async (mesh) => {
  await expect(meshNode({ mesh })).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
})

test('a bad address, and a port that is taken, are refused with the field', async () => {
  await expect(meshNode({ bootstrap: ['nonsense'] })).rejects.toMatchObject({ code: 'CONFIG_INVALID', details: { field: 'bootstrap' } })
  const mesh = await meshNode()
  const taken = mesh.addresses()[0]?.replace(/\/p2p\/.*/, '') ?? ''
  await expect(meshNode({ listen: [taken] })).rejects.toMatchObject({ code: 'CONFIG_INVALID', details: { field: 'listen' } })
})

test('a mesh stops when its signal is aborted', async () => {
  const controller = new AbortController()
  const [stopping, staying] = await Promise.all([meshNode({ signal: controller.signal }), meshNode()])
  const joined = await meshNode({ bootstrap: [...stopping.addresses(), ...staying.addresses()] })
  await until('joined', () => joined.transport.connected().length === 2)
  controller.abort(new Error('enough'))
  await until('it is gone', () => joined.transport.connected().join() === staying.transport.self)
})
