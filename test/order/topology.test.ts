/** Topology documents: their forms, what is wrong with them, and the addresses and routes of the orders that they stand for. */
import fc from 'fast-check'
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import type { PlantError } from '../../protocols/kit/index.ts'
import { checkOrder, examineTopology, formatTopology, networksOf, ORDER_FORMATS, parseFile, topologyDigest, type Order, type Problem, type Topology } from '../../protocols/order/index.ts'
import { names, orders } from './generate.ts'

const SAMPLE = readFileSync(new URL('../../node/cli/sample-topology.yaml', import.meta.url), 'utf8')

const topology = (more: object): object => ({ apiVersion: 'plantmesh/v1', kind: 'Topology', metadata: { name: 't' }, ...more })
const machine = (name: string, networks: unknown[], more: object = {}): object => ({ metadata: { name }, networks, software: { os: 'tiny' }, ...more })
const lan = (name: string, third: number): object => ({ name, subnet: `10.0.${third}.0/24` })

function made (document: object): Order[] {
  const result = examineTopology(document)
  if (result.topology === undefined) throw new Error(JSON.stringify(result.problems))
  return result.orders
}

function told (document: unknown): string[] {
  const result = examineTopology(document)
  return result.topology === undefined ? result.problems.map(({ path, message }) => `${path.join('.')}: ${message}`) : []
}

describe('a topology', () => {
  test('stands for one order a machine, with addresses and the ways to what is behind routers', () => {
    const { orders: documents, topology: sample } = parseFile(SAMPLE)
    expect(sample?.metadata.name).toBe('two-lans')
    expect(documents.map(({ order }) => order.metadata)).toEqual(['gate', 'alice', 'bob'].map((name) => ({ name, labels: { topology: 'two-lans' } })))
    expect(documents.map(({ order }) => networksOf(order))).toEqual([
      [{ name: 'east', address: '192.168.1.1/24', addressing: 'mesh', router: true }, { name: 'west', address: '192.168.2.1/24', addressing: 'mesh', router: true }],
      [{ name: 'east', address: '192.168.1.10/24', addressing: 'mesh', routes: [{ to: '192.168.2.0/24', via: '192.168.1.1' }] }],
      [{ name: 'west', address: '192.168.2.10/24', addressing: 'mesh', routes: [{ to: '192.168.1.0/24', via: '192.168.2.1' }] }]
    ])
    for (const { order, documentIndex, line } of documents) {
      expect(checkOrder(order)).toEqual(order)
      expect(SAMPLE.split('\n')[(line ?? 0) - 1]).toContain(['gate', 'alice', 'bob'][documentIndex])
    }
  })

  test('is the same document in every form, and in chains of them', () => {
    fc.assert(fc.property(topologies(), fc.array(fc.constantFrom(...ORDER_FORMATS), { minLength: 1, maxLength: 4 }), (one, chain) => {
      let current = one
      for (const format of chain) current = parseFile(formatTopology(current, format)).topology as Topology
      expect(current).toEqual(one)
      expect(topologyDigest(current)).toBe(topologyDigest(one))
      expect(examineTopology(one).topology).toEqual(one)
    }), { numRuns: 60 })
  })

  test('gives each machine of a subnet an address of its own in it, those that are asked for included', () => {
    fc.assert(fc.property(topologies(), (one) => {
      for (const { name, subnet } of one.networks) {
        const given = made(one).flatMap((order) => networksOf(order).filter((network) => network.name === name).map(({ address }) => address))
        if (subnet === undefined) continue
        expect(new Set(given).size).toBe(given.length)
        for (const address of given) expect(address).toMatch(new RegExp(`^${subnet.replace(/\.0\/24$/, '').replaceAll('.', '\\.')}\\.([1-9]|[1-9]\\d|1\\d\\d|2[0-4]\\d|25[0-4])/24$`))
      }
    }), { numRuns: 60 })
  })

  test('has routes that end where they lead, over routers only, and none where nothing leads', () => {
    fc.assert(fc.property(topologies(), (one) => {
      const orders = made(one)
      const subnets = one.networks.flatMap(({ name, subnet }) => subnet === undefined ? [] : [{ name, subnet }])
      for (const [index] of orders.entries()) {
        for (const { name, subnet } of subnets) {
          const reachable = reach(orders, index).has(name)
          expect(walk(orders, index, name, subnet)).toBe(reachable)
        }
      }
    }), { numRuns: 60 })
  })

  test('takes the way over the fewest routers, and of equal ones the first', () => {
    const chain = topology({
      networks: [lan('a', 1), lan('b', 2), lan('c', 3), lan('d', 4)],
      machines: [
        machine('host', ['a']), machine('ab', ['a', 'b'], { router: true }), machine('bc', ['b', 'c'], { router: true }), machine('cd', ['c', 'd'], { router: true }),
        machine('ad', ['a', 'd'], { router: true }), machine('ad2', ['a', 'd'], { router: true })
      ],
      routes: [{ to: '0.0.0.0/0', via: 'bc' }]
    })
    const [host, , bc, , ad] = made(chain)
    expect(host?.networks?.[0]?.routes).toEqual([{ to: '10.0.2.0/24', via: '10.0.1.1' }, { to: '10.0.3.0/24', via: '10.0.1.1' }, { to: '10.0.4.0/24', via: '10.0.1.2' }, { to: '0.0.0.0/0', via: '10.0.1.1' }])
    expect(bc?.networks?.map(({ routes }) => routes)).toEqual([[{ to: '10.0.1.0/24', via: '10.0.2.1' }], [{ to: '10.0.4.0/24', via: '10.0.3.2' }]])
    expect(ad?.networks?.[1]?.routes).toEqual([{ to: '10.0.3.0/24', via: '10.0.4.1' }])
  })

  test('may have machines without a network, networks whose addresses the mesh or the client\'s LAN gives, and labels of its own', () => {
    const [alone, home] = made(topology({
      metadata: { name: 't', labels: { course: 'net' } }, networks: [{ name: 'plain' }, { name: 'home', addressing: 'external', proxy: '/ip4/192.0.2.1/tcp/4001' }],
      machines: [machine('alone', []), machine('edge', ['plain', { name: 'home' }], { metadata: { name: 'edge', labels: { topology: 'mine' } } })]
    }))
    expect(alone).not.toHaveProperty('networks')
    expect(home?.networks).toEqual([{ name: 'plain', addressing: 'mesh' }, { name: 'home', addressing: 'external', proxy: '/ip4/192.0.2.1/tcp/4001' }])
    expect(home?.metadata.labels).toEqual({ course: 'net', topology: 'mine' })
  })
})

