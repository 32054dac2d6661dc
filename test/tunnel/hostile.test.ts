import { describe, expect, test } from 'vitest'
import type { MessageStream, PeerId } from '../../protocols/kit/index.ts'
import { encodeControl, decodeControl } from '../../protocols/tunnel/messages.ts'
import { packBatch } from '../../protocols/tunnel/batch.ts'
import { CONTROLS_BURST, GREETINGS_MAX, GREETING_MS, MEMBERS_MAX, STATIONS_PER_MEMBER_MAX, networkIdOf, type MembershipProof, type Station } from '../../protocols/tunnel/index.ts'
import { macText, packet } from './frames.ts'
import { START_MS, crypto, joinOf, lanOf, machineOf, party, proofOf } from './people.ts'
import { addressOf, fakeWorld, marks, namesAt, rawMember, rawTunnel, says, startMachine, startPlant, upAt, type FakeMachine, type FakePlant, type FakeWorld } from './support.ts'

const owner = party()
const lan = lanOf(owner)
const id = networkIdOf(crypto, lan)

interface Site { world: FakeWorld, p: FakePlant, q: FakePlant, a: FakeMachine, b: FakeMachine }

/** Two members in the right, with a machine each. */
async function site (): Promise<Site> {
  const world = fakeWorld()
  const [p, q] = [await startPlant(world), await startPlant(world)] as const
  const a = await startMachine(world, p, { owner, n: 1 })
  const b = await startMachine(world, q, { owner, n: 2 })
  await world.clock.advance(3_000)
  return { world, p, q, a, b }
}

/** The members go on. */
async function expectWorks ({ world, q, p, a, b }: Site): Promise<void> {
  a.device.got.length = 0
  b.device.got.length = 0
  says(a, b, 77)
  says(b, a, 78)
  await world.clock.advance(10)
  expect([marks(a), marks(b)]).toEqual([[78], [77]])
  expect(upAt(p)).toContain(q.id)
}

const said = async (world: FakeWorld, stream: MessageStream): Promise<string> => {
  try {
    const message = await world.clock.settle(stream.receive({ timeoutMs: 2 * GREETING_MS }))
    if (message === undefined) return 'closed'
    const control = decodeControl(message)
    return control.t === 'refusal' ? control.code : control.t
  } catch { return 'reset' }
}

/** What a stranger gets for these first bytes. */
async function answerTo (at: Site, bytes: Uint8Array, who = party()): Promise<string> {
  const stream = await rawTunnel(at.world, who, at.p)
  await stream.send(bytes).catch(() => undefined)
  return said(at.world, stream)
}

const hello = (proof: MembershipProof, network = id): Uint8Array => encodeControl({ t: 'hello', network, proof, uplink: false })

