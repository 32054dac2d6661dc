/** What a plant tells of its networks, and to whom. */
import { expect, test } from 'vitest'
import type { KeyId, PeerId } from '../../protocols/kit/index.ts'
import { captureHead } from '../../protocols/tunnel/pcapng.ts'
import type { NetworkId, NetworkView } from '../../protocols/tunnel/index.ts'
import { NetworkDesk } from '../../node/plant/network-desk.ts'
import { machineRecord } from '../storage/records-support.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { FakeNetworks } from '../support/fake-networks.ts'

const [lan, other] = ['1'.repeat(32), '2'.repeat(32)] as [NetworkId, NetworkId]
const [domainKey, granted, owner, stranger] = ['domain', 'granted', 'owner', 'stranger'] as KeyId[] as [KeyId, KeyId, KeyId, KeyId]
const never = new AbortController().signal

function viewOf (id: NetworkId, name: string): NetworkView {
  return {
    id, network: { domainKey, domain: 'd', name }, addressing: 'mesh',
    members: [{ peer: 'p2' as PeerId, state: 'up', relayed: false, queuedBytes: 0 }],
    stations: [{ mac: 'm1', addresses: ['10.192.0.2'], name: 'web', at: 'p1' as PeerId }, { mac: 'm2', addresses: ['10.192.0.3'], at: 'p2' as PeerId }],
    ports: [{ kind: 'machine', name: 'v', framesIn: 1, bytesIn: 60, framesOut: 2, bytesOut: 120, drops: { spoofed: 3 } }, { kind: 'peer', name: 'p2', framesIn: 0, bytesIn: 0, framesOut: 0, bytesOut: 0, drops: {} }]
  }
}

function deskOf () {
  const clock = new FakeClock()
  const networks = new FakeNetworks()
  networks.views.push(viewOf(lan, 'lan'), viewOf(other, 'other'))
  const desk = new NetworkDesk({
    self: 'p1' as PeerId, clock, networks,
    records: { machinesOf: (whose) => whose.owner === owner ? [machineRecord(1, { lease: { ...machineRecord(1).lease, networks: ['lan'] } })] : [] },
    mayCall: async (_whose, caller) => caller === domainKey || caller === granted
  })
  return { clock, networks, desk }
}

test('networks are told to the domain and its grantees, and to owners those that their machines are on', async () => {
  const { desk } = deskOf()
  const names = async (caller: KeyId) => (await desk.told(caller, undefined, never)).map(({ name }) => name)
  expect(await names(domainKey)).toEqual(['lan', 'other'])
  expect(await names(granted)).toEqual(['lan', 'other'])
  expect(await names(owner)).toEqual(['lan'])
  expect(await names(stranger)).toEqual([])
})

test('what passes is for the domain and its grantees: who has a machine there may not listen to those of others', async () => {
  const { desk } = deskOf()
  const may = async (caller: KeyId, network = lan) => desk.mayCapture(caller, network, never)
  expect([await may(domainKey), await may(granted), await may(owner), await may(stranger), await may(domainKey, '3'.repeat(32) as NetworkId)]).toEqual([true, true, false, false, false])
})

test('one network is told in full, all in short', async () => {
  const { desk } = deskOf()
  expect((await desk.told(domainKey, undefined, never))[0]).toEqual({ id: lan, name: 'lan', domain: 'd', domainKey, addressing: 'mesh', plant: 'p1', members: 1, machines: 1, stations: 2 })
  const [full] = await desk.told(domainKey, lan, never)
  expect(full?.detail?.stations).toEqual([{ mac: 'm1', addresses: ['10.192.0.2'], name: 'web', plant: 'p1' }, { mac: 'm2', addresses: ['10.192.0.3'], plant: 'p2' }])
  expect(full?.detail?.ports[0]?.drops).toEqual({ spoofed: 3 })
})

test('a capture is a file that grows with the frames, and ends when the network is left', async () => {
  const { desk, networks, clock } = deskOf()
  const pieces: Uint8Array[] = []
  const ended = desk.capture(lan, async (bytes) => { pieces.push(bytes) }, never)
  await clock.advance(0)
  expect(pieces).toEqual([captureHead()])
  networks.passes(lan, 5, new Uint8Array(60).fill(7))
  networks.passes(lan, 6, new Uint8Array(61).fill(8))
  await clock.advance(0)
  expect(pieces.slice(1).map(({ length }) => length)).toEqual([32 + 60 + 32 + 64])
  networks.views.splice(0)
  await clock.advance(1_000)
  await ended
  expect([networks.captures(lan), clock.pending]).toEqual([0, 0])
})

test('a capture whose reader stops reading holds so much and counts the rest in the file', async () => {
  const { desk, networks, clock } = deskOf()
  const stop = new AbortController()
  const read = Promise.withResolvers<void>()
  const pieces: Uint8Array[] = []
  const ended = desk.capture(lan, async (bytes) => { pieces.push(bytes); await read.promise }, stop.signal)
  await clock.advance(0)
  for (let n = 0; n < 5_000; n++) networks.passes(lan, n, new Uint8Array(1_514))
  read.resolve()
  await clock.advance(10)
  const bytes = pieces.reduce((sum, { length }) => sum + length, 0)
  expect(bytes).toBeLessThan(4 * 2 ** 20 + 4_096)
  const last = pieces.at(-1) as Uint8Array
  expect(new DataView(last.buffer, last.byteOffset).getUint32(0, true)).toBe(5)
  expect(new DataView(last.buffer, last.byteOffset).getBigUint64(24, true)).toBe(BigInt(5_000 - (pieces.slice(1, -1).reduce((sum, { length }) => sum + length, 0) / (32 + 1_516))))
  stop.abort()
  await ended
  expect([networks.captures(lan), clock.pending]).toEqual([0, 0])
})

test('captures are bounded, and each gives its place back', async () => {
  const { desk, clock } = deskOf()
  const stop = new AbortController()
  const all = Array.from({ length: 16 }, async () => desk.capture(lan, async () => {}, stop.signal))
  await clock.advance(0)
  await expect(desk.capture(lan, async () => {}, never)).rejects.toMatchObject({ code: 'LIMIT' })
  stop.abort()
  await Promise.all(all)
  const again = desk.capture(lan, async () => {}, AbortSignal.abort())
  await again
})
