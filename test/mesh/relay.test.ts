import { createHash } from 'node:crypto'
import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import { identify } from '@libp2p/identify'
import type { Libp2p, Stream } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { multiaddr } from '@multiformats/multiaddr'
import type { Multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { expect, test } from 'vitest'
import type { Mesh, MeshInit } from '../../node/drivers/libp2p-mesh.ts'
import { makeKey } from '../../node/drivers/key-file.ts'
import { CONNECTIONS_PER_PEER_MAX } from '../../node/drivers/mesh-limits.ts'
import { splice } from '../../node/drivers/relay-splice.ts'
import type { MessageStream, PeerId, StreamLimits } from '../../protocols/kit/index.ts'
import { afterTest, fixedAddress, meshNode, quietLog, until } from '../support/mesh.ts'

const ECHO = '/plantmesh/echo/1.0.0'
const MiB = 2 ** 20
const LIMITS: StreamLimits = { messageBytesMax: 2 * MiB, idleTimeoutMs: 20_000, inboundMax: 100, inboundPerPeerMax: 100 }

/** A site on loopback: its gateway, a plant behind it that says everything back, and one outside. All could reach each other directly; only addresses differ. */
async function siteOf (more: { inside?: Partial<MeshInit>, gateway?: Partial<MeshInit> } = {}): Promise<{ gateway: Mesh, inside: Mesh, outside: Mesh }> {
  const gateway = await meshNode({ site: 'lab', gateway: true, ...more.gateway })
  const gatewayOf = (peer: PeerId): PeerId | undefined => peer === insideKey.peerId as string ? gateway.transport.self : undefined
  const insideKey = makeKey()
  const inside = await meshNode({ key: insideKey, site: 'lab', behind: gateway.addresses()[0] as string, ...more.inside })
  const outside = await meshNode({ bootstrap: gateway.addresses(), gatewayOf })
  await until('outside is in', () => outside.transport.connected().includes(gateway.transport.self))
  await inside.transport.handle(ECHO, LIMITS, async (stream) => { for (let message = await stream.receive(); message !== undefined; message = await stream.receive()) await stream.send(message) })
  return { gateway, inside, outside }
}

async function echoed (stream: MessageStream, bytes: Uint8Array): Promise<boolean> {
  await stream.send(bytes)
  const back = await stream.receive()
  return back !== undefined && Buffer.compare(back, bytes) === 0
}

test('a plant behind a gateway has no address but through it, and is reached there', async () => {
  const { gateway, inside, outside } = await siteOf()
  expect(inside.addresses().length).toBeGreaterThan(0)
  for (const address of inside.addresses()) expect(address).toContain(`/p2p/${gateway.transport.self}/p2p-circuit/p2p/${inside.transport.self}`)
  const stream = await outside.transport.open(inside.transport.self, ECHO, LIMITS)
  expect(gateway.relayed()).toBe(1)
  for (let i = 0; i < 16; i++) expect(await echoed(stream, new Uint8Array(MiB).fill(i))).toBe(true)
  await stream.close()
  expect(gateway.transport.connected()).toHaveLength(2)
})

/** Starts a plant that asks for a place, until it was refused. */
async function refused (init: Partial<MeshInit>): Promise<void> {
  const stop = new AbortController()
  const refusals: string[] = []
  const log = { ...quietLog, warn: (_fields: unknown, message: string) => { refusals.push(message) } }
  const plant = meshNode({ ...init, log, signal: stop.signal })
  await until('it was refused', () => refusals.some((message) => message.includes('--gateway and the same --site')))
  stop.abort(new Error('enough'))
  await plant.catch(() => undefined)
}

test('a plant of another site, or from another network, gets no place at the gateway', async () => {
  const gateway = await meshNode({ site: 'lab', gateway: true })
  const narrow = await meshNode({ site: 'lab', gateway: true, inside: ['10.0.0.0/8'] })
  await refused({ site: 'other', behind: gateway.addresses()[0] as string })
  await refused({ site: 'lab', behind: narrow.addresses()[0] as string })
  expect([gateway.relayed(), narrow.relayed()]).toEqual([0, 0])
})

test('a gateway, and a plant behind one, say what is wrong with how they are told to start', async () => {
  const address = `/ip4/127.0.0.1/tcp/1/p2p/${makeKey().peerId}`
  const wrong = async (init: Partial<MeshInit>, field: string): Promise<void> => expect(meshNode(init)).rejects.toMatchObject({ code: 'CONFIG_INVALID', details: { field } })
  await wrong({ behind: address }, 'site')
  await wrong({ gateway: true }, 'site')
  await wrong({ site: 'lab', behind: '/ip4/127.0.0.1/tcp/1' }, 'behind')
  await wrong({ site: 'lab', behind: 'nonsense' }, 'behind')
  await wrong({ site: 'lab', gateway: true, behind: address }, 'gateway')
  for (const range of ['10.0.0.0', '10.0.0.0/33', 'fd00::/129', 'lab/8', '10.0.0.0/8/8', '10.0.0.0/-1']) await wrong({ site: 'lab', gateway: true, inside: [range] }, 'inside')
})

/** A peer of its own making that dials through relays as it likes. */
async function dialler (to: Mesh, mesh = 'test'): Promise<Libp2p> {
  const node = await createLibp2p({ transports: [tcp(), circuitRelayTransport()], streamMuxers: [yamux()], connectionEncrypters: [noise()], services: { identify: identify({ protocolPrefix: `plantmesh/${mesh}` }) } })
  afterTest(async () => { await node.stop() })
  await node.dial(multiaddr(to.addresses()[0] as string))
  return node
}

test('a peer gets through the gateway to plants with a place there and nowhere else, no more often than one peer may, and leaves nothing behind', async () => {
  const { gateway, inside, outside } = await siteOf()
  const through = (peer: string): Multiaddr => multiaddr(`${gateway.addresses()[0] ?? ''}/p2p-circuit/p2p/${peer}`)
  const hostile = await dialler(gateway)
  await expect(hostile.dial(through(outside.transport.self))).rejects.toThrow(/NO_RESERVATION/)
  await expect(hostile.dial(through(makeKey().peerId))).rejects.toThrow(/NO_RESERVATION/)
  const target = through(inside.transport.self)
  const dials: Array<PromiseSettledResult<unknown>> = []
  for (let i = 0; i < 70; i++) dials.push(...await Promise.allSettled([hostile.dial(target, { force: true })]))
  expect(dials.filter(({ status }) => status === 'fulfilled').length).toBeGreaterThan(0)
  await until('those that are too many are gone', () => gateway.relayed() <= CONNECTIONS_PER_PEER_MAX)
  await hostile.stop()
  await until('all are gone', () => gateway.relayed() === 0)
  const stranger = await dialler(gateway, 'other').catch(() => undefined)
  await expect(stranger?.dial(target) ?? Promise.reject(new Error('not let in'))).rejects.toThrow()
  const stream = await outside.transport.open(inside.transport.self, ECHO, LIMITS)
  expect(await echoed(stream, Uint8Array.of(1))).toBe(true)
})

/** A node that speaks what it is told to, for the joint alone. */
async function bareNode (): Promise<Libp2p> {
  const node = await createLibp2p({ addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] }, transports: [tcp()], streamMuxers: [yamux({ streamOptions: { maxStreamWindowSize: MiB } })], connectionEncrypters: [noise()] })
  afterTest(async () => { await node.stop() })
  return node
}

