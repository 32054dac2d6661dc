import { multiaddr } from '@multiformats/multiaddr'
import { expect, test } from 'vitest'
import type { Mesh } from '../../node/drivers/libp2p-mesh.ts'
import { CONNECTIONS_PER_PEER_MAX, OWN_CONNECTION_IDLE_MS } from '../../node/drivers/mesh-limits.ts'
import { SystemClock } from '../../node/drivers/system-clock.ts'
import type { Cancel, Clock, MessageStream, StreamLimits } from '../../protocols/kit/index.ts'
import { meshNode, until } from '../support/mesh.ts'
import { rawPeer } from '../support/raw-peer.ts'

const PLAIN = '/plantmesh/plain/1.0.0'
const OWN = '/plantmesh/own/1.0.0'
const LIMITS: StreamLimits = { messageBytesMax: 10_000_000, idleTimeoutMs: 30_000, inboundMax: 100, inboundPerPeerMax: 100 }
const OWN_LIMITS: StreamLimits = { ...LIMITS, ownConnection: true, sendMarkBytes: 64 * 1024 }

/** Time that runs, but waits for an idle connection are short. */
class FakeImpatientClock implements Clock {
  readonly #clock = new SystemClock()
  nowMs (): number { return this.#clock.nowMs() }
  monotonicMs (): number { return this.#clock.monotonicMs() }
  after (ms: number, fn: () => void): Cancel { return this.#clock.after(ms === OWN_CONNECTION_IDLE_MS ? 300 : ms, fn) }
}

async function serve (mesh: Mesh): Promise<MessageStream[]> {
  const streams: MessageStream[] = []
  const handler = async (stream: MessageStream): Promise<void> => {
    streams.push(stream)
    for (let message = await stream.receive(); message !== undefined; message = await stream.receive()) if (message.length < 1_000) await stream.send(message)
  }
  await mesh.transport.handle(PLAIN, LIMITS, handler)
  await mesh.transport.handle(OWN, OWN_LIMITS, handler)
  return streams
}

async function pair (): Promise<{ a: Mesh, b: Mesh, atB: MessageStream[] }> {
  const clock = new FakeImpatientClock()
  const a = await meshNode({ clock })
  const b = await meshNode({ clock, bootstrap: a.addresses() })
  await until('they know each other', () => a.transport.connected().includes(b.transport.self) && b.transport.connected().includes(a.transport.self))
  await serve(a)
  return { a, b, atB: await serve(b) }
}

async function echo (stream: MessageStream): Promise<boolean> {
  await stream.send(Uint8Array.of(1, 2, 3))
  return (await stream.receive())?.length === 3
}

test('streams that want a connection of their own share one, which nothing else goes over', async () => {
  const { a, b } = await pair()
  const others = [await b.transport.open(a.transport.self, PLAIN, LIMITS), await a.transport.open(b.transport.self, PLAIN, LIMITS)]
  const [first, second] = await Promise.all([a.transport.open(b.transport.self, OWN, OWN_LIMITS), a.transport.open(b.transport.self, OWN, OWN_LIMITS)])
  // The other end uses the one that was dialled.
  const back = await b.transport.open(a.transport.self, OWN, OWN_LIMITS)
  for (const stream of [...others, first, second, back]) expect(await echo(stream)).toBe(true)
  expect(a.connections(b.transport.self)).toBe(2)
  expect(b.connections(a.transport.self)).toBe(2)
  // Bulk that nobody reads on the one fills it, and the other is as quick as before.
  const bulk = await a.transport.open(b.transport.self, PLAIN, LIMITS)
  await bulk.send(new Uint8Array(9_000_000))
  expect(await echo(first)).toBe(true)
  expect(first.relayed).toBe(false)
})

test('a connection of its own is closed a while after its last stream, and dialled anew when it is wanted', async () => {
  const { a, b } = await pair()
  for (let round = 0; round < 2; round++) {
    const stream = await a.transport.open(b.transport.self, OWN, OWN_LIMITS)
    expect(await echo(stream)).toBe(true)
    expect(a.connections(b.transport.self)).toBe(2)
    await stream.close()
    await until('it is closed', () => a.connections(b.transport.self) === 1 && b.connections(a.transport.self) === 1)
  }
  expect(a.transport.connected()).toContain(b.transport.self)
})

test('a message in pieces comes as one', async () => {
  const { a, b, atB } = await pair()
  const stream = await a.transport.open(b.transport.self, OWN, OWN_LIMITS)
  if (stream.sendPieces === undefined) throw new Error('the real stream takes pieces')
  await stream.sendPieces([Uint8Array.of(1), new Uint8Array(0), Uint8Array.of(2, 3)])
  expect(await stream.receive()).toEqual(Uint8Array.of(1, 2, 3))
  expect(atB).toHaveLength(1)
})

test('a peer has so many connections at most, and those that it has stay', async () => {
  const plant = await meshNode()
  await serve(plant)
  const { node, peer } = await rawPeer(plant)
  const address = plant.addresses()[0]
  if (address === undefined) throw new Error('the plant has no address')
  for (let i = 0; i < 3 * CONNECTIONS_PER_PEER_MAX; i++) await node.dial(multiaddr(address), { force: true }).catch(() => undefined)
  await until('those above are closed', () => plant.connections(peer) <= CONNECTIONS_PER_PEER_MAX)
  expect(plant.connections(peer)).toBeGreaterThan(0)
})
