import { describe, expect, test } from 'vitest'
import { handOn } from '../../protocols/member/index.ts'
import { ALIVE_EVERY_MS, SILENT_MS, networkIdOf, type Station } from '../../protocols/tunnel/index.ts'
import { arpRequest, dhcpAck, macText, packet } from './frames.ts'
import { START_MS, credentialOf, crypto, joinOf, lanOf, machineOf, party, proofOf } from './people.ts'
import { FakeDevice, addressOf, attachAgain, broadcast, codeOf, fakeWorld, marks, namesAt, says, startMachine, startPlant, upAt, type FakeMachine } from './support.ts'

const owner = party()
describe('machines of one network', () => {
  test('reach each other on one plant and on two, by their cards', async () => {
    const world = fakeWorld()
    const [p, q] = [await startPlant(world), await startPlant(world)] as const
    const a = await startMachine(world, p, { owner, n: 1 })
    const b = await startMachine(world, p, { owner, n: 2 })
    const c = await startMachine(world, q, { owner, n: 3 })
    await world.clock.advance(3_000)
    expect(upAt(p)).toEqual([q.id])
    expect(namesAt(q)).toEqual(['m1', 'm2', 'm3'])
    says(a, b, 1)
    says(a, c, 2)
    says(c, b, 3)
    await world.clock.advance(1)
    expect([marks(a), marks(b), marks(c)]).toEqual([[], [1, 3], [2]])
  })

  test('hear a broadcast once each, on however many plants they are', async () => {
    const world = fakeWorld()
    const plants = await Promise.all(Array.from({ length: 4 }, async () => startPlant(world)))
    const machines: FakeMachine[] = []
    for (const [i, plant] of plants.entries()) for (const n of [10 + i, 20 + i]) machines.push(await startMachine(world, plant, { owner, n }))
    await world.clock.advance(5_000)
    const [first, ...others] = machines
    first?.device.says(broadcast(first, 7))
    await world.clock.advance(1)
    expect(others.map(marks)).toEqual(others.map(() => [7]))
    expect(first && marks(first)).toEqual([])
  })

  test('are answered for by their own plant when asked for by ARP, nobody else hearing of it', async () => {
    const world = fakeWorld()
    const [p, q] = [await startPlant(world), await startPlant(world)] as const
    const a = await startMachine(world, p, { owner, n: 1 })
    const b = await startMachine(world, q, { owner, n: 2 })
    await world.clock.advance(3_000)
    a.device.says(arpRequest(1, addressOf(a), addressOf(b)))
    a.device.says(arpRequest(1, addressOf(a), '10.192.0.1'))
    await world.clock.advance(1)
    expect(a.device.got.map((frame) => [frame[21], frame.subarray(28, 32).join('.')])).toEqual([[2, addressOf(b)], [2, '10.192.0.1']])
    expect(b.device.got).toEqual([])
  })

  test('never hear anything of another domain\'s network of the same name, on the same plants', async () => {
    const world = fakeWorld()
    const [p, q] = [await startPlant(world), await startPlant(world)] as const
    const stranger = party()
    const ours = [await startMachine(world, p, { owner, n: 1 }), await startMachine(world, q, { owner, n: 2 })] as const
    const theirs = [await startMachine(world, p, { owner: stranger, n: 3 }), await startMachine(world, q, { owner: stranger, n: 4 })] as const
    await world.clock.advance(3_000)
    const heard: number[] = []
    p.networks.capture(networkIdOf(crypto, lanOf(stranger)), (_, frame) => { heard.push(frame[42] ?? -1) })
    for (const one of ours) one.device.says(broadcast(one, 9))
    says(ours[0], theirs[1], 8)
    await world.clock.advance(1)
    expect(marks(ours[1])).toEqual([9])
    expect(theirs.map((one) => one.device.got)).toEqual([[], []])
    expect(heard).toEqual([])
  })

  test('keep the order of a flow through a tunnel, however fast they send', async () => {
    const world = fakeWorld({ fate: () => ({ delayMs: 2 }) })
    const [p, q] = [await startPlant(world), await startPlant(world)] as const
    const a = await startMachine(world, p, { owner, n: 1 })
    const b = await startMachine(world, q, { owner, n: 2 })
    await world.clock.advance(3_000)
    for (let i = 0; i < 200; i++) says(a, b, i)
    await world.clock.advance(100)
    expect(marks(b)).toEqual(Array.from({ length: 200 }, (_, i) => i))
  })
})

