import { expect, test } from 'vitest'
import type { PlantError } from '../../protocols/kit/index.ts'
import { checkOrder, isOutputName, Outputs, type Problem } from '../../protocols/order/index.ts'

const action = (id: string, after: string[] = [], more: object = {}): object => ({ id, after, script: 'x', ...more })
const order = (actions: unknown[], more: object = {}): object => ({ apiVersion: 'plantmesh/v1', kind: 'Machine', software: { os: 'tiny', actions }, ...more })

function problemsOf (value: unknown): Problem[] {
  try {
    checkOrder(value)
  } catch (error) {
    expect((error as PlantError).code).toBe('ORDER_INVALID')
    return (error as PlantError).details['problems'] as Problem[]
  }
  return []
}

const told = (value: unknown): string[] => problemsOf(value).map((problem) => `${problem.path}: ${problem.message}`)

test('every problem of an order is told at once', () => {
  expect(told({
    kind: 'Machine',
    hardwear: {},
    hardware: { cpus: 0, memoryMiB: '256', diskMiB: 1e12 },
    software: { actions: [action('a', ['c']), { id: 'a', run: 'host', script: 'x' }, action('b', ['bb', 'b']), { id: 'd', timeoutMs: 1.5 }] },
    requirements: '(',
    rank: 1
  })).toEqual([
    'apiVersion: is missing',
    'hardware.cpus: is too small',
    'hardware.memoryMiB: is of the wrong type',
    'hardware.diskMiB: is too large',
    'software.os: is missing',
    'software.actions[3].timeoutMs: is of the wrong type',
    'rank: must be text: put it in quotes',
    'hardwear: unknown field; did you mean hardware?',
    'software.actions[1].id: the id is there twice',
    'software.actions[1].script: a host action names a built-in of the plant and never brings its own',
    'software.actions[1].use: a host action needs use',
    'software.actions[3].script: a guest action needs a script',
    'software.actions[0].after[0]: no action of this graph has this id',
    'software.actions[2].after[0]: no action of this graph has this id',
    'software.actions[2].after: the actions wait for each other: "b" -> "b"',
    expect.stringMatching(/^requirements: does not parse as a ClassAd expression/)
  ])
})

test('a cycle is named in the order in which its actions wait', () => {
  expect(told(order([action('a', ['c']), action('b', ['a']), action('c', ['b']), action('d', ['c'])]))).toEqual([
    'software.actions[1].after: the actions wait for each other: "b" -> "c" -> "a" -> "b"'
  ])
})

test('two knots are both told', () => {
  expect(told(order([action('a', ['b']), action('b', ['a']), action('c', ['d']), action('d', ['c'])]))).toHaveLength(2)
})

test('error sub-graphs are checked the same way, and only so deep', () => {
  const sub = (actions: unknown[]): object => ({ onError: { actions } })
  expect(told(order([action('a', [], sub([action('x', ['y']), action('y', ['x'], { scrip: '' })])), action('b', ['a'], sub([action('x', ['a'])]))]))).toEqual([
    'software.actions[0].onError.actions[1].scrip: unknown field; did you mean script?',
    expect.stringMatching(/^software.actions\[0\].onError.actions\[\d\].after: the actions wait for each other/),
    'software.actions[1].onError.actions[0].after[0]: no action of this graph has this id'
  ])
  const nest = (depth: number): object => action('a', [], depth === 0 ? {} : sub([nest(depth - 1)]))
  expect(told(order([nest(4)]))).toEqual([])
  expect(told(order([nest(5)]))).toEqual([expect.stringMatching(/nested too deeply/)])
})

test('sizes beyond any host are refused and the bound is named', () => {
  expect(problemsOf(order([], { hardware: { cpus: 5000 } }))).toEqual([{ path: 'hardware.cpus', found: 'number 5000', allowed: 'at most 1024', message: 'is too large' }])
  expect(problemsOf(order([], { hardware: { memoryMiB: 1e9, diskMiB: -1 } }))).toHaveLength(2)
  expect(told(order(Array.from({ length: 501 }, (_, index) => action(`a${index}`))))).toContainEqual(expect.stringMatching(/too large|too many/))
  expect(told(order([action('a', [], { timeoutMs: 1e10 })]))).toEqual(['software.actions[0].timeoutMs: is too large'])
})

test('names that are not names are refused where they stand', () => {
  expect(told(order([action('a', [], { parameters: { '1A': 'x', PLANT_OUTPUT: 'x' }, files: { 'etc/x': '', '/a/../b': '', '/ok': '' } })], { metadata: { name: '-x', labels: { '': 'x' } } })).map((line) => line.split(':')[0]?.replace('software.actions[0].', ''))).toEqual([
    'metadata.name', 'metadata.labels[""]', 'parameters["1A"]', 'files["etc/x"]', 'files["/a/../b"]', 'parameters.PLANT_OUTPUT'
  ])
})

test('values that are no data, or reach for the prototype, are refused', () => {
  expect(told(JSON.parse('{"apiVersion":"plantmesh/v1","kind":"Machine","software":{"os":"tiny"},"metadata":{"labels":{"__proto__":"x"}}}'))).toEqual(['metadata.labels.__proto__: the name is not allowed'])
  expect(({} as Record<string, unknown>)['x']).toBeUndefined()
  expect(told(order([action('a', [], { script: 'a\0b' })]))).toEqual(['software.actions[0].script: holds a NUL character'])
  expect(told(order([action('a', [], { script: '\ud800' })]))).toEqual(['software.actions[0].script: is not Unicode text'])
  for (const value of [undefined, null, 1, 'x', [], new Date(), () => 1, 1n, Number.NaN]) expect(problemsOf(value).length).toBeGreaterThan(0)
})

