import type { Stream } from '@libp2p/interface'
import { expect, test } from 'vitest'
import type { Mesh } from '../../node/drivers/libp2p-mesh.ts'
import { SystemClock } from '../../node/drivers/system-clock.ts'
import { PlantError, frame } from '../../protocols/kit/index.ts'
import type { Clock, MessageStream, StreamLimits } from '../../protocols/kit/index.ts'
import { meshNode, until } from '../support/mesh.ts'
import { rawPeer } from '../support/raw-peer.ts'

const PROTOCOL = '/plantmesh/echo/1.0.0'
const LIMITS: StreamLimits = { messageBytesMax: 100_000, idleTimeoutMs: 5_000, inboundMax: 1_000, inboundPerPeerMax: 400 }

interface Served { opened: number, ended: number, errors: PlantError[], largestMessage: number }

/** Sends back each message until the peer closes. */
async function serveEcho (mesh: Mesh, limits: StreamLimits = LIMITS): Promise<Served> {
  const served: Served = { opened: 0, ended: 0, errors: [], largestMessage: 0 }
  await mesh.transport.handle(PROTOCOL, limits, async (stream) => {
    served.opened++
    stream.signal.addEventListener('abort', () => { served.ended++ })
    try {
      for (let message = await stream.receive(); message !== undefined; message = await stream.receive()) {
        served.largestMessage = Math.max(served.largestMessage, message.length)
        await stream.send(message)
      }
    } catch (error) {
      if (error instanceof PlantError) served.errors.push(error)
      throw error
    }
  })
  return served
}

async function pair (limits: StreamLimits = LIMITS): Promise<{ plant: Mesh, caller: Mesh, served: Served }> {
  const plant = await meshNode()
  const served = await serveEcho(plant, limits)
  const caller = await meshNode({ bootstrap: plant.addresses() })
  await until('they know each other', () => caller.transport.connected().includes(plant.transport.self))
  return { plant, caller, served }
}

async function echo (caller: Mesh, plant: Mesh, message: Uint8Array): Promise<Uint8Array | undefined> {
  const stream = await caller.transport.open(plant.transport.self, PROTOCOL, LIMITS)
  await stream.send(message)
  const answer = await stream.receive()
  await stream.close()
  expect(await stream.receive()).toBeUndefined()
  return answer
}

/** The plant still works for others. */
async function expectWorks (caller: Mesh, plant: Mesh): Promise<void> {
  expect(await echo(caller, plant, Uint8Array.of(1, 2, 3))).toEqual(Uint8Array.of(1, 2, 3))
}

const gone = (stream: Stream): boolean => ['reset', 'aborted', 'closed'].includes(stream.status)

test('200 calls at once from one peer are all answered', async () => {
  const { plant, caller, served } = await pair()
  const answers = await Promise.all(Array.from({ length: 200 }, async (_, i) => echo(caller, plant, Uint8Array.of(i))))
  expect(answers.map((answer) => answer?.[0])).toEqual(Array.from({ length: 200 }, (_, i) => i))
  await until('all streams are gone', () => served.ended === served.opened)
  expect(served.errors).toEqual([])
})

test('messages of many sizes come whole and in order, many at once', async () => {
  const { plant, caller } = await pair()
  const stream = await caller.transport.open(plant.transport.self, PROTOCOL, LIMITS)
  const sizes = Array.from({ length: 300 }, (_, i) => i % 3 === 0 ? 0 : (i * 7919) % 100_000)
  const sending = (async () => {
    for (const [i, size] of sizes.entries()) await stream.send(new Uint8Array(size).fill(i))
    await stream.close()
  })()
  for (const [i, size] of sizes.entries()) {
    const message = await stream.receive()
    expect(message?.length).toBe(size)
    expect(message?.every((byte) => byte === i % 256)).toBe(true)
  }
  expect(await stream.receive()).toBeUndefined()
  await sending
})

test('a huge length is refused before it is waited for, and the stream reset', async () => {
  const { plant, caller, served } = await pair()
  const raw = await rawPeer(plant)
  const stream = await raw.connection.newStream(PROTOCOL)
  const before = process.memoryUsage().arrayBuffers
  stream.send(Uint8Array.of(0xff, 0xff, 0xff, 0xf0, 1, 2, 3))
  await until('it is reset', () => gone(stream))
  expect(served.errors[0]).toMatchObject({ code: 'STREAM_TOO_LONG', details: { announced: 0xfffffff0, peer: raw.peer } })
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(256 * 1024 * 1024) // Of 4 GiB announced.
  await expectWorks(caller, plant)
})