describe('what is wrong with a topology', () => {
  test('is told all at once, where it stands', () => {
    expect(told(topology({
      network: [], networks: [{ name: 'east', subnet: '10.0.0.1/24' }, { name: 'w', subnt: '' }],
      machines: [machine('a', ['east', 7], { domain: 'x', hardware: { cpus: 0 }, sofware: {} }), { networks: [] }, 3]
    }))).toEqual([
      'networks.0.subnet: is not allowed', 'networks.1.subnt: unknown field; did you mean subnet?', 'machines.0.networks.1: is of the wrong type', 'machines.1.metadata: is missing', 'machines.2: is of the wrong type',
      'network: unknown field; did you mean networks?', 'machines.0.domain: is said for the whole topology', 'machines.0.hardware.cpus: is too small', 'machines.0.sofware: unknown field; did you mean software?', 'machines.1.software: is missing'
    ])
  })

  test('names and addresses that do not fit are named', () => {
    const networks = [lan('east', 1), lan('west', 2)]
    expect(told(topology({ networks: [lan('east', 1), lan('east', 1)], machines: [machine('a', ['east', 'east', 'eats']), machine('a', [])], routes: [{ to: '10.9.0.0/16', via: 'a' }] }))).toEqual([
      'networks.1.name: the network is there twice', 'machines.1.metadata.name: the machine is there twice',
      'machines.0.networks.2.name: no network of the topology has this name; did you mean east?', 'machines.0.networks.1.name: the network is there twice', 'routes.0.via: no router of the topology has this name', 'networks.1.subnet: overlaps the subnet of east'
    ])
    expect(told(topology({ networks, machines: [
      machine('a', [{ name: 'east', address: '10.0.2.7' }]), machine('b', [{ name: 'east', address: '10.0.1.0' }]), machine('c', [{ name: 'east', address: '10.0.1.7' }]), machine('d', [{ name: 'east', address: '10.0.1.7' }])
    ] }))).toEqual(['machines.0.networks.0.address: is not in the subnet of east', 'machines.1.networks.0.address: is the network\'s own', 'machines.3.networks.0.address: c has this address'])
    expect(told(topology({ networks: [lan('east', 1), { name: 'west' }], machines: [machine('gate', ['east', 'west'], { router: true })] }))).toEqual([
      'networks.1.subnet: is missing: the router gate joins this network to others'
    ])
    expect(told(topology({ networks: [{ name: 'home', addressing: 'external', subnet: '10.0.0.0/24' }], machines: [machine('a', [])] }))).toEqual(['networks.0.subnet: the client\'s own LAN gives addresses'])
  })

  test('more machines than addresses, and more networks than routes, are refused', () => {
    const many = (count: number): object[] => Array.from({ length: count }, (_, index) => machine(`m${index}`, ['small']))
    const small = { name: 'small', subnet: '10.0.0.0/29' }
    expect(told(topology({ networks: [small], machines: many(6) }))).toEqual([])
    expect(told(topology({ networks: [small], machines: many(7) }))).toEqual(['machines.6.networks.0.address: no address is left'])
    const star = (count: number): object => topology({
      networks: [lan('hub', 100), ...Array.from({ length: count }, (_, index) => lan(`n${index}`, index))],
      machines: [machine('host', ['hub']), ...Array.from({ length: count }, (_, index) => machine(`r${index}`, ['hub', `n${index}`], { router: true }))]
    })
    expect(told(star(24))).toEqual([])
    expect(told(star(25))).toContain('machines.0: too many networks are reached from here')
    expect(told(topology({ machines: [] }))).toEqual(['machines: is too small'])
    expect(told(topology({ machines: many(257).map((one) => ({ ...one, networks: [] })) }))).toEqual(['machines: is too large'])
  })

  test('is told with its line, and a topology among other documents is refused', () => {
    const problems = (text: string): Problem[] => {
      try {
        parseFile(text)
        return []
      } catch (error) {
        return (error as PlantError).details['problems'] as Problem[]
      }
    }
    const wrong = SAMPLE.replace('os: tiny}', 'oss: tiny}')
    const line = wrong.slice(0, wrong.indexOf('oss')).split('\n').length
    expect(problems(wrong)).toMatchObject([{ path: 'machines[1].software.os', line }, { path: 'machines[1].software.oss', line, message: 'unknown field; did you mean os?' }])
    expect(problems(`${SAMPLE}---\napiVersion: plantmesh/v1\nkind: Machine\nsoftware: {os: tiny}\n`)).toMatchObject([{ path: 'kind', document: 0, found: 'a topology among other documents' }])
    for (const rubbish of [null, 7, [], { machines: 7 }, { machines: [null, [], { networks: { a: 1 } }] }, { kind: 'Topology', machines: [{ metadata: 7, networks: [[[]]] }] }]) expect(told(rubbish).length).toBeGreaterThan(0)
  })
})