test('addresses and proxies are checked', () => {
  const network = (more: object): object => order([], { network: { name: 'lan', ...more } })
  for (const good of ['10.0.0.1', '10.0.0.1/24', 'fd00::1', 'fd00::1/64']) expect(told(network({ address: good }))).toEqual([])
  for (const bad of ['10.0.0', '10.0.0.256', '10.0.0.1/33', 'fd00::1/129', 'x', '::1::']) expect(told(network({ address: bad }))).toEqual(['network.address: is not allowed'])
  expect(told(network({ proxy: '/ip4/192.0.2.1/tcp/4001' }))).toEqual([])
  for (const bad of ['http://x', '/ip4/x', '/nope/1']) expect(told(network({ proxy: bad }))).toEqual(['network.proxy: is not allowed'])
})

test('a thousand problems are listed up to the bound and the rest counted', () => {
  const fields = Object.fromEntries(Array.from({ length: 1000 }, (_, index) => [`field${index}`, 1]))
  expect(() => checkOrder({ ...order([]), ...fields })).toThrow(expect.objectContaining({ details: { problems: expect.objectContaining({ length: 100 }), more: 900 } }))
})

test('outputs cannot take the place of what the plant says', () => {
  const outputs = new Outputs()
  outputs.add({ Uid: '1000', vmid: 'x', Owner: 'x', 'a b': 'x', Long: 'x'.repeat(5000), Half: '\ud800' })
  expect(outputs.kept).toEqual({ Uid: '1000' })
  expect(outputs.dropped).toMatchObject({ count: 5, some: [expect.stringMatching(/^vmid: .*plant's/), expect.stringMatching(/^Owner: /), expect.stringMatching(/^a b: /), 'Long: 5000 characters; at most 4096', 'Half: not Unicode'] })
  expect(isOutputName('true')).toBe(false)
})

test('several networks are each named once, beside no other field for them, and at most eight', () => {
  const on = (...networks: unknown[]): object => order([], { networks })
  expect(told(on({ name: 'east', router: true }, { name: 'west', address: '10.1.0.7/24', routes: [{ to: '10.2.0.0/16', via: '10.1.0.1' }] }))).toEqual([])
  expect(told(order([], { network: { name: 'east' }, networks: [{ name: 'west' }] }))).toEqual(['networks: network is there too: list every network here'])
  expect(told(on())).toEqual(['networks: is too small'])
  expect(told(on({ name: 'east' }, { name: 'west' }, { name: 'east' }))).toEqual(['networks[2].name: the network is there twice'])
  expect(told(on(...Array.from({ length: 9 }, (_, index) => ({ name: `n${index}` }))))).toEqual(['networks: is too large'])
  expect(told(on({ name: 'east', routr: true }, { name: 'west', router: 'yes' }))).toEqual(['networks[0].routr: unknown field; did you mean router?', 'networks[1].router: is of the wrong type'])
  expect(told(order([], { networks: { name: 'east' } }))).toEqual(['networks: is of the wrong type'])
})

test('routes are IPv4, bounded, and nothing for a network whose addresses others give', () => {
  const network = (more: object): object => order([], { network: { name: 'lan', ...more } })
  const route = (to: unknown, via: unknown = '10.0.0.1'): object => network({ routes: [{ to, via }] })
  for (const good of ['10.2.0.0/16', '0.0.0.0/0', '10.0.0.7/32']) expect(told(route(good))).toEqual([])
  for (const bad of ['10.2.0.0', 'fd00::/64', '10.2.0.0/33', 7]) expect(told(route(bad))).toHaveLength(1)
  for (const bad of ['10.0.0.1/24', 'fd00::1', 'gate']) expect(told(route('10.2.0.0/16', bad))).toEqual(['network.routes[0].via: is not allowed'])
  expect(told(network({ routes: Array.from({ length: 25 }, (_, index) => ({ to: `10.${index}.0.0/16`, via: '10.0.0.1' })) }))).toEqual(['network.routes: is too large'])
  expect(told(network({ addressing: 'external', routes: [{ to: '10.2.0.0/16', via: '10.0.0.1' }] }))).toEqual(['network.routes: the client\'s own LAN gives addresses and routes'])
})

test('a way out is asked for where there is a gateway', () => {
  const network = (more: object): object => order([], { network: { name: 'lan', egress: true, ...more } })
  for (const good of [{}, { address: '10.192.7.7' }]) expect(told(network(good))).toEqual([])
  expect(told(network({ address: '192.168.7.10/24' }))).toEqual(['network.egress: there is no gateway in the subnet of this address'])
  expect(told(network({ addressing: 'external' }))).toEqual(['network.egress: the client\'s own LAN has its own way out'])
  expect(checkOrder(order([], { network: { name: 'lan', egress: false } })).network).toEqual({ name: 'lan', addressing: 'mesh' })
})

test('no router and no routes are the same order, said or not', () => {
  expect(checkOrder(order([], { networks: [{ name: 'east', router: false, routes: [] }] })).networks).toEqual([{ name: 'east', addressing: 'mesh' }])
  expect(checkOrder(order([], { network: { name: 'east', router: false } })).network).toEqual({ name: 'east', addressing: 'mesh' })
})
