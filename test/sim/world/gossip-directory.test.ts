import { expect, test } from 'vitest'
import type { PeerId } from '../../../protocols/kit/index.ts'
import { BareNet } from './support.ts'

const names = Array.from({ length: 12 }, (_, at) => `p${at}`)

async function mesh (rules = {}): Promise<BareNet> {
  const net = new BareNet()
  for (const name of names) {
    const process = net.join(name, name === 'p0' ? [] : ['p0'], rules)
    await process.pubsub.subscribe('news', () => 'accept')
  }
  await net.pass(10_000)
  return net
}

test('plants find the neighbours they want, and gossip reaches every one once', async () => {
  const net = await mesh()
  for (const name of names) expect(net.network.process(name as PeerId)?.transport.connected().length).toBeGreaterThanOrEqual(8)
  await net.settle(net.network.process('p5' as PeerId)!.pubsub.publish('news', Uint8Array.of(42)))
  await net.pass(2_000)
  expect(net.taken.sort()).toEqual(names.filter((name) => name !== 'p5').map((name) => `${name} 42`).sort())
})

test('gossip that is not accepted goes no further', async () => {
  const net = new BareNet()
  // In a line: a to b to c.
  net.join('c')
  net.join('b', ['c'])
  const refusing = net.network.process('b' as PeerId)
  await refusing?.pubsub.subscribe('news', () => 'reject')
  await net.network.process('c' as PeerId)?.pubsub.subscribe('news', () => 'accept')
  net.cut(['a'], ['c'])
  const a = net.join('a', ['b'])
  await net.pass(1_000)
  await net.settle(a.pubsub.publish('news', Uint8Array.of(1)))
  await net.pass(5_000)
  expect(net.taken).toEqual(['b 1'])
})

test('the directory tells who provides a key, over a cut of some, until it is withdrawn or its keepers forget', async () => {
  const net = await mesh()
  const [one, two] = [net.network.process('p1' as PeerId)!, net.network.process('p2' as PeerId)!]
  await net.settle(one.directory.provide('vm/1'))
  expect(await net.settle(two.directory.find('vm/1', 4))).toEqual(['p1'])
  expect(await net.settle(two.directory.find('vm/2', 4))).toEqual([])
  const heal = net.cut(['p2'], ['p3', 'p4', 'p5'])
  const fromMs = net.timeline.nowMs
  expect(await net.settle(two.directory.find('vm/1', 4))).toEqual(['p1'])
  expect(net.timeline.nowMs - fromMs).toBeLessThanOrEqual(5_000)
  heal()
  one.directory.withdraw('vm/1')
  expect(await net.settle(one.directory.find('vm/1', 4))).toEqual([])
  await net.pass(16 * 60_000)
  expect(await net.settle(two.directory.find('vm/1', 4))).toEqual([])
})

test('the directory keeps values that belong to their keys, and gives the best', async () => {
  const rules = { n: { validate: (key: string, value: Uint8Array) => { if (value[0] !== Number(key.slice(2))) throw new Error('not of this key') }, select: (_key: string, values: Uint8Array[]) => values.reduce((best, value, at) => (value[1] ?? 0) > (values[best]?.[1] ?? 0) ? at : best, 0) } }
  const net = await mesh(rules)
  const [one, two] = [net.network.process('p1' as PeerId)!, net.network.process('p2' as PeerId)!]
  await net.settle(one.directory.put('n/7', Uint8Array.of(7, 1)))
  await net.settle(one.directory.put('n/7', Uint8Array.of(7, 3)))
  await net.settle(one.directory.put('n/7', Uint8Array.of(7, 2)))
  await net.settle(one.directory.put('n/8', Uint8Array.of(7, 2)))
  expect(await net.settle(two.directory.get('n/7'))).toEqual(Uint8Array.of(7, 3))
  expect(await net.settle(two.directory.get('n/8'))).toBeUndefined()
})
