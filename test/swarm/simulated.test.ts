/** The whole engine on wires in virtual time: what takes minutes on capped links takes seconds here, and replays. */
import { expect, test } from 'vitest'
import { PIECE_BYTES } from '../../storage/swarm/constants.ts'
import { MemoryPack, namesOf, pieceOf } from './packs.ts'
import { fixed } from './plants.ts'
import { SimNet } from './sim-net.ts'
import type { LineRates } from './sim-net.ts'

const PIECES = 128
const names = namesOf(7, PIECES)
const whole = Array.from({ length: PIECES }, (_, i) => pieceOf(7, i))
const seedPack = (): MemoryPack => new MemoryPack(names, (i) => whole[i] ?? new Uint8Array())
const tenMbit: LineRates = { upBytesPerS: 1_250_000, downBytesPerS: 1_250_000, latencyMs: 2 }
const FILE_MS = PIECES * PIECE_BYTES / tenMbit.upBytesPerS * 1_000

async function settle (net: SimNet, done: Promise<void>, withinMs: number): Promise<number> {
  const startMs = net.clock.monotonicMs()
  let settled = false
  const mark = (): void => { settled = true }
  done.then(mark, mark)
  while (!settled && net.clock.monotonicMs() - startMs < withinMs) await net.clock.advance(50)
  expect(settled).toBe(true)
  await done
  return net.clock.monotonicMs() - startMs
}

test('eight hosts get an image in a third more than the time of one copy, and the publisher sends half a copy more at most', async () => {
  const net = new SimNet()
  const seed = await net.host('seed', tenMbit)
  seed.swarm.serve(seedPack())
  const others = await Promise.all(Array.from({ length: 8 }, async (_, i) => net.host(`host ${i}`, tenMbit)))
  const peers = [seed, ...others].map(({ peer }) => peer)
  const fetches = others.map(({ swarm }) => {
    const pack = new MemoryPack(names)
    swarm.serve(pack)
    return swarm.fetch(pack, { providers: fixed(...peers) })
  })
  const tookMs = await settle(net, Promise.all(fetches.map(({ done }) => done)).then(() => {}), FILE_MS * 4)
  // In 128 pieces the first and the last weigh more than in a real image: 1.3 and 1.1 are usual.
  expect(tookMs / FILE_MS).toBeLessThan(1.5)
  expect(seed.swarm.uploadedBytes / PIECES / PIECE_BYTES).toBeLessThan(1.5)
})

test('a host that falls silent half-way costs its peers no more than a second', async () => {
  const net = new SimNet()
  const hosts = await Promise.all(['a', 'b', 'c'].map(async (name) => net.host(name, tenMbit)))
  const [a, b, fetcher] = hosts
  if (a === undefined || b === undefined || fetcher === undefined) throw new Error('three hosts were asked for')
  a.swarm.serve(seedPack())
  b.swarm.serve(seedPack())
  const pack = new MemoryPack(names)
  const fetch = fetcher.swarm.fetch(pack, { providers: fixed(a.peer, b.peer) })
  await net.clock.advance(FILE_MS / 4)
  net.silence(a.peer)
  const leftMs = (PIECES - fetch.progress.have) * PIECE_BYTES / tenMbit.upBytesPerS * 1_000
  expect(await settle(net, fetch.done, FILE_MS * 2)).toBeLessThan(leftMs + 1_300)
})

test('the last piece of a host that stalls at 99 % is had from another', async () => {
  const net = new SimNet()
  const [good, fetcher] = [await net.host('good', { ...tenMbit, upBytesPerS: 60_000 }), await net.host('fetcher', tenMbit)]
  const fast = await net.host('fast', tenMbit)
  good.swarm.serve(seedPack())
  fast.swarm.serve(seedPack())
  const fetch = fetcher.swarm.fetch(new MemoryPack(names), { providers: fixed(good.peer, fast.peer) })
  while (fetch.progress.have < PIECES - 3) await net.clock.advance(20)
  net.silence(fast.peer)
  expect(await settle(net, fetch.done, 60_000)).toBeLessThan(6_000)
})