describe('a plant', () => {
  test('leaves a network with its last machine, and the others forget it at once', async () => {
    const world = fakeWorld()
    const [p, q] = [await startPlant(world), await startPlant(world)] as const
    await startMachine(world, p, { owner, n: 1 })
    const b = await startMachine(world, q, { owner, n: 2 })
    await world.clock.advance(3_000)
    b.attachment.detach(true)
    await world.clock.advance(10)
    expect(q.networks.list()).toEqual([])
    expect(namesAt(p)).toEqual(['m1'])
    expect(upAt(p)).toEqual([])
    expect(world.addressing.taken.size).toBe(1)
    await world.clock.advance(60_000)
    expect(p.networks.list()[0]?.members).toEqual([])
    expect(p.transport.streams + q.transport.streams).toBe(0)
  })

  test('takes a machine off when its device closes, and keeps its address for it until it is said to be gone for good', async () => {
    const world = fakeWorld()
    const p = await startPlant(world)
    const a = await startMachine(world, p, { owner, n: 1 })
    a.device.close()
    await world.clock.advance(1)
    expect(p.networks.list()).toEqual([])
    a.attachment.detach()
    expect(world.addressing.taken.size).toBe(1)
    a.attachment.detach(true)
    expect(world.addressing.taken.size).toBe(0)
  })

  test('that was killed comes back by its records, with its addresses, and others find it without being told', async () => {
    const world = fakeWorld()
    const [p, q] = [await startPlant(world), await startPlant(world)] as const
    const a = await startMachine(world, p, { owner, n: 1 })
    const b = await startMachine(world, q, { owner, n: 2 })
    await world.clock.advance(3_000)
    world.network.kill(q.id)
    await world.clock.advance(20_000)
    expect(namesAt(p)).toEqual(['m1'])
    const again = await startPlant(world, q.party)
    const b2 = await attachAgain(world, again, { ...b, station: b.attachment.station })
    await world.clock.advance(5_000)
    expect(addressOf(b2)).toBe(addressOf(b))
    says(a, b2, 5)
    await world.clock.advance(1)
    expect(marks(b2)).toEqual([5])
  })

  test('that comes back before the others have noticed takes the place of its dead tunnel', async () => {
    const cut = { to: '' as string }
    const world = fakeWorld({ fate: (from, to) => from === cut.to || to === cut.to ? 'lost' : { delayMs: 0 } })
    const [p, q] = [await startPlant(world), await startPlant(world)] as const
    const a = await startMachine(world, p, { owner, n: 1 })
    const b = await startMachine(world, q, { owner, n: 2 })
    await world.clock.advance(3_000)
    // The far end of the stream never hears that the process is gone.
    cut.to = q.id
    says(b, a, 1)
    says(a, b, 1)
    await world.clock.advance(1)
    cut.to = ''
    const again = await startPlant(world, q.party)
    const b2 = await attachAgain(world, again, { ...b, station: b.attachment.station })
    await world.clock.advance(3_000)
    says(a, b2, 6)
    await world.clock.advance(1)
    expect(marks(b2)).toEqual([6])
    expect(upAt(p)).toEqual([q.id])
  })

  test('finds the other members by one of them when the directory does not answer', async () => {
    const world = fakeWorld()
    const plants = await Promise.all(Array.from({ length: 3 }, async () => startPlant(world)))
    const [p, q, r] = plants
    if (p === undefined || q === undefined || r === undefined) throw new Error('three')
    await startMachine(world, p, { owner, n: 1 })
    await startMachine(world, q, { owner, n: 2 })
    await world.clock.advance(3_000)
    world.rendezvous.down = true
    await startMachine(world, r, { owner, n: 3, via: `/ip4/192.0.2.1/tcp/4001/p2p/${p.id}` })
    await world.clock.advance(3_000)
    expect(upAt(r)).toEqual([p.id, q.id].sort())
  })

  test('has one tunnel with each other when all dial each other at once', async () => {
    const world = fakeWorld({ fate: () => ({ delayMs: 30 }) })
    const plants = await Promise.all(Array.from({ length: 6 }, async () => startPlant(world)))
    await Promise.all(plants.map(async (plant, i) => {
      const machine = machineOf({ owner, shop: party(), orderId: `o-${i}` })
      await plant.networks.attach({ network: lanOf(owner), addressing: 'mesh', proof: proofOf(machine, plant.id) }, { mac: macText(i), vmId: machine.vmId }, new FakeDevice(), new AbortController().signal)
    }))
    await world.clock.advance(30_000)
    for (const plant of plants) {
      expect(upAt(plant)).toEqual(plants.map(({ id }) => id).filter((id) => id !== plant.id).sort())
      expect(plant.transport.streams).toBe(5)
    }
  })

  test('says little when nobody speaks', async () => {
    let bytes = 0
    const world = fakeWorld({ fate: (_from, _to, _protocol, message) => { bytes += message.length + 100; return { delayMs: 0 } } })
    const [p, q] = [await startPlant(world), await startPlant(world)] as const
    await startMachine(world, p, { owner, n: 1 })
    await startMachine(world, q, { owner, n: 2 })
    await world.clock.advance(30_000)
    bytes = 0
    await world.clock.advance(600_000)
    expect(bytes * 8 / 600).toBeLessThan(200)
    expect(upAt(p)).toEqual([q.id])
    expect(ALIVE_EVERY_MS * 3).toBeLessThan(SILENT_MS)
  })
})

