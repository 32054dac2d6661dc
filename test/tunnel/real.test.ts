import { expect, test } from 'vitest'
import { makeKey } from '../../node/drivers/key-file.ts'
import type { Mesh, MeshInit } from '../../node/drivers/libp2p-mesh.ts'
import { SystemClock } from '../../node/drivers/system-clock.ts'
import { SystemRandom } from '../../node/drivers/system-random.ts'
import { keyIdOf, type PeerId } from '../../protocols/kit/index.ts'
import { NetworkGateway } from '../../protocols/tunnel/address/index.ts'
import { networks, type Attachment, type Networks, type Station } from '../../protocols/tunnel/index.ts'
import { afterTest, fixedAddress, meshNode, quietLog, until } from '../support/mesh.ts'
import { macText, packet } from './frames.ts'
import { crypto, lanOf, machineOf, noGrants, party, proofOf, type SignedMachine } from './people.ts'
import { FakeAddressing, FakeDevice } from './support.ts'

const owner = party()
const lan = lanOf(owner)
const addressing = new FakeAddressing()

interface RealPlant { mesh: Mesh, networks: Networks, id: PeerId, key: MeshInit['key'], listen: string }

/** A plant's tunnels over real streams; given a key and an address, that plant again. */
async function startPlant (bootstrap: string[], again?: Pick<RealPlant, 'key' | 'listen'>, more: Partial<MeshInit> = {}): Promise<RealPlant> {
  const key = again?.key ?? makeKey()
  const listen = again?.listen ?? await fixedAddress()
  const clock = new SystemClock()
  const mesh = await meshNode({ key, listen: [listen], bootstrap, clock, ...more })
  const { transport, directory } = mesh
  const made = networks()({ transport, directory, clock, random: new SystemRandom(), crypto, log: quietLog, grants: noGrants, addressing, gateway: ({ name }) => new NetworkGateway({ network: name, clock }) })
  await made.start()
  afterTest(async () => { await made.stop() })
  return { mesh, networks: made, id: keyIdOf(key.publicKey) as string as PeerId, key, listen }
}

async function attach (plant: RealPlant, n: number, machine: SignedMachine, station?: Station): Promise<{ device: FakeDevice, attachment: Attachment }> {
  const device = new FakeDevice(true)
  const attachment = await plant.networks.attach({ network: lan, addressing: 'mesh', proof: proofOf(machine, plant.id, Date.now()) }, station ?? { mac: macText(n), vmId: machine.vmId, name: `m${n}` }, device, new AbortController().signal)
  return { device, attachment }
}

test('machines of two real plants reach each other in seconds, and again after one was started anew', async () => {
  const shop = party()
  const [first, second] = [1, 2].map((n) => machineOf({ owner, shop, orderId: `o-${n}`, issuedAtMs: Date.now() }))
  if (first === undefined || second === undefined) throw new Error('two')
  const p = await startPlant([])
  const q = await startPlant(p.mesh.addresses())
  await until('they know each other', () => p.mesh.transport.connected().includes(q.id))
  const a = await attach(p, 1, first)
  const b = await attach(q, 2, second)
  const knows = (plant: RealPlant, count: number) => (): boolean => plant.networks.list()[0]?.stations.length === count
  await until('each knows of both', () => knows(p, 2)() && knows(q, 2)(), 10_000)
  // As a TAP hands them over: 60,000 bytes with an offload header, 1,000 of them.
  const offload = Uint8Array.from([1, 1, 54, 0, 0xb4, 5, 34, 0, 16, 0])
  const [fromIp, toIp] = [a, b].map(({ attachment }) => attachment.station.addresses[0] ?? '')
  const long = packet({ from: 1, to: 2, sourceIp: fromIp ?? '', destinationIp: toIp ?? '', payloadBytes: 60_000, protocol: 6 })
  long[46] = 0x50
  for (let sent = 0; sent < 1_000; sent++) {
    a.device.says(long, offload)
    if (sent % 8 === 0) await new Promise((resolve) => { setImmediate(resolve) })
  }
  await until('frames have come', () => b.device.got.length > 100, 10_000)
  expect(b.device.got[0]).toEqual(long)
  // One for all else and one for tunnels; another when both dialled at once, for a while.
  expect([2, 3]).toContain(p.mesh.connections(q.id))

  // The plant goes with all its connections, and comes back at its address with what its records say.
  await q.networks.stop()
  await q.mesh.stop()
  await until('it is gone', knows(p, 1), 10_000)
  const again = await startPlant(p.mesh.addresses(), q)
  const b2 = await attach(again, 2, second, b.attachment.station)
  await until('they reach each other again', () => {
    a.device.says(packet({ from: 1, to: 2, sourceIp: fromIp ?? '', destinationIp: toIp ?? '', mark: 9 }))
    return b2.device.got.some((frame) => frame[42] === 9)
  }, 20_000)
})

test('a tunnel through a gateway takes a direct path that is found, and no frame is lost', async () => {
  const shop = party()
  const [first, second] = [1, 2].map((n) => machineOf({ owner, shop, orderId: `r-${n}`, issuedAtMs: Date.now() }))
  if (first === undefined || second === undefined) throw new Error('two')
  const gateway = await meshNode({ site: 'lab', gateway: true })
  // The lower peer id dials: it stands outside, and knows no way but through the gateway.
  const [outer, inner] = [makeKey(), makeKey()].toSorted((a, b) => keyIdOf(a.publicKey) < keyIdOf(b.publicKey) ? -1 : 1)
  if (outer === undefined || inner === undefined) throw new Error('two')
  const innerId = keyIdOf(inner.publicKey) as string as PeerId
  const q = await startPlant([], { key: inner, listen: await fixedAddress() }, { site: 'lab', behind: gateway.addresses()[0] as string })
  const p = await startPlant(gateway.addresses(), { key: outer, listen: await fixedAddress() }, { gatewayOf: (peer) => peer === innerId ? gateway.transport.self : undefined })
  await until('both are in', () => p.mesh.transport.connected().includes(gateway.transport.self) && q.mesh.addresses().length > 0)
  const a = await attach(p, 1, first)
  const b = await attach(q, 2, second)
  const member = (): { relayed: boolean, state: string } | undefined => p.networks.list()[0]?.members[0]
  await until('they have a tunnel through the gateway', () => member()?.state === 'up' && p.networks.list()[0]?.stations.length === 2, 30_000)
  expect(member()?.relayed).toBe(true)
  const [fromIp = '', toIp = ''] = [a, b].map(({ attachment }) => attachment.station.addresses[0])
  let sent = 0
  const say = async (): Promise<void> => {
    a.device.says(packet({ from: 1, to: 2, sourceIp: fromIp, destinationIp: toIp, mark: ++sent & 0xff }))
    await new Promise((resolve) => { setTimeout(resolve, 10) })
  }
  for (const endMs = performance.now() + 60_000; member()?.relayed !== false && performance.now() < endMs;) await say()
  expect(member()).toMatchObject({ state: 'up', relayed: false })
  for (let more = 0; more < 100; more++) await say()
  await until('all frames have come', () => b.device.got.length >= sent, 10_000)
  expect(b.device.got.map((frame) => frame[42])).toEqual(Array.from({ length: sent }, (_, at) => (at + 1) & 0xff))
}, 120_000)
