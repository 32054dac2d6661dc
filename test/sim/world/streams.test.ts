/** Streams of the virtual network keep the promises of the port, with the bounds of the real driver. */
import { expect, test } from 'vitest'
import type { MessageStream, PeerId } from '../../../protocols/kit/index.ts'
import * as real from '../../../node/drivers/mesh-limits.ts'
import * as modelled from '../../../sim/world/network/constants.ts'
import { BareNet, limits } from './support.ts'

const b = 'b' as PeerId
const bytes = (n: number, fill = 1): Uint8Array => new Uint8Array(n).fill(fill)

async function pair (net: BareNet, handler: (stream: MessageStream) => Promise<void> = async () => {}): Promise<void> {
  net.join('a', ['b'])
  const server = net.join('b')
  await server.transport.handle('/p', limits, handler)
  await net.pass(1_000)
}

test('the bounds are those of the mesh\'s drivers', () => {
  for (const [name, value] of Object.entries(modelled)) if (name in real) expect({ [name]: value }).toEqual({ [name]: (real as Record<string, unknown>)[name] })
  expect(Object.keys(modelled).filter((name) => name in real).length).toBeGreaterThan(15)
})

test('messages arrive whole and in order, and the end is told', async () => {
  const net = new BareNet()
  const got: number[] = []
  await pair(net, async (stream) => {
    for (let message = await stream.receive(); message !== undefined; message = await stream.receive()) got.push(message.length)
    await stream.send(bytes(7))
  })
  const client = net.network.process('a' as PeerId)
  const stream = await net.settle(client!.transport.open(b, '/p', limits))
  for (const length of [1, 50_000, 3]) await net.settle(stream.send(bytes(length)))
  await net.settle(stream.close())
  expect((await net.settle(stream.receive()))?.length).toBe(7)
  expect(await net.settle(stream.receive())).toBeUndefined()
  expect(got).toEqual([1, 50_000, 3])
  await net.pass(1_000)
  expect(client?.transport.streams.size).toBe(0)
  expect(net.network.process(b)?.transport.streams.size).toBe(0)
})

test('a message takes latency and the time of its bytes', async () => {
  const net = new BareNet()
  net.link = { latencyMs: 50, jitterMs: 0, lossShare: 0, bandwidthMbit: 1 }
  let arrivedMs = 0
  await pair(net, async (stream) => {
    await stream.receive()
    arrivedMs = net.timeline.nowMs
  })
  const stream = await net.settle(net.network.process('a' as PeerId)!.transport.open(b, '/p', limits))
  const fromMs = net.timeline.nowMs
  await net.settle(stream.send(bytes(50_000)))
  await net.pass(2_000)
  expect(arrivedMs - fromMs).toBeCloseTo(50 + (50_000 + modelled.FRAME_OVERHEAD_BYTES) * 8 / 1_000, 0)
})

test('what is too long, too late, too much or not served is refused as by the real driver', async () => {
  const net = new BareNet()
  await pair(net, async (stream) => { await stream.receive({ timeoutMs: 60_000 }) })
  const { transport } = net.network.process('a' as PeerId)!
  const stream = await net.settle(transport.open(b, '/p', limits))
  await expect(stream.send(bytes(limits.messageBytesMax + 1))).rejects.toMatchObject({ code: 'STREAM_TOO_LONG' })
  await expect(net.settle(stream.receive({ timeoutMs: 100 }))).rejects.toMatchObject({ code: 'STREAM_TIMEOUT' })
  expect(stream.signal.aborted).toBe(true)
  await expect(stream.send(bytes(1))).rejects.toMatchObject({ code: 'STREAM_TIMEOUT' })
  await expect(net.settle(transport.open(b, '/unknown', limits))).rejects.toMatchObject({ code: 'PEER_UNREACHABLE' })
  await expect(net.settle(transport.open('nobody' as PeerId, '/p', limits))).rejects.toMatchObject({ code: 'PEER_UNREACHABLE' })
  await net.pass(1_000)
  const open = await Promise.all([1, 2, 3, 4].map(async () => net.settle(transport.open(b, '/p', limits))))
  const fifth = await net.settle(transport.open(b, '/p', limits))
  await expect(net.settle(fifth.receive())).rejects.toMatchObject({ code: 'STREAM_RESET' })
  for (const one of open) one.abort(new Error('done'))
  await net.pass(1_000)
  expect((await net.settle(transport.open(b, '/p', limits))).signal.aborted).toBe(false)
})