describe('a stranger', () => {
  test('gets no tunnel for what is no hello, and no frame of its reaches anyone', async () => {
    const at = await site()
    const frames = Uint8Array.from(packBatch([{ bytes: packet({ from: 2, to: 1 }) }]).flatMap((piece) => [...piece]))
    for (const bytes of [new Uint8Array(0), Uint8Array.of(0), Uint8Array.of(99, 1, 2), new Uint8Array(1_000_000), frames, Uint8Array.of(6), Uint8Array.of(7), encodeControl({ t: 'refusal', code: 'BUSY' })]) {
      expect(await answerTo(at, bytes)).toBe('reset')
    }
    expect(await answerTo(at, new Uint8Array(1_300_000))).toBe('reset')
    expect(at.a.device.got).toEqual([])
    await expectWorks(at)
  })

  test('gets a refusal, and nothing of ours to see, for a proof that does not hold', async () => {
    const at = await site()
    const who = party()
    const stolen = at.b.proof
    const forged = machineOf({ owner: who, shop: party(), network: lan })
    expect(await answerTo(at, hello(stolen), who)).toBe('NOT_AUTHORISED')
    expect(await answerTo(at, hello(proofOf(forged, who.id)), who)).toBe('NOT_AUTHORISED')
    expect(await answerTo(at, hello(joinOf(who, who.id, lan)), who)).toBe('NOT_AUTHORISED')
    expect(await answerTo(at, hello(proofOf(machineOf({ owner: who, shop: party() }), who.id), networkIdOf(crypto, lanOf(who))), who)).toBe('NOT_HERE')
    expect(at.p.networks.refusals()).toMatchObject({ NOT_AUTHORISED: 3, NOT_HERE: 1 })
    await expectWorks(at)
  })

  test('that comes 10,000 times holds no more than the greetings at once, and the members notice nothing', async () => {
    const at = await site()
    const streams: MessageStream[] = []
    for (let i = 0; i < 10_000; i++) {
      const stream = await rawTunnel(at.world, { ...party0, id: `stranger-${i % 100}` as PeerId }, at.p)
      if (i % 2 === 0) void stream.send(Uint8Array.of(i % 256, 1, 2, 3)).catch(() => undefined)
      streams.push(stream)
    }
    await at.world.clock.advance(10)
    expect(streams.filter(({ signal }) => !signal.aborted).length).toBeLessThanOrEqual(GREETINGS_MAX)
    await expectWorks(at)
    await at.world.clock.advance(2 * GREETING_MS)
    expect(streams.filter(({ signal }) => !signal.aborted)).toEqual([])
    expect(at.p.transport.streams).toBe(1)
    const { LIMIT = 0 } = at.p.networks.refusals()
    // The others the transport has turned away before.
    expect(LIMIT).toBeGreaterThan(900)
  })

  test('that holds all places by saying nothing keeps no member out', async () => {
    const at = await site()
    const strangers = await Promise.all(Array.from({ length: GREETINGS_MAX }, async (_, i) => rawTunnel(at.world, { ...party0, id: `stranger-${i}` as PeerId }, at.p)))
    await at.world.clock.advance(10)
    expect(strangers.filter(({ signal }) => signal.aborted)).toEqual([])
    expect(await rawMember(at.world, at.p, lan, owner, 9)).toBeDefined()
    expect(strangers.filter(({ signal }) => signal.aborted)).toHaveLength(1)
  })

  test('that says nothing, or half of a hello, is let go in time', async () => {
    const at = await site()
    const silent = await rawTunnel(at.world, party(), at.p)
    await at.world.clock.advance(GREETING_MS + 1_000)
    expect(silent.signal.aborted).toBe(true)
  })
})

const party0 = party()

