/** Swarms of real libp2p nodes over TCP. */
import { expect, test } from 'vitest'
import type { PeerId } from '../../protocols/kit/index.ts'
import type { ByteStream, WireMaker, WrongPiece } from '../../storage/swarm/index.ts'
import { PIECE_BYTES, SWARM_PROTOCOL } from '../../storage/swarm/constants.ts'
import { until } from '../support/mesh.ts'
import { rawPeer } from '../support/raw-peer.ts'
import { MemoryPack, namesOf, pieceOf } from './packs.ts'
import { fixed, swarmPlants } from './plants.ts'
import type { PlantOptions, SwarmPlant } from './plants.ts'

const names = namesOf(1, 200)
const whole = (): MemoryPack => new MemoryPack(names, (i) => pieceOf(1, i))
const empty = (): MemoryPack => new MemoryPack(names)

type Pair = [SwarmPlant, SwarmPlant]
type Three = [SwarmPlant, SwarmPlant, SwarmPlant]

/** A plant whose streams are tampered with on their way out. */
function tampered (send: (stream: ByteStream, bytes: Uint8Array) => void): PlantOptions {
  return {
    wire: (make: WireMaker) => (stream) => make(Object.create(stream, {
      send: { value: (bytes: Uint8Array) => { send(stream, bytes) } }, queuedBytes: { get: () => stream.queuedBytes }, peer: { value: stream.peer },
      listen: { value: (events: Parameters<ByteStream['listen']>[0]) => { stream.listen(events) } },
      pause: { value: () => { stream.pause() } }, resume: { value: () => { stream.resume() } }, abort: { value: (reason: Error) => { stream.abort(reason) } }
    }) as ByteStream)
  }
}

test('a pack is fetched from one plant, every piece once', async () => {
  const [a, b] = await swarmPlants(2) as Pair
  a.swarm.serve(whole())
  const pack = empty()
  const fetch = b.swarm.fetch(pack, { providers: fixed(a.peer) })
  await fetch.done
  expect(pack.held).toBe(200)
  expect(pack.writes).toBe(200)
  expect(fetch.progress).toMatchObject({ wanted: 200, have: 200, wastedBytes: 0 })
  await until('wires that nobody needs are closed', () => a.swarm.figures().length === 0 && b.swarm.figures().length === 0)
})

test('four plants fetch at once, from each other too; then the publisher goes, and a fifth gets all from them', async () => {
  const plants = await swarmPlants(6)
  const [publisher, last, ...four] = plants as [SwarmPlant, SwarmPlant, ...SwarmPlant[]]
  publisher.swarm.serve(whole())
  const peers = [publisher, ...four].map(({ peer }) => peer)
  await Promise.all(four.map(async ({ swarm }) => {
    const pack = empty()
    swarm.serve(pack)
    await swarm.fetch(pack, { providers: fixed(...peers) }).done
    expect(pack.held).toBe(200)
  }))
  expect(four.reduce((sum, { swarm }) => sum + swarm.uploadedBytes, 0)).toBeGreaterThan(100 * PIECE_BYTES)
  await publisher.swarm.stop()
  await publisher.mesh.stop()
  const pack = empty()
  await last.swarm.fetch(pack, { providers: fixed(...peers) }).done
  expect(pack.held).toBe(200)
})

test('a plant that sends wrong pieces is named, dropped and not asked again; not one of them is kept', async () => {
  const [good, bad, fetcher] = await swarmPlants(3) as Three
  good.swarm.serve(whole())
  bad.swarm.serve(new MemoryPack(names, (i) => pieceOf(2, i)))
  const pack = empty()
  const wrong: WrongPiece[] = []
  fetcher.swarm.onWrong((one) => { wrong.push(one) })
  await fetcher.swarm.fetch(pack, { providers: fixed(good.peer, bad.peer) }).done
  expect(pack.held).toBe(200)
  expect(wrong[0]).toMatchObject({ peer: bad.peer, infoHash: names.infoHash })
  expect(new Set(wrong.map(({ peer }) => peer))).toEqual(new Set([bad.peer]))
  const sent = bad.swarm.uploadedBytes
  const again = fetcher.swarm.fetch(empty(), { providers: fixed(bad.peer), stalledMs: 1_500 })
  await expect(again.done).rejects.toMatchObject({ code: 'FETCH_STALLED' })
  expect(bad.swarm.uploadedBytes).toBe(sent)
})

test('a plant that stalls at 99 % and one that sends a byte a second do not hold up a fetch', async () => {
  let sentBytes = 0
  const stalls = tampered((stream, bytes) => {
    sentBytes += bytes.length
    if (sentBytes < 30 * PIECE_BYTES) stream.send(bytes)
  })
  let shaken = 0
  const crawls = tampered((stream, bytes) => {
    // The first words of a wire go through, so that it is asked for pieces.
    if (shaken++ < 4) stream.send(bytes)
    else setTimeout(() => { stream.send(bytes.subarray(0, 1)) }, 1_000)
  })
  const [good, staller, crawler, fetcher] = await swarmPlants(4, (i) => i === 0 ? { uploadBytesPerS: 4_000_000 } : i === 1 ? stalls : i === 2 ? crawls : {}) as [...Three, SwarmPlant]
  for (const { swarm } of [good, staller, crawler]) swarm.serve(whole())
  const pack = empty()
  const startMs = performance.now()
  await fetcher.swarm.fetch(pack, { providers: fixed(good.peer, staller.peer, crawler.peer) }).done
  expect(pack.held).toBe(200)
  // 170 pieces at 4 MB/s take 2.8 s.
  expect(performance.now() - startMs).toBeLessThan(8_000)
})

