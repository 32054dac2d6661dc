import { expect, test } from 'vitest'
import { BoundedDatastore } from '../../node/drivers/bounded-datastore.ts'
import type { Mesh, MeshInit } from '../../node/drivers/libp2p-mesh.ts'
import { PlantError } from '../../protocols/kit/index.ts'
import { Key } from 'interface-datastore'
import { meshNode, meshOf, until } from '../support/mesh.ts'

async function connected (count: number, init: Partial<MeshInit> = {}): Promise<Mesh[]> {
  const meshes = await meshOf(count, init)
  for (const mesh of meshes) await until('the routing table is filled', () => mesh.directory.tableSize === count - 1)
  return meshes
}

test('what one plant provides any other finds, and a second provider as well', async () => {
  const [a, b, c] = await connected(3) as [Mesh, Mesh, Mesh]
  await a.directory.provide('vm/0123')
  await until('it is found', async () => (await b.directory.find('vm/0123', 1))[0] === a.transport.self)
  await until('it is found', async () => (await c.directory.find('vm/0123', 5))[0] === a.transport.self)
  await b.directory.provide('vm/0123')
  await until('both are found', async () => (await c.directory.find('vm/0123', 5)).length === 2)
  expect(new Set(await c.directory.find('vm/0123', 5))).toEqual(new Set([a.transport.self, b.transport.self]))
  expect(await c.directory.find('vm/0123', 1)).toHaveLength(1)
  expect(new Set(await a.directory.find('vm/0123', 5))).toEqual(new Set([a.transport.self, b.transport.self]))
  expect(await c.directory.find('vm/none', 5)).toEqual([])
})

test('a plant that joins later finds what was provided before', async () => {
  const [a, b] = await connected(2) as [Mesh, Mesh]
  await a.directory.provide('vm/early')
  const late = await meshNode({ bootstrap: b.addresses() })
  await until('it has joined', () => late.directory.tableSize > 0)
  await until('it is found', async () => (await late.directory.find('vm/early', 1))[0] === a.transport.self)
})

test('a plant that provides alone is done at once, and the first neighbour is told', async () => {
  const alone = await meshNode()
  const startMs = performance.now()
  await alone.directory.provide('vm/alone')
  expect(performance.now() - startMs).toBeLessThan(1_000)
  await until('it is found', async () => (await alone.directory.find('vm/alone', 1))[0] === alone.transport.self)
  const first = await meshNode({ bootstrap: alone.addresses() })
  const second = await meshNode({ bootstrap: first.addresses() })
  await until('the first neighbour knows', async () => (await first.directory.find('vm/alone', 1)).includes(alone.transport.self))
  await alone.stop()
  // The provider is gone: that others still know of it shows that they were told.
  await until('it is found without the provider', async () => (await second.directory.find('vm/alone', 1)).includes(alone.transport.self))
})

test('a provide just after joining waits for the routing table, so that others find it', async () => {
  const first = await meshNode()
  const joining = await meshNode({ bootstrap: first.addresses() })
  await until('it has a neighbour', () => joining.transport.connected().length > 0)
  await joining.directory.provide('vm/soon')
  await until('it is found', async () => (await first.directory.find('vm/soon', 1))[0] === joining.transport.self)
})

test('a key that is withdrawn is not found at its holder, and is not provided again', async () => {
  const [a, b] = await connected(2, { reprovideMs: 300 }) as [Mesh, Mesh]
  await a.directory.provide('vm/gone')
  await until('it is found', async () => (await b.directory.find('vm/gone', 1))[0] === a.transport.self)
  a.directory.withdraw('vm/gone')
  await until('it is forgotten', async () => (await b.directory.find('vm/gone', 1)).length === 0)
  expect(await a.directory.find('vm/gone', 1)).toEqual([])
})

test('held keys are provided again, so that they outlive the validity of a record', async () => {
  const [a, b] = await connected(2, { reprovideMs: 300 }) as [Mesh, Mesh]
  await a.directory.provide('vm/kept')
  const startMs = performance.now()
  await until('several validities have passed', () => performance.now() - startMs > 2_000)
  await until('it is found', async () => (await b.directory.find('vm/kept', 1))[0] === a.transport.self)
})

test('a find ends with its signal', async () => {
  const [a] = await connected(2) as [Mesh, Mesh]
  const controller = new AbortController()
  controller.abort(new Error('enough'))
  await expect(a.directory.find('vm/x', 1, controller.signal)).rejects.toThrow('enough')
})

test('a record is kept by others, checked by the rules of its name space, and the best of several wins', async () => {
  const rules = {
    validate (key: string, value: Uint8Array): void { if (value[0] !== key.length) throw new PlantError('MESSAGE_INVALID', { key }) },
    select (_key: string, values: Uint8Array[]): number { return values.reduce((best, value, i) => (value[1] ?? 0) > (values[best]?.[1] ?? 0) ? i : best, 0) }
  }
  const [a, b, c] = await connected(3, { records: { rec: rules } }) as [Mesh, Mesh, Mesh]
  await a.directory.put('rec/k', Uint8Array.of(5, 1))
  expect(await b.directory.get('rec/k')).toEqual(Uint8Array.of(5, 1))
  await b.directory.put('rec/k', Uint8Array.of(5, 2))
  expect(await c.directory.get('rec/k')).toEqual(Uint8Array.of(5, 2))
  expect(await c.directory.get('rec/none')).toBeUndefined()
  await a.directory.put('rec/bad', Uint8Array.of(0)).catch(() => {})
  expect(await b.directory.get('rec/bad')).toBeUndefined()
  await expect(a.directory.put('rec/k', new Uint8Array(20_000))).rejects.toMatchObject({ code: 'LIMIT' })
  await expect(a.directory.provide('k'.repeat(300))).rejects.toMatchObject({ code: 'LIMIT' })
})

test('the store drops its oldest entries when it is full, never its own peer\'s', () => {
  const store = new BoundedDatastore('me', 3)
  store.put(new Key('/peers/me'), new Uint8Array(1))
  for (let i = 0; i < 10; i++) store.put(new Key(`/dht/${i}`), new Uint8Array(1))
  expect(store.size).toBe(3)
  expect(store.has(new Key('/peers/me'))).toBe(true)
  expect([0, 6, 7, 8, 9].map((i) => store.has(new Key(`/dht/${i}`)))).toEqual([false, false, true, true, true])
  store.delete(new Key('/dht/9'))
  expect(store.size).toBe(2)
  expect(() => store.put(new Key('/dht/big'), new Uint8Array(100_000))).toThrow('bound')
})