describe('a member', () => {
  test('that breaks a rule of the wire loses its tunnel, and its machine is nobody\'s any more', async () => {
    const at = await site()
    const lying = [
      Uint8Array.of(4, 0, 0, 0, 50, 1, 2), Uint8Array.of(4, 0xff, 0xff, 0xff, 0xff), new Uint8Array(100_000).fill(4, 0, 1), Uint8Array.of(42), Uint8Array.of(3, 1, 2),
      hello(proofOf(machineOf({ owner, shop: party() }), at.p.id)), encodeControl({ t: 'refusal', code: 'BUSY' })
    ]
    for (const [i, bytes] of lying.entries()) {
      const { who, stream } = await rawMember(at.world, at.p, lan, owner, 20 + i)
      expect(upAt(at.p)).toContain(who.id)
      await stream.send(bytes)
      await at.world.clock.advance(10)
      expect(stream.signal.aborted).toBe(true)
      expect(upAt(at.p)).toEqual([at.q.id])
    }
    expect(namesAt(at.p)).toEqual(['m1', 'm2'])
    await expectWorks(at)
  })

  test('is believed for its own machine only, whatever it tells of', async () => {
    const at = await site()
    const { stream, machine, proof } = await rawMember(at.world, at.p, lan, owner, 9)
    const other = machineOf({ owner, shop: party(), orderId: 'other' })
    const tell = async (station: Station, by: MembershipProof): Promise<void> => { await stream.send(told(station, by)) }
    const told = (station: Station, by: MembershipProof): Uint8Array => encodeControl({ t: 'stations', add: [{ station, proof: by }], remove: [], uplink: true })
    await tell({ mac: macText(30), addresses: [], vmId: other.vmId }, proof)
    await tell({ mac: macText(31), addresses: [] }, proof)
    await tell({ mac: macText(34), addresses: [], vmId: machine.vmId, router: true }, proof)
    await tell({ mac: macText(32), addresses: [], vmId: other.vmId }, proofOf(other, at.q.id))
    await tell({ mac: macText(33), addresses: [], vmId: at.b.machine.vmId }, at.b.proof)
    await at.world.clock.advance(100)
    expect(namesAt(at.p)).toEqual([macText(9), 'm1', 'm2'])
    // It said that it has an uplink, which a machine does not give it: a host behind it is nobody.
    const frames = [packet({ from: 50, to: 1 }), packet({ from: 2, to: 1, sourceIp: addressOf(at.b) }), packet({ from: 1, to: 1 }), packet({ from: 9, to: 1, sourceIp: addressOf(at.b) })]
    await stream.send(Uint8Array.from(packBatch(frames.map((bytes) => ({ bytes }))).flatMap((piece) => [...piece])))
    await at.world.clock.advance(10)
    expect(at.a.device.got).toEqual([])
    const drops = at.p.networks.list()[0]?.ports.find(({ framesIn }) => framesIn === 4)?.drops
    expect(Object.values(drops ?? {}).reduce((sum, count) => sum + count, 0)).toBe(4)
    await expectWorks(at)
  })

  test('has of addresses only what its machine can have been given', async () => {
    const at = await site()
    const { stream, machine, proof } = await rawMember(at.world, at.p, lan, owner, 9)
    const station = { mac: macText(9), addresses: ['10.192.0.9', '10.199.0.1'], vmId: machine.vmId }
    await stream.send(encodeControl({ t: 'stations', add: [{ station, proof }], remove: [], uplink: false, snapshot: 'end' }))
    await at.world.clock.advance(100)
    expect(at.p.networks.list()[0]?.stations.find(({ mac }) => mac === macText(9))?.addresses).toEqual(['10.192.0.9'])
    expect(at.p.networks.refusals()).toEqual({ NOT_AUTHORISED: 1 })
    const frames = [packet({ from: 9, to: 1, sourceIp: '10.199.0.1' }), packet({ from: 9, to: 1, sourceIp: '10.192.0.9', mark: 3 })]
    await stream.send(Uint8Array.from(packBatch(frames.map((bytes) => ({ bytes }))).flatMap((piece) => [...piece])))
    await at.world.clock.advance(10)
    expect(marks(at.a)).toEqual([3])
  })

  test('cannot send into another member through us, nor answer for our gateway', async () => {
    const at = await site()
    const { stream } = await rawMember(at.world, at.p, lan, owner, 9)
    const toAll = packet({ from: 9, to: 0, sourceIp: '10.192.0.9', mark: 5 })
    toAll.fill(0xff, 0, 6)
    await stream.send(Uint8Array.from(packBatch([{ bytes: toAll }, { bytes: packet({ from: 9, to: 2, sourceIp: '10.192.0.9', mark: 6 }) }]).flatMap((piece) => [...piece])))
    await at.world.clock.advance(10)
    expect(marks(at.a)).toEqual([5])
    expect(marks(at.b)).toEqual([])
  })

  test('that floods with stations, names and other messages is rationed and bounded', async () => {
    const at = await site()
    const { stream, machine, proof } = await rawMember(at.world, at.p, lan, owner, 9)
    for (let i = 0; i < 500; i++) {
      await stream.send(encodeControl({ t: 'stations', add: [{ station: { mac: macText(1_000 + i), addresses: [], vmId: machine.vmId }, proof }], remove: [], uplink: false }))
      await at.world.clock.advance(20)
    }
    expect(at.p.networks.list()[0]?.stations.length).toBeLessThanOrEqual(2 + STATIONS_PER_MEMBER_MAX)
    for (let i = 0; i < 100; i++) {
      await stream.send(encodeControl({ t: 'members', peers: Array.from({ length: 64 }, () => party0.id) }))
      await at.world.clock.advance(20)
    }
    expect(at.p.networks.list()[0]?.members.length).toBeLessThanOrEqual(MEMBERS_MAX)
    expect(stream.signal.aborted).toBe(false)
    for (let i = 0; i < 2 * CONTROLS_BURST; i++) await stream.send(encodeControl({ t: 'members', peers: [] })).catch(() => undefined)
    await at.world.clock.advance(10)
    expect(stream.signal.aborted).toBe(true)
    await expectWorks(at)
  })

  test('whose proof is of the past or the future, by its own clock, is let in or not by ours', async () => {
    const at = await site()
    const who = party()
    const machine = machineOf({ owner, shop: party(), orderId: 'clock' })
    expect(await answerTo(at, hello(proofOf(machine, who.id, START_MS + 3_600_000)), who)).toBe('NOT_AUTHORISED')
    expect(await answerTo(at, hello(proofOf(machine, who.id, START_MS - 86_400_000)), who)).toBe('welcome')
  })
})
