import { beforeEach, describe, expect, test } from 'vitest'
import { NodeCrypto } from '../../../node/drivers/node-crypto.ts'
import { REFRESH_MS } from '../../../protocols/claim/index.ts'
import type { NetworkId, Station } from '../../../protocols/tunnel/types.ts'
import { DEFAULT_SUBNET, addressing, contains } from '../../../protocols/tunnel/address/index.ts'
import { ipv4Number } from '../../../protocols/tunnel/ethernet.ts'
import { fakeLog } from '../../support/fake-log.ts'
import { FakeRandom } from '../../support/fake-random.ts'
import { AddressMesh, lab, macOf, vm, wanted } from './plants.ts'

const ids = ['p1', 'p2', 'p3', 'p4']
const other = 'cd'.repeat(16) as NetworkId
const never = new AbortController().signal
let mesh: AddressMesh

beforeEach(async () => {
  mesh = new AddressMesh(3)
  await mesh.begin(ids)
})
const made = async (id: string, n: number, address?: string, networkId = lab): Promise<Station> => mesh.clock.settle(mesh.make(id, n, address, networkId))
const cut = (...sides: string[][]): void => { mesh.sides = new Map(sides.flatMap((side, n) => side.map((id) => [id, n]))) }
const heal = (): void => { mesh.sides = new Map() }

describe('a dynamic address', () => {
  test('is in the network\'s subnet, with how it was given', async () => {
    const station = await made('p1', 1)
    const ip = ipv4Number(station.addresses[0] ?? '') ?? 0
    expect([contains(DEFAULT_SUBNET, ip), station.addresses.length, station.name, station.given]).toEqual([true, 1, 'm1', { sinceMs: expect.any(Number), prefixBits: 10 }])
  })

  test('is the same for one machine wherever and however often it is made', async () => {
    const first = await made('p1', 1)
    expect(await made('p1', 1)).toEqual(first)
    mesh.collect('p1', 1)
    await mesh.clock.advance(1_000)
    expect((await made('p2', 1)).addresses).toEqual(first.addresses)
  })

  test('is one address when it is asked for twice at once', async () => {
    const signal = new AbortController().signal
    const twice = [1, 2].map(async () => mesh.at('p1').addresses.allot(lab, wanted(1), signal))
    const [a, b] = await mesh.clock.settle(Promise.all(twice))
    expect(a).toEqual(b)
  })

  test('is another for each card of a machine, and none of them is the other card\'s', async () => {
    const first = await made('p1', 1)
    const card = { vmId: vm(1), mac: macOf(99), name: 'm1' }
    const second = await mesh.clock.settle(mesh.at('p1').addresses.allot(lab, card, never))
    expect([second.mac, second.addresses[0] === first.addresses[0]]).toEqual([macOf(99), false])
    await expect(mesh.clock.settle(mesh.at('p1').addresses.allot(lab, { ...card, mac: macOf(98), address: first.addresses[0] ?? '' }, never))).rejects.toMatchObject({ code: 'ADDRESS_TAKEN', details: { vmId: vm(1) } })
    mesh.at('p1').addresses.release(lab, second)
    await mesh.clock.advance(1_000)
    expect(await made('p1', 1)).toEqual(first)
    expect((await made('p2', 5, second.addresses[0])).addresses).toEqual(second.addresses)
  })

  test('may be the same in two networks: they never meet', async () => {
    expect((await made('p1', 1, '10.200.0.1')).addresses).toEqual((await made('p2', 2, '10.200.0.1', other)).addresses)
  })
})