test('a reader that stops holds back its sender, not the memory of the gateway, and gets all of it when it reads on', async () => {
  const [sender, joint, reader] = await Promise.all([bareNode(), bareNode(), bareNode()])
  let far: Stream | undefined
  await reader.handle('/far', (stream) => {
    stream.pause()
    far = stream
  })
  await joint.handle('/near', async (stream) => { splice(stream, await joint.dialProtocol(reader.getMultiaddrs(), '/far')) })
  const stream = await sender.dialProtocol(joint.getMultiaddrs(), '/near')
  for (let i = 0; i < 64; i++) stream.send(Buffer.alloc(MiB, i))
  await until('the reader has its stream', () => far !== undefined)
  let left = Infinity
  for (let looked = 0; looked < 10; looked++) {
    const now = stream.writeBufferLength
    if (now !== left) looked = 0
    left = now
    await new Promise((resolve) => { setTimeout(resolve, 50) })
  }
  // What has left: a window at each of two streams, and what is held between.
  expect(left).toBeGreaterThan(60 * MiB)
  const sum = createHash('sha256')
  let got = 0
  let ended = false
  far?.addEventListener('remoteCloseWrite', () => { ended = true })
  far?.addEventListener('message', ({ data }) => {
    sum.update(data.subarray())
    got += data.byteLength
  })
  far?.resume()
  void stream.close()
  await until('all has come, and the end', () => got === 64 * MiB && ended, 20_000)
  const all = createHash('sha256')
  for (let i = 0; i < 64; i++) all.update(Buffer.alloc(MiB, i))
  expect(sum.digest('hex')).toBe(all.digest('hex'))
})