test('a message cut short by the end of the stream is truncated, by a reset is reset', async () => {
  const { plant, caller, served } = await pair()
  const raw = await rawPeer(plant, 'test', 'noise')
  const ended = await raw.connection.newStream(PROTOCOL)
  ended.send(frame(new Uint8Array(100)).subarray(0, 50))
  await ended.close()
  await until('the end is seen', () => served.errors.length === 1)
  expect(served.errors[0]?.code).toBe('STREAM_TRUNCATED')
  const reset = await raw.connection.newStream(PROTOCOL)
  reset.send(frame(new Uint8Array(100)).subarray(0, 50))
  await until('it is open', () => served.opened === 2)
  reset.abort(new Error('gone'))
  await until('the reset is seen', () => served.errors.length === 2)
  expect(served.errors[1]?.code).toBe('STREAM_RESET')
  await expectWorks(caller, plant)
})

test('silence beyond the idle time, and a byte now and then, both end at their deadline', async () => {
  const { plant, caller, served } = await pair({ ...LIMITS, idleTimeoutMs: 400 })
  const raw = await rawPeer(plant)
  const silent = await raw.connection.newStream(PROTOCOL)
  const startMs = performance.now()
  const slow = await raw.connection.newStream(PROTOCOL)
  const drip = setInterval(() => { if (slow.status === 'open') slow.send(Uint8Array.of(0)) }, 50)
  slow.send(Uint8Array.of(0, 0, 4, 0))
  await until('both are reset', () => gone(silent) && gone(slow), 3_000)
  clearInterval(drip)
  expect(performance.now() - startMs).toBeLessThan(2_000)
  expect(served.errors.map((error) => error.code)).toEqual(['STREAM_TIMEOUT', 'STREAM_TIMEOUT'])
  await expectWorks(caller, plant)
})

test('a message that drips is cut off after its own deadline, however long the receiver would wait', async () => {
  // The clock runs ten times as fast here, so that the five seconds of a message are half a one.
  const system = new SystemClock()
  const fast: Clock = { nowMs: () => system.nowMs(), monotonicMs: () => system.monotonicMs() * 10, after: (ms, fn) => system.after(ms / 10, fn) }
  const plant = await meshNode({ clock: fast })
  const served = await serveEcho(plant, { ...LIMITS, idleTimeoutMs: 600_000 })
  const raw = await rawPeer(plant)
  const slow = await raw.connection.newStream(PROTOCOL)
  const drip = setInterval(() => { if (slow.status === 'open') slow.send(Uint8Array.of(0)) }, 50)
  slow.send(Uint8Array.of(0, 0, 4, 0))
  await until('it is reset', () => gone(slow), 3_000)
  clearInterval(drip)
  expect(served.errors[0]).toMatchObject({ code: 'STREAM_TIMEOUT', details: { waitedFor: 'the rest of a message' } })
})

test('of 1,000 streams at once those above the bound are reset, the others served, and all are given back', async () => {
  const { plant, caller, served } = await pair({ ...LIMITS, inboundPerPeerMax: 100 })
  const raw = await rawPeer(plant)
  const opened = await Promise.allSettled(Array.from({ length: 1_000 }, async () => raw.connection.newStream(PROTOCOL, { maxOutboundStreams: 5_000 })))
  const streams = opened.flatMap((result) => result.status === 'fulfilled' ? [result.value] : [])
  await until('the rest is reset', () => streams.filter((stream) => !gone(stream)).length <= 100)
  expect(served.opened).toBeLessThanOrEqual(100)
  expect(served.opened).toBeGreaterThan(50)
  await expectWorks(caller, plant)
  for (const stream of streams) stream.abort(new Error('enough'))
  await until('all are given back', () => served.ended === served.opened)
  await expectWorks(caller, plant)
  const again = await raw.connection.newStream(PROTOCOL)
  again.send(frame(Uint8Array.of(9)))
  await until('the raw peer is served again', () => served.largestMessage > 0 && again.readBufferLength > 0)
})

test('streams above the bound for all peers are reset, whoever opens them', async () => {
  const { plant, served } = await pair({ ...LIMITS, inboundMax: 10, inboundPerPeerMax: 6 })
  const peers = await Promise.all([rawPeer(plant), rawPeer(plant), rawPeer(plant)])
  const streams = (await Promise.all(peers.map(async (raw) => Promise.all(Array.from({ length: 6 }, async () => raw.connection.newStream(PROTOCOL)))))).flat()
  // Those that are taken are handed over once their peer has greeted.
  await until('the rest is reset', () => streams.filter((stream) => !gone(stream)).length === 10 && served.opened === 10)
})

test('a peer that does not read holds no more than the marks, and loses the stream', async () => {
  const plant = await meshNode()
  let sent = 0
  let failure: unknown
  await plant.transport.handle(PROTOCOL, { ...LIMITS, idleTimeoutMs: 700 }, async (stream) => {
    try {
      for (;;) {
        await stream.send(new Uint8Array(50_000))
        sent += 50_000
      }
    } catch (error) {
      failure = error
      throw error
    }
  })
  const raw = await rawPeer(plant)
  const stream = await raw.connection.newStream(PROTOCOL)
  stream.pause()
  await until('it is given up', () => failure !== undefined)
  expect(failure).toMatchObject({ code: 'STREAM_TIMEOUT', details: { waitedFor: 'the peer to read' } })
  expect(sent).toBeLessThan(4 * 1024 * 1024)
})