describe('a station', () => {
  test('is put on a network with a proof of its own only', async () => {
    const world = fakeWorld()
    const p = await startPlant(world)
    const machine = machineOf({ owner, shop: party() })
    const on = (network = lanOf(owner), plant = p.id, station: Partial<Station> = {}): Promise<unknown> => p.networks.attach(
      { network, addressing: 'mesh', proof: proofOf(machine, plant) }, { mac: macText(1), vmId: machine.vmId, ...station }, new FakeDevice(), new AbortController().signal
    )
    expect(await codeOf(on(lanOf(owner, 'other')))).toBe('NOT_AUTHORISED')
    expect(await codeOf(on(lanOf(party())))).toBe('NOT_AUTHORISED')
    expect(await codeOf(on(lanOf(owner), party().id))).toBe('NOT_AUTHORISED')
    expect(await codeOf(on(lanOf(owner), p.id, { vmId: 'ab'.repeat(16) as NonNullable<Station['vmId']> }))).toBe('NOT_AUTHORISED')
    expect(p.networks.list()).toEqual([])
    expect(world.addressing.taken.size).toBe(0)
    expect(await codeOf(on())).toBe('done')
  })

  test('that moved is at its new plant from when that tells of it, though the old one has not let go', async () => {
    const world = fakeWorld()
    const plants = await Promise.all(Array.from({ length: 3 }, async () => startPlant(world)))
    const [p, q, r] = plants
    if (p === undefined || q === undefined || r === undefined) throw new Error('three')
    const a = await startMachine(world, p, { owner, n: 1 })
    const b = await startMachine(world, q, { owner, n: 2 })
    await world.clock.advance(3_000)
    if (b.proof.kind !== 'machine') throw new Error('a machine')
    const proof = { ...b.proof, handOvers: handOn(crypto, q.party.signer, b.proof.handOvers, r.id, world.clock.nowMs()) }
    const moved = await attachAgain(world, r, { ...b, proof, station: b.attachment.station })
    await world.clock.advance(3_000)
    says(a, b, 4)
    await world.clock.advance(1)
    expect(marks(moved)).toEqual([4])
    expect(marks(b)).toEqual([])
  })

  test('does not take over the card of another machine with a later proof', async () => {
    const world = fakeWorld()
    const [p, q, thief] = [await startPlant(world), await startPlant(world), await startPlant(world)] as const
    const a = await startMachine(world, p, { owner, n: 1 })
    const b = await startMachine(world, q, { owner, n: 2 })
    await world.clock.advance(3_000)
    const machine = machineOf({ owner, shop: party(), orderId: 'thief' })
    const stolen = await attachAgain(world, thief, { machine, proof: proofOf(machine, thief.id, START_MS + 60_000), network: lanOf(owner), mac: 2 })
    await world.clock.advance(3_000)
    says(a, b, 4)
    await world.clock.advance(1)
    expect(marks(b)).toEqual([4])
    expect(marks(stolen)).toEqual([])
  })

  test('is off the network when what lets it in has ended', async () => {
    const world = fakeWorld()
    const [p, q] = [await startPlant(world), await startPlant(world)] as const
    const a = await startMachine(world, p, { owner, n: 1 })
    const device = new FakeDevice()
    await world.clock.settle(q.networks.attach({ network: lanOf(owner), addressing: 'mesh', proof: joinOf(owner, q.id, lanOf(owner), START_MS + 60_000) }, { mac: macText(5) }, device, new AbortController().signal))
    await world.clock.advance(3_000)
    expect(namesAt(p)).toEqual([macText(5), 'm1'])
    await world.clock.advance(90_000)
    expect(namesAt(p)).toEqual(['m1'])
    expect(q.networks.list()).toEqual([])
    expect(device.closed.aborted).toBe(true)
    expect(upAt(p)).toEqual([])
    a.attachment.detach()
  })

  test('stays when its proof is renewed in time', async () => {
    const world = fakeWorld()
    const [p, q] = [await startPlant(world), await startPlant(world)] as const
    await startMachine(world, p, { owner, n: 1 })
    const attachment = await world.clock.settle(q.networks.attach({ network: lanOf(owner), addressing: 'mesh', proof: joinOf(owner, q.id, lanOf(owner), START_MS + 60_000) }, { mac: macText(5) }, new FakeDevice(), new AbortController().signal))
    await world.clock.advance(30_000)
    await attachment.renew(joinOf(owner, q.id, lanOf(owner), START_MS + 600_000, START_MS + 30_000))
    expect(await codeOf(attachment.renew(joinOf(party(), q.id, lanOf(owner))))).toBe('NOT_AUTHORISED')
    await world.clock.advance(120_000)
    expect(namesAt(p)).toEqual([macText(5), 'm1'])
  })

  test('of a key whose grant is revoked is off within a minute', async () => {
    const granted = { yes: true }
    const grants = { take () {}, holds: async () => granted.yes }
    const world = fakeWorld()
    const [p, q] = [await startPlant(world, party(), grants), await startPlant(world, party(), grants)] as const
    await startMachine(world, p, { owner, n: 1 })
    await world.clock.settle(q.networks.attach({ network: lanOf(owner), addressing: 'mesh', proof: joinOf(party(), q.id, lanOf(owner)) }, { mac: macText(5) }, new FakeDevice(), new AbortController().signal))
    await world.clock.advance(3_000)
    expect(namesAt(p)).toHaveLength(2)
    granted.yes = false
    await world.clock.advance(60_000)
    expect(namesAt(p)).toEqual(['m1'])
  })

  test('of an owner whose credential has ended is off, too', async () => {
    const world = fakeWorld()
    const p = await startPlant(world)
    const member = party()
    const machine = machineOf({ owner: member, shop: party(), network: lanOf(owner), credential: credentialOf(owner, member, 'lab', START_MS + 60_000) })
    const device = new FakeDevice()
    await world.clock.settle(p.networks.attach({ network: lanOf(owner), addressing: 'mesh', proof: proofOf(machine, p.id) }, { mac: macText(1), vmId: machine.vmId }, device, new AbortController().signal))
    await world.clock.advance(90_000)
    expect(p.networks.list()).toEqual([])
    expect(device.closed.aborted).toBe(false)
  })

  test('whose address turns out to be another\'s loses it everywhere and gets another', async () => {
    const world = fakeWorld()
    const [p, q] = [await startPlant(world), await startPlant(world)] as const
    const a = await startMachine(world, p, { owner, n: 1 })
    await startMachine(world, q, { owner, n: 2 })
    await world.clock.advance(3_000)
    const lost = addressOf(a)
    const told: Station[] = []
    a.attachment.onStation((station) => { told.push(station) })
    world.addressing.lose(a.attachment.networkId, a.attachment.station)
    await world.clock.advance(10)
    expect(addressOf(a)).not.toBe(lost)
    expect(told.map(({ addresses }) => addresses)).toEqual([[], [addressOf(a)]])
    expect(q.networks.list()[0]?.stations.find(({ name }) => name === 'm1')?.addresses).toEqual([addressOf(a)])
  })

  test('of a client\'s own LAN has the address that this gave it, and has it again when its plant was started anew', async () => {
    const world = fakeWorld()
    const p = await startPlant(world)
    const a = await startMachine(world, p, { owner, n: 1, addressing: 'external' })
    const lanEnd = new FakeDevice()
    await world.clock.settle(p.networks.attach({ network: lanOf(owner), addressing: 'external', proof: joinOf(owner, p.id, lanOf(owner)) }, { mac: macText(5) }, lanEnd, new AbortController().signal))
    expect(a.attachment.station.addresses).toEqual([])
    const told: Station[] = []
    a.attachment.onStation((station) => { told.push(station) })
    const speaks = (machine: FakeMachine): number => {
      lanEnd.got.length = 0
      machine.device.says(packet({ from: 1, to: 50, sourceIp: '192.168.7.20', destinationIp: '192.168.7.1' }))
      return lanEnd.got.length
    }
    expect(speaks(a)).toBe(0)
    lanEnd.says(dhcpAck({ server: 50, serverIp: '192.168.7.1', client: 1, address: '192.168.7.20', leaseS: 3_600 }))
    expect(told.map(({ addresses }) => addresses)).toEqual([['192.168.7.20']])
    expect(speaks(a)).toBe(1)
    expect(p.networks.list()[0]?.stations.find(({ name }) => name === 'm1')?.addresses).toEqual(['192.168.7.20'])
    await p.networks.stop()
    const again = await startPlant(world, p.party)
    await world.clock.settle(again.networks.attach({ network: lanOf(owner), addressing: 'external', proof: joinOf(owner, p.id, lanOf(owner)) }, { mac: macText(5) }, lanEnd, new AbortController().signal))
    const b = await attachAgain(world, again, { ...a, station: told[0] ?? a.attachment.station }, 'external')
    expect(speaks(b)).toBe(1)
  })
})
