import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { KeyId } from '../../protocols/kit/index.ts'
import { actionDigest, checkOrder, cycles, orderDigest, readyNodes, topologicalOrder, transitivePredecessors, vmIdOf, type Action } from '../../protocols/order/index.ts'
import { graphs, orders } from './generate.ts'

const ACTION: Action = { id: 'a', after: [], run: 'guest', script: 'echo hi', parameters: { A: '1' }, files: { '/x': 'y' }, timeoutMs: 1 }

test('the topological order holds every action once, after all that it names, whatever the order of the document', () => {
  fc.assert(fc.property(graphs(12, 3), (actions) => {
    const sorted = topologicalOrder(actions)
    expect(sorted.map((a) => a.id).sort()).toEqual(actions.map((a) => a.id).sort())
    const done = new Set<string>()
    for (const action of sorted) {
      expect(readyNodes(actions, done).map((a) => a.id)).toContain(action.id)
      done.add(action.id)
    }
    expect(readyNodes(actions, done)).toEqual([])
    expect(topologicalOrder(actions)).toEqual(sorted)
    expect(cycles(actions)).toEqual([])
  }))
})

test('among free actions the first of the document goes first', () => {
  const node = (id: string, ...after: string[]): { id: string, after: string[] } => ({ id, after })
  expect(topologicalOrder([node('d', 'a'), node('c'), node('a'), node('b')]).map((n) => n.id)).toEqual(['c', 'a', 'd', 'b'])
})

test('what comes before an action is all that its edges reach', () => {
  fc.assert(fc.property(graphs(10, 2), (actions) => {
    const before = transitivePredecessors(actions)
    const byId = new Map(actions.map((a) => [a.id, a]))
    const reach = (id: string): string[] => (byId.get(id)?.after ?? []).flatMap((other) => [other, ...reach(other)])
    for (const { id } of actions) expect([...before.get(id) ?? []].sort()).toEqual([...new Set(reach(id))].sort())
  }))
})

test('a cycle found is one: each waits for the one before it', () => {
  fc.assert(fc.property(fc.array(fc.tuple(fc.nat(9), fc.nat(9)), { maxLength: 25 }), (edges) => {
    const nodes = Array.from({ length: 10 }, (_, id) => ({ id: `n${id}`, after: edges.filter(([from]) => from === id).map(([, to]) => `n${to}`) }))
    const found = cycles(nodes)
    expect(found.length > 0).toBe(topologicalOrder(nodes).length < nodes.length)
    for (const cycle of found) for (const [index, id] of cycle.entries()) expect(nodes.find((n) => n.id === id)?.after).toContain(cycle.at(index - 1))
  }))
})

test('an action\'s digest is that of what it does, not of its name, place or patience', () => {
  expect(actionDigest(ACTION)).toBe('0a5e567a3aaad5c7806b25849ad22130b71f6fbc85cabff66e4964cca275af01')
  expect(actionDigest({ ...ACTION, id: 'b', after: ['z'], timeoutMs: 9, onError: { actions: [], then: 'fail' } } as Action)).toBe(actionDigest(ACTION))
  const others: Action[] = [
    { ...ACTION, script: 'echo ho' }, { ...ACTION, parameters: { A: '2' } }, { ...ACTION, parameters: { B: '1' } }, { ...ACTION, files: { '/x': 'z' } }, { ...ACTION, parameters: {} },
    { ...ACTION, run: 'host', use: 'attach-iso' }, { ...ACTION, run: 'host', use: 'attach-iso', with: { image: 'a' } }
  ]
  expect(new Set([ACTION, ...others].map(actionDigest)).size).toBe(others.length + 1)
  expect(actionDigest({ ...ACTION, run: 'host', use: 'x', with: {} })).toBe(actionDigest({ ...ACTION, run: 'host', use: 'x' }))
  expect(actionDigest({ ...ACTION, parameters: { A: '1', B: '2' } })).toBe(actionDigest({ ...ACTION, parameters: { B: '2', A: '1' } }))
})

test('an order\'s digest is stable and changes with its content', () => {
  const order = checkOrder({ apiVersion: 'plantmesh/v1', kind: 'Machine', software: { os: 'tiny' } })
  expect(orderDigest(order)).toBe('33918ee2d8657a1ce533353e975939bd39fc0b778fdd621a7a712e78910134ae')
  fc.assert(fc.property(orders(), orders(), (a, b) => {
    expect(orderDigest(a)).toBe(orderDigest(structuredClone(a)))
    if (JSON.stringify(a) !== JSON.stringify(b)) expect(orderDigest(a)).not.toBe(orderDigest(b))
  }), { numRuns: 50 })
})

test('a machine\'s id is 32 hex digits of all that names it', () => {
  const source = { owner: 'owner' as KeyId, domain: 'd', orderId: 'o', documentIndex: 0, copyIndex: 0 }
  expect(vmIdOf(source)).toBe('bedf785d32ae8cce56d17d318168cd0e')
  const ids = [source, { ...source, owner: 'other' as KeyId }, { ...source, domain: 'e' }, { ...source, orderId: 'p' }, { ...source, documentIndex: 1 }, { ...source, copyIndex: 1 }].map(vmIdOf)
  expect(new Set(ids).size).toBe(ids.length)
})