test('a sender is held back by one who does not read, and times out', async () => {
  const net = new BareNet()
  await pair(net, async (stream) => { await new Promise<void>((resolve) => { stream.signal.addEventListener('abort', () => { resolve() }) }) })
  const stream = await net.settle(net.network.process('a' as PeerId)!.transport.open(b, '/p', limits))
  const sent: number[] = []
  const all = (async () => {
    for (let n = 0; n < 40; n++) {
      await stream.send(bytes(100_000))
      sent.push(n)
    }
  })()
  await expect(net.settle(all)).rejects.toMatchObject({ code: 'STREAM_TIMEOUT' })
  expect(sent.length * 100_000).toBeGreaterThan(modelled.STREAM_WINDOW_BYTES_MAX)
  expect(sent.length * 100_000).toBeLessThan(modelled.STREAM_WINDOW_BYTES_MAX + 2 * modelled.SEND_MARK_BYTES)
})

test('a cut holds messages up until it heals, or the connection is given up; the other direction goes on when it is one-way', async () => {
  const net = new BareNet()
  const got: number[] = []
  await pair(net, async (stream) => {
    for (let message = await stream.receive({ timeoutMs: 60_000 }); message !== undefined; message = await stream.receive({ timeoutMs: 60_000 })) {
      got.push(message.length)
      await stream.send(message)
    }
  })
  const stream = await net.settle(net.network.process('a' as PeerId)!.transport.open(b, '/p', limits))
  const heal = net.cut(['b'], ['a'], true)
  await net.settle(stream.send(bytes(1)))
  await net.pass(1_000)
  expect(got).toEqual([1])
  heal()
  expect((await net.settle(stream.receive()))?.length).toBe(1)
  net.cut(['a'], ['b'])
  await net.settle(stream.send(bytes(2)))
  await expect(net.settle(stream.receive({ timeoutMs: 60_000 }))).rejects.toMatchObject({ code: 'STREAM_RESET' })
  expect(net.network.process('a' as PeerId)?.transport.connected()).toEqual([])
  expect(got).toEqual([1])
  net.network.links.heal()
  await net.pass(20_000)
  expect(net.network.process('a' as PeerId)?.transport.connected()).toEqual(['b'])
})

test('a process that dies is noticed at once, a host that does after the monitor\'s time, and nothing reaches the dead', async () => {
  for (const silent of [false, true]) {
    const net = new BareNet()
    let reached = 0
    await pair(net, async (stream) => { while (await stream.receive({ timeoutMs: 60_000 }) !== undefined) reached++ })
    const { transport } = net.network.process('a' as PeerId)!
    const stream = await net.settle(transport.open(b, '/p', limits))
    net.kill('b', silent)
    const fromMs = net.timeline.nowMs
    await net.settle(stream.send(bytes(1)))
    await expect(net.settle(stream.receive({ timeoutMs: 60_000 }))).rejects.toMatchObject({ code: 'STREAM_RESET' })
    const afterMs = net.timeline.nowMs - fromMs
    if (silent) expect(afterMs).toBeGreaterThanOrEqual(modelled.SILENCE_MS_MIN)
    expect(afterMs).toBeLessThanOrEqual(silent ? modelled.SILENCE_MS_MAX : 100)
    const againMs = net.timeline.nowMs
    await expect(net.settle(transport.open(b, '/p', limits))).rejects.toMatchObject({ code: 'PEER_UNREACHABLE' })
    expect(net.timeline.nowMs - againMs).toBeLessThanOrEqual(silent ? modelled.OPEN_TIMEOUT_MS : 100)
    expect(reached).toBe(0)
  }
})

test('loss is delay, and with much of it the connection breaks', async () => {
  const net = new BareNet()
  let got = 0
  await pair(net, async (stream) => { while (await stream.receive({ timeoutMs: 600_000 }) !== undefined) got++ })
  const { transport } = net.network.process('a' as PeerId)!
  net.link = { ...net.link, lossShare: 0.3 }
  net.network.links.heal() // Looks the links up anew.
  const stream = await net.settle(transport.open(b, '/p', { ...limits, idleTimeoutMs: 600_000 }))
  for (let n = 0; n < 50; n++) await net.settle(stream.send(bytes(10)))
  const fromMs = net.timeline.nowMs
  await net.pass(60_000)
  expect(got).toBe(50)
  expect(net.timeline.nowMs - fromMs).toBeGreaterThan(200)
  net.link = { ...net.link, lossShare: 0.999 }
  net.network.links.heal()
  await net.settle(stream.send(bytes(10)))
  await expect(net.settle(stream.receive({ timeoutMs: 600_000 }), 700_000)).rejects.toMatchObject({ code: 'STREAM_RESET' })
})