test('a handler that does not receive is sent no more than the marks, and gets all of it later', async () => {
  const { plant, caller } = await pair()
  let go: () => void = () => {}
  const waiting = new Promise<void>((resolve) => { go = resolve })
  let received = 0
  await plant.transport.handle('/plantmesh/late/1.0.0', LIMITS, async (stream) => {
    await waiting
    for (let message = await stream.receive(); message !== undefined; message = await stream.receive()) received += message.length
  })
  const stream = await caller.transport.open(plant.transport.self, '/plantmesh/late/1.0.0', LIMITS)
  let sent = 0
  const sending = (async () => {
    for (let i = 0; i < 200; i++) {
      await stream.send(new Uint8Array(100_000))
      sent += 100_000
    }
    await stream.close()
  })()
  let last = -1
  let still = 0
  await until('it is held back', async () => {
    await new Promise((resolve) => { setTimeout(resolve, 100) })
    still = last === sent ? still + 1 : 0
    last = sent
    return still >= 8
  })
  expect(sent).toBeLessThan(6_000_000)
  go()
  await sending
  await until('all has come', () => received === 20_000_000)
})

test('a stream ends with its signal, at both ends, and opening is refused when it has ended before', async () => {
  const { plant, caller, served } = await pair()
  const controller = new AbortController()
  const stream = await caller.transport.open(plant.transport.self, PROTOCOL, LIMITS, controller.signal)
  await stream.send(Uint8Array.of(1))
  await until('it is open', () => served.opened === 1)
  const receiving = stream.receive().then(async () => stream.receive())
  controller.abort(new Error('changed my mind'))
  await expect(receiving).rejects.toThrow('changed my mind')
  await until('the other end is gone too', () => served.ended === 1)
  expect(stream.signal.aborted).toBe(true)
  await expect(caller.transport.open(plant.transport.self, PROTOCOL, LIMITS, controller.signal)).rejects.toThrow('changed my mind')
})

test('a protocol that is not spoken, and a peer that is not there, are unreachable', async () => {
  const { plant, caller } = await pair()
  await expect(caller.transport.open(plant.transport.self, '/none/1.0.0', LIMITS)).rejects.toMatchObject({ code: 'PEER_UNREACHABLE', details: { problem: 'does not speak the protocol' } })
  const stranger = await meshNode({ mesh: 'other' })
  await expect(caller.transport.open(stranger.transport.self, PROTOCOL, LIMITS)).rejects.toMatchObject({ code: 'PEER_UNREACHABLE' })
  await expect(caller.transport.open(caller.transport.self, PROTOCOL, LIMITS)).rejects.toMatchObject({ code: 'PEER_UNREACHABLE' })
})

test('the plant that dies mid-call resets its streams at once', async () => {
  const { plant, caller } = await pair()
  const stream: MessageStream = await caller.transport.open(plant.transport.self, PROTOCOL, LIMITS)
  await stream.send(Uint8Array.of(1))
  await stream.receive()
  const receiving = stream.receive()
  const outcome = receiving.then((message) => message === undefined ? 'ended' : 'message', (error: PlantError) => error.code)
  await plant.stop()
  expect(['ended', 'STREAM_RESET']).toContain(await outcome)
  await until('it is gone', () => stream.signal.aborted)
  await expect(stream.send(Uint8Array.of(2))).rejects.toBeInstanceOf(PlantError)
})

test('a raw peer that does not greet by the mesh\'s name is served nothing and disconnected', async () => {
  const { plant, served } = await pair()
  const raw = await rawPeer(plant, 'somethingelse')
  const stream = await raw.connection.newStream(PROTOCOL).catch(() => undefined)
  stream?.send(frame(Uint8Array.of(1)))
  await until('it is disconnected', () => raw.connection.status !== 'open')
  expect(served.largestMessage).toBe(0)
  expect(plant.transport.connected()).not.toContain(raw.peer)
})

test('rubbish in every form never ends the process nor the service', async () => {
  const { plant, caller, served } = await pair({ ...LIMITS, idleTimeoutMs: 500 })
  const raw = await rawPeer(plant)
  for (let round = 0; round < 60; round++) {
    const stream = await raw.connection.newStream(PROTOCOL)
    stream.send(Uint8Array.from({ length: 1 + round * 7 }, (_, i) => (i * 31 + round * 17) % 256))
    if (round % 3 === 0) stream.abort(new Error('broken off'))
    else if (round % 3 === 1) void stream.close().catch(() => {})
  }
  await until('all are done with', () => served.ended === served.opened && served.opened >= 40)
  await expectWorks(caller, plant)
})