test('an end that breaks off ends the other', async () => {
  const [near, joint, remote] = await Promise.all([bareNode(), bareNode(), bareNode()])
  let far: Stream | undefined
  await remote.handle('/far', (stream) => { far = stream })
  await joint.handle('/near', async (stream) => { splice(stream, await joint.dialProtocol(remote.getMultiaddrs(), '/far')) })
  const stream = await near.dialProtocol(joint.getMultiaddrs(), '/near')
  stream.send(Uint8Array.of(1))
  await until('both are there', () => far !== undefined)
  stream.abort(new Error('gone'))
  await until('the far end has heard', () => far?.status !== 'open')
})

test('a gateway that comes back gives its plants their places again', async () => {
  const key = makeKey()
  const listen = [await fixedAddress()]
  const { gateway, inside, outside } = await siteOf({ gateway: { key, listen } })
  await gateway.stop()
  await until('the address is withdrawn', () => inside.addresses().length === 0)
  await meshNode({ key, listen, site: 'lab', gateway: true })
  await until('the place is there again', () => inside.addresses().length > 0, 20_000)
  await until('it is reached again', async () => {
    const stream = await outside.transport.open(inside.transport.self, ECHO, LIMITS).catch(() => undefined)
    return stream !== undefined && await echoed(stream, Uint8Array.of(1))
  }, 20_000)
})

test('a relayed connection that came in is followed by a direct one, and its streams go on', async () => {
  const { gateway, inside, outside } = await siteOf()
  const stream = await outside.transport.open(inside.transport.self, ECHO, LIMITS)
  await until('there is a direct connection too', () => outside.transport.isDirect(inside.transport.self), 10_000)
  expect(await echoed(stream, Uint8Array.of(7))).toBe(true)
  await gateway.stop()
  const direct = await outside.transport.open(inside.transport.self, ECHO, LIMITS)
  expect(await echoed(direct, Uint8Array.of(8))).toBe(true)
})

test('two plants still hear each other when the connection that carried their gossip goes and another stays', async () => {
  const { gateway, inside, outside } = await siteOf()
  const heard: string[] = []
  await outside.pubsub.subscribe('capacity', (_from, message) => {
    heard.push(Buffer.from(message).toString())
    return 'accept'
  })
  await inside.pubsub.subscribe('capacity', () => 'accept')
  const stream = await outside.transport.open(inside.transport.self, ECHO, LIMITS)
  await until('there is a direct connection too', () => outside.transport.isDirect(inside.transport.self), 10_000)
  await gateway.stop()
  await until('the relayed connection is gone', () => stream.signal.aborted)
  let n = 0
  await until('what is said later is heard', async () => {
    await inside.pubsub.publish('capacity', Buffer.from(`word ${++n}`)).catch(() => undefined)
    return heard.length > 0
  }, 20_000)
})