/** Topologies as they are once checked: at most six networks and machines; those without a subnet have no router. */
function topologies (): fc.Arbitrary<Topology> {
  const shape = fc.record({ networks: fc.integer({ min: 0, max: 6 }), subnets: fc.boolean(), machines: fc.array(fc.record({ order: orders(), router: fc.boolean(), cards: fc.uniqueArray(fc.nat(5), { maxLength: 4 }), fixed: fc.boolean() }), { minLength: 1, maxLength: 6 }), label: names, via: fc.nat(5), routed: fc.boolean() })
  return shape.map(({ networks, subnets, machines, label, via, routed }) => {
    const written = {
      metadata: { name: label, labels: { made: label } }, domain: label,
      networks: Array.from({ length: networks }, (_, index) => ({ name: `n${index}`, ...(subnets && { subnet: `10.7.${index}.0/24` }) })),
      machines: machines.map(({ order, router, cards, fixed }, index) => {
        const { metadata, hardware, software, requirements, rank } = order
        const on = cards.filter((card) => card < networks).map((card) => ({ name: `n${card}`, ...(fixed && subnets && { address: `10.7.${card}.${100 + index}` }) }))
        return { metadata: { ...metadata, name: `m${index}` }, hardware, software, requirements, ...(rank !== undefined && { rank }), router: router && subnets, networks: on }
      }),
      routes: routed && subnets && machines[via]?.router === true ? [{ to: '0.0.0.0/0', via: `m${via}` }] : []
    }
    const result = examineTopology(topology(written))
    if (result.topology === undefined) throw new Error(JSON.stringify(result.problems))
    return result.topology
  })
}

/** The networks that packets from a machine can get to, by its own cards and over routers. */
function reach (orders: Order[], from: number): Set<string> {
  const reached = new Set(networksOf(orders[from] as Order).map(({ name }) => name))
  for (const network of reached) {
    for (const order of orders) {
      const cards = networksOf(order)
      if (cards.some(({ name, router }) => name === network && router === true)) for (const { name } of cards) reached.add(name)
    }
  }
  return reached
}

/** Follows routes as packets do; false where one has none. Throws on a circle. */
function walk (orders: Order[], from: number, network: string, subnet: string): boolean {
  let at = from
  for (let hops = 0; hops <= orders.length; hops++) {
    const cards = networksOf(orders[at] as Order)
    if (cards.some(({ name }) => name === network)) return true
    const way = cards.flatMap(({ name, routes }) => (routes ?? []).filter(({ to }) => to === subnet).map(({ via }) => ({ name, via })))
    if (way.length === 0) return false
    expect(way).toHaveLength(1)
    at = orders.findIndex((order) => networksOf(order).some(({ name, address, router }) => name === way[0]?.name && address?.split('/')[0] === way[0]?.via && router === true))
    expect(at).toBeGreaterThanOrEqual(0)
  }
  throw new Error('packets go round in a circle')
}