test('caps on upload and download are kept within a tenth', async () => {
  const [up, free, capped, other] = await swarmPlants(4, (i) => i === 0 ? { uploadBytesPerS: 2_000_000 } : i === 2 ? { downloadBytesPerS: 2_000_000 } : {}) as [...Three, SwarmPlant]
  const bytes = 200 * PIECE_BYTES
  const took = async (from: SwarmPlant, to: SwarmPlant): Promise<number> => {
    const cancel = from.swarm.serve(whole())
    const startMs = performance.now()
    await to.swarm.fetch(empty(), { providers: fixed(from.peer) }).done
    const bytesPerS = bytes / (performance.now() - startMs) * 1_000
    cancel()
    return bytesPerS
  }
  for (const bytesPerS of [await took(up, other), await took(free, capped)]) {
    expect(bytesPerS).toBeLessThan(2_200_000)
    expect(bytesPerS).toBeGreaterThan(1_500_000)
  }
})

test('two that dial each other at once end with one wire, and both get what they lack', async () => {
  const [a, b] = await swarmPlants(2) as Pair
  const packs = [new MemoryPack(names, (i) => pieceOf(1, i), (i) => i % 2 === 0), new MemoryPack(names, (i) => pieceOf(1, i), (i) => i % 2 === 1)]
  await Promise.all([a, b].map(async ({ swarm }, i) => {
    const pack = packs[i] ?? empty()
    swarm.serve(pack)
    await swarm.fetch(pack, { providers: fixed(a.peer, b.peer) }).done
  }))
  expect(packs.map(({ held }) => held)).toEqual([200, 200])
})

test('a stranger that asks for what is not here, says what is no BitTorrent, or announces gigabytes loses its stream and nothing else', async () => {
  const [plant, fetcher] = await swarmPlants(2) as Pair
  plant.swarm.serve(whole())
  const raw = await rawPeer(plant.mesh)
  const handshake = (infoHash: string): Buffer => Buffer.concat([Buffer.from('\u0013BitTorrent protocol'), Buffer.from([0, 0, 0, 0, 0, 0x10, 0, 4]), Buffer.from(infoHash, 'hex'), Buffer.alloc(20, 0x2d)])
  const sound = handshake(names.infoHash)
  const hostile = [
    handshake('ab'.repeat(20)), Buffer.alloc(100, 1), Buffer.concat([sound, Buffer.from([0x7f, 0xff, 0xff, 0xff, 7])]), Buffer.concat([sound, Buffer.from([0xff, 0xff, 0xff, 0xff, 7])]),
    Buffer.concat([sound, Buffer.from([0, 0, 0, 3, 5, 0xff, 0xff])]), Buffer.concat([sound, sound]),
    Buffer.concat([handshake(names.infoHash).fill(0, 20, 28), Buffer.from([0, 0, 0, 1, 2])]),
    Buffer.concat([sound, ...Array.from({ length: 20 }, (_, i) => Buffer.from([0, 0, 0, 10, 20, 0, ...Buffer.from(`d1:${String.fromCharCode(65 + i)}i1ee`)]))])
  ]
  for (const bytes of hostile) {
    const stream = await raw.connection.newStream(SWARM_PROTOCOL)
    stream.send(bytes)
    await until(`the stream is reset after ${bytes.subarray(0, 100).toString('hex')}`, () => ['reset', 'closed', 'aborted'].includes(stream.status))
  }
  // What is no block is asked for once requests are answered at all.
  const stream = await raw.connection.newStream(SWARM_PROTOCOL)
  let heardBytes = 0
  stream.addEventListener('message', ({ data }) => { heardBytes += data.byteLength })
  stream.send(Buffer.concat([sound, Buffer.from([0, 0, 0, 1, 2])]))
  await until('it is unchoked', () => heardBytes >= 68 + 5 + 25 + 5)
  stream.send(Buffer.from([0, 0, 0, 13, 6, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0x40, 0]))
  await until('the stream is reset', () => stream.status !== 'open')
  const pack = empty()
  await fetcher.swarm.fetch(pack, { providers: fixed(plant.peer) }).done
  expect(pack.held).toBe(200)
})

test('wires of one peer are bounded, and those that never shake hands are closed', async () => {
  const [plant] = await swarmPlants(2) as Pair
  plant.swarm.serve(whole())
  const raw = await rawPeer(plant.mesh)
  const streams = await Promise.all(Array.from({ length: 40 }, async () => raw.connection.newStream(SWARM_PROTOCOL)))
  await until('all above 32 are reset', () => streams.filter(({ status }) => status !== 'open').length === 8)
  await until('the silent ones are reset', () => streams.every(({ status }) => status !== 'open'), 15_000)
})

test('nobody to be reached: the fetch says so', async () => {
  const [plant] = await swarmPlants(2) as Pair
  const nobody = '12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA' as PeerId
  await expect(plant.swarm.fetch(empty(), { providers: fixed(nobody), stalledMs: 2_000 }).done).rejects.toMatchObject({ code: 'FETCH_STALLED', details: { missing: 200 } })
})