test('an urgent piece comes before all that is queued', async () => {
  const net = new SimNet()
  const [seed, fetcher] = [await net.host('seed', tenMbit), await net.host('fetcher', tenMbit)]
  seed.swarm.serve(seedPack())
  const pack = new MemoryPack(names)
  const fetch = fetcher.swarm.fetch(pack, { providers: fixed(seed.peer) })
  await net.clock.advance(1_500)
  const missing = Array.from({ length: PIECES }, (_, i) => i).filter((i) => !pack.has(i))
  const first = await settle(net, fetch.urgent(missing.at(-1) ?? 0), 5_000)
  const second = await settle(net, fetch.urgent(missing.at(-2) ?? 0), 5_000)
  // One piece takes 52 ms; what was asked before is in front of the first, and little of it once a machine waits.
  expect(first).toBeLessThan(600)
  expect(second).toBeLessThan(300)
  await settle(net, fetch.done, FILE_MS * 2)
})

test('a fetch with nobody to ask ends with what is missing, or waits when told so', async () => {
  const net = new SimNet()
  const fetcher = await net.host('fetcher', tenMbit)
  const fetch = fetcher.swarm.fetch(new MemoryPack(names), { providers: fixed(), stalledMs: 5_000 })
  const failed = fetch.done.then(() => undefined, (error: unknown) => error)
  await net.clock.advance(6_000)
  expect(await failed).toMatchObject({ code: 'FETCH_STALLED', details: { infoHash: names.infoHash, missing: PIECES, of: PIECES, firstMissing: 0, peers: [] } })
  await expect(fetch.urgent(1)).rejects.toThrow('LIMIT')

  const patient = fetcher.swarm.fetch(new MemoryPack(names), { providers: fixed('late' as never), stalledMs: Infinity })
  await net.clock.advance(120_000)
  const late = await net.host('late', tenMbit)
  late.swarm.serve(seedPack())
  await settle(net, patient.done, 120_000)
})

test('one fetch wants more when told so, and ends when it is finished', async () => {
  const net = new SimNet()
  const [seed, fetcher] = [await net.host('seed', tenMbit), await net.host('fetcher', tenMbit)]
  seed.swarm.serve(seedPack())
  const pack = new MemoryPack(names)
  const fetch = fetcher.swarm.fetch(pack, { providers: fixed(seed.peer), pieces: [], stays: true })
  await settle(net, fetch.urgent(99), 3_000)
  await net.clock.advance(40_000)
  expect(pack.held).toBe(1)
  fetch.more([1, 2, 3])
  fetch.finish()
  await settle(net, fetch.done, 5_000)
  expect([1, 2, 3, 99].every((piece) => pack.has(piece))).toBe(true)
  expect(pack.held).toBe(4)
})

test('an abort ends the fetch, its waiters and its wires', async () => {
  const net = new SimNet()
  const [seed, fetcher] = [await net.host('seed', tenMbit), await net.host('fetcher', tenMbit)]
  seed.swarm.serve(seedPack())
  const abort = new AbortController()
  const fetch = fetcher.swarm.fetch(new MemoryPack(names), { providers: fixed(seed.peer), signal: abort.signal })
  await net.clock.advance(1_000)
  const waiter = fetch.urgent(PIECES - 1).then(() => undefined, (error: unknown) => error)
  abort.abort(new Error('enough'))
  await expect(fetch.done).rejects.toThrow('enough')
  expect(await waiter).toMatchObject({ message: 'enough' })
  await net.clock.advance(1_000)
  expect([...seed.swarm.figures(), ...fetcher.swarm.figures()]).toEqual([])
  expect(net.clock.pending).toBe(0)
})