describe('a static address', () => {
  test('is had as ordered, in the network\'s subnet or its own', async () => {
    expect(await made('p1', 1, '10.200.1.2')).toMatchObject({ addresses: ['10.200.1.2'], given: { prefixBits: 10 } })
    expect(await made('p1', 2, '192.168.7.10/24')).toMatchObject({ addresses: ['192.168.7.10'], given: { prefixBits: 24 } })
    expect(await made('p1', 3, '10.200.1.3/10')).toMatchObject({ addresses: ['10.200.1.3'], given: { prefixBits: 10 } })
  })

  test('that is taken is told with the machine that has it, also before any tunnel is there', async () => {
    await made('p1', 1, '10.200.1.2')
    await expect(made('p2', 2, '10.200.1.2')).rejects.toMatchObject({ code: 'ADDRESS_TAKEN', details: { address: '10.200.1.2', plant: 'p1', vmId: vm(1), name: 'm1' } })
    await expect(made('p1', 3, '10.200.1.2/24')).rejects.toMatchObject({ code: 'ADDRESS_TAKEN', details: { vmId: vm(1) } })
    // Without stations to look at, as when the tunnels are not up yet.
    const { claims } = mesh.at('p3')
    const alone = addressing()({ self: mesh.at('p3').id, crypto: new NodeCrypto(), clock: mesh.clock, log: fakeLog(), claims, stations: () => [] })
    await expect(mesh.clock.settle(alone.allot(lab, wanted(4, '10.200.1.2'), never))).rejects.toMatchObject({ code: 'ADDRESS_TAKEN', details: { plant: 'p1', vmId: vm(1) } })
    mesh.collect('p1', 1)
    await mesh.clock.advance(1_000)
    expect((await made('p2', 2, '10.200.1.2')).addresses).toEqual(['10.200.1.2'])
  })

  test('goes to one of two that ask at the same moment', async () => {
    for (let n = 0; n < 10; n++) {
      const asked = await mesh.clock.settle(Promise.allSettled(ids.map(async (id, i) => mesh.make(id, 100 + 10 * n + i, `10.201.0.${n + 1}`))))
      expect(asked.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
      for (const one of asked) if (one.status === 'rejected') expect(one.reason).toMatchObject({ code: 'ADDRESS_TAKEN' })
    }
  })

  test('that nobody can have is refused as an order\'s fault', async () => {
    for (const address of ['10.1.2.3', '192.168.7.10', '10.192.0.1', '10.192.0.1/24', '10.192.0.0', '10.255.255.255', '192.168.7.255/24', '192.168.7.0/24', '127.0.0.1/8', '224.0.0.5/24', '0.0.0.1/8', '192.168.7.1/32', '10.0.0.1/7', 'fe80::1', 'fe80::1/64', '10.200.1', '10.200.01.2', '10.200.1.2/', '10.200.1.2/10/1', '']) {
      await expect(made('p1', 1, address)).rejects.toMatchObject({ code: 'ORDER_INVALID', details: { problems: [{ path: 'network.address', found: address }] } })
    }
  })
})

describe('an address', () => {
  test('stays its machine\'s when its plant is killed and starts again, and while it is down', async () => {
    await made('p1', 1, '10.200.1.2')
    mesh.kill('p1')
    await expect(made('p2', 2, '10.200.1.2')).rejects.toMatchObject({ code: 'ADDRESS_TAKEN' })
    await mesh.start('p1', ids)
    await mesh.clock.advance(REFRESH_MS)
    await expect(made('p3', 3, '10.200.1.2')).rejects.toMatchObject({ code: 'ADDRESS_TAKEN', details: { vmId: vm(1) } })
    expect(mesh.at('p1').lost).toEqual([])
  })

  test('goes with its machine to another plant, in whichever order the two are told', async () => {
    for (const [n, keepFirst] of [[1, true], [2, false]] as const) {
      const station = await made('p1', n, `10.200.1.${n}`)
      const move = [(): void => { mesh.at('p2').records.set(vm(n), { networkId: lab, station }); mesh.at('p2').addresses.keep(lab, station) }, (): void => { mesh.collect('p1', n) }]
      if (!keepFirst) move.reverse()
      move[0]?.()
      await mesh.clock.advance(REFRESH_MS / 2)
      move[1]?.()
      await mesh.clock.advance(2 * REFRESH_MS)
      await expect(made('p3', 30 + n, `10.200.1.${n}`)).rejects.toMatchObject({ details: { plant: 'p2', vmId: vm(n) } })
      expect([mesh.at('p1').lost, mesh.at('p2').lost]).toEqual([[], []])
    }
  })

  test('that a plant claimed and never wrote down, as it was killed, can be had again by the same machine and then by others', async () => {
    const claimed = mesh.at('p1').addresses.allot(lab, wanted(1, '10.200.1.2'), never)
    await mesh.clock.settle(claimed)
    mesh.kill('p1')
    expect((await made('p2', 1, '10.200.1.2')).addresses).toEqual(['10.200.1.2'])
    mesh.collect('p2', 1)
    await mesh.start('p1', ids)
    await mesh.clock.advance(2 * REFRESH_MS)
    expect((await made('p3', 3, '10.200.1.2')).addresses).toEqual(['10.200.1.2'])
  })

  test('of a proxy\'s own end is held by its card', async () => {
    const station = await mesh.clock.settle(mesh.at('p1').addresses.allot(lab, { mac: macOf(9), address: '10.200.1.9' }, never))
    expect(station.vmId).toBeUndefined()
    const taken = await made('p2', 2, '10.200.1.9').catch((error: unknown) => error)
    expect(taken).toMatchObject({ code: 'ADDRESS_TAKEN', details: { plant: 'p1' } })
    mesh.at('p1').addresses.release(lab, station)
    await mesh.clock.advance(1_000)
    expect((await made('p2', 2, '10.200.1.9')).addresses).toEqual(['10.200.1.9'])
  })

  test('is not given when the asker stops, and nothing is left claimed', async () => {
    const stop = new AbortController()
    const asked = mesh.at('p1').addresses.allot(lab, wanted(1, '10.200.1.2'), stop.signal)
    stop.abort(new Error('enough'))
    await expect(mesh.clock.settle(asked)).rejects.toThrow('enough')
    await mesh.clock.advance(20_000)
    expect((await made('p2', 2, '10.200.1.2')).addresses).toEqual(['10.200.1.2'])
  })
})

describe('a mesh that was cut', () => {
  test('leaves the address with the earlier machine; the later one is told and gets another', async () => {
    cut(['p1', 'p2'], ['p3', 'p4'])
    await made('p4', 2, '10.200.1.2')
    await mesh.clock.advance(5_000)
    const later = await made('p1', 1, '10.200.1.2')
    expect(later.addresses).toEqual(['10.200.1.2'])
    heal()
    await mesh.clock.advance(4 * REFRESH_MS)
    expect(mesh.at('p4').lost).toEqual([])
    expect(mesh.at('p1').lost).toEqual([{ networkId: lab, station: later, address: '10.200.1.2', plant: 'p4', vmId: vm(2) }])
    const [again] = [...mesh.at('p1').records.values()]
    expect(again?.station.vmId).toBe(vm(1))
    expect(again?.station.addresses).not.toEqual(['10.200.1.2'])
    await expect(made('p2', 5, again?.station.addresses[0])).rejects.toMatchObject({ code: 'ADDRESS_TAKEN', details: { vmId: vm(1) } })
  })

  test('has two of one address come together on one plant: the earlier keeps it, whichever was there', async () => {
    for (const [n, stays] of [[1, 'p1'], [2, 'p4']] as const) {
      cut(['p1', 'p2'], ['p3', 'p4'])
      const earlier = await made('p1', 10 * n, `10.200.2.${n}`)
      await mesh.clock.advance(5_000)
      const later = await made('p4', 10 * n + 1, `10.200.2.${n}`)
      heal()
      const [from, machine] = stays === 'p1' ? ['p4', 10 * n + 1] as const : ['p1', 10 * n] as const
      mesh.at(stays).records.set(vm(machine), { networkId: lab, station: stays === 'p1' ? later : earlier })
      mesh.at(stays).addresses.keep(lab, stays === 'p1' ? later : earlier)
      mesh.collect(from, machine)
      await mesh.clock.advance(4 * REFRESH_MS)
      expect(mesh.at(stays).lost.map(({ station, plant, vmId }) => [station, plant, vmId])).toEqual([[later, stays, vm(10 * n)]])
      expect(mesh.given().filter((address) => address === `10.200.2.${n}`)).toHaveLength(1)
      await expect(made('p2', 50, `10.200.2.${n}`)).rejects.toMatchObject({ code: 'ADDRESS_TAKEN', details: { vmId: vm(10 * n) } })
    }
  })

  test('takes no address from anyone for a rival that is no member of the network', async () => {
    cut(['p1', 'p2'], ['p3', 'p4'])
    // It knows the network's id and claims first, but has shown nobody that it may be there.
    await mesh.clock.settle(mesh.at('p3').addresses.allot(lab, wanted(66, '10.200.1.2'), never))
    await mesh.clock.advance(5_000)
    await made('p1', 1, '10.200.1.2')
    heal()
    await mesh.clock.advance(4 * REFRESH_MS)
    expect(mesh.at('p1').lost).toEqual([])
    expect(mesh.given()).toEqual(['10.200.1.2'])
  })

  test('never has an address twice once it is whole, whatever happened meanwhile', async () => {
    let lost = 0
    for (let seed = 1; seed <= 20; seed++) lost += await churn(seed)
    expect(lost).toBeGreaterThan(0) // Else the cuts have put nothing to the test.
  }, 120_000)
})

/** Machines come, go and move, plants are killed, the mesh is cut and mended; a few addresses are wanted by many. How many were lost to an earlier machine. */
async function churn (seed: number): Promise<number> {
  const random = new FakeRandom(seed)
  const { clock } = mesh = new AddressMesh(seed)
  const plants = ['a', 'b', 'c', 'd', 'e']
  await mesh.begin(plants)
  const pick = (): string => plants[random.int(plants.length)] ?? ''
  let machines = 0
  for (let step = 0; step < 60; step++) {
    const [id, to] = [pick(), pick()]
    const chance = random.int(20)
    if (chance < 9 && !mesh.at(id).life.dead) {
      const address = random.int(8) > 0 ? `10.200.0.${1 + random.int(6)}` : undefined
      await clock.settle(mesh.make(id, ++machines, address).catch((error: unknown) => { expect(error).toMatchObject({ code: 'ADDRESS_TAKEN' }) }))
    } else if (chance < 12) collectOne(id, random)
    else if (chance < 14 && mesh.reaches(id, to)) moveOne(id, to, random)
    else if (chance < 16) mesh.sides = new Map(plants.map((one) => [one, random.int(2)]))
    else if (chance < 17) mesh.sides = new Map()
    else if (mesh.at(id).life.dead) await mesh.start(id, plants)
    else if (plants.filter((one) => mesh.at(one).life.dead).length === 0) mesh.kill(id)
    await clock.advance(random.int(3_000))
  }
  mesh.sides = new Map()
  for (const id of plants) if (mesh.at(id).life.dead) await mesh.start(id, plants)
  await clock.advance(6 * REFRESH_MS)
  const given = mesh.given()
  expect({ seed, twice: given.filter((address, i) => given.indexOf(address) !== i) }).toEqual({ seed, twice: [] })
  return plants.reduce((sum, id) => sum + mesh.at(id).lost.length, 0)
}

function collectOne (id: string, random: FakeRandom): void {
  const plant = mesh.at(id)
  const of = [...plant.records.keys()]
  const vmId = of[random.int(Math.max(1, of.length))]
  if (!plant.life.dead && vmId !== undefined) mesh.collect(id, Number.parseInt(vmId, 16))
}

function moveOne (from: string, to: string, random: FakeRandom): void {
  const plant = mesh.at(from)
  const [vmId, kept] = [...plant.records][random.int(Math.max(1, plant.records.size))] ?? []
  if (from === to || plant.life.dead || vmId === undefined || kept === undefined) return
  mesh.at(to).records.set(vmId, kept)
  mesh.at(to).addresses.keep(kept.networkId, kept.station)
  mesh.collect(from, Number.parseInt(vmId, 16))
}
