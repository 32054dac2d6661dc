/** The model of a crowd against the real swarm's engine on a virtual network, and against the bound that no swarm beats. */
import { expect, test } from 'vitest'
import { RandomStream } from '../../../sim/kernel/index.ts'
import { flashCrowd } from '../../../sim/scale/flash-crowd.ts'
import { PIECE_BYTES } from '../../../storage/swarm/constants.ts'
import { MemoryPack, namesOf, pieceOf } from '../../swarm/packs.ts'
import { fixed } from '../../swarm/plants.ts'
import { SimNet } from '../../swarm/sim-net.ts'

const crowd = (plants: number, chunks: number, more: { slowShare?: number, seed?: number } = {}): ReturnType<typeof flashCrowd> =>
  flashCrowd({ random: new RandomStream(more.seed ?? 1, 'crowd'), plants, chunks, dialled: 32, slowShare: more.slowShare ?? 0, slowRate: 0.5 })

test('the engine takes no less than the model, and no more than a third longer, on a small crowd', async () => {
  const [plants, pieces] = [8, 128]
  const names = namesOf(7, pieces)
  const net = new SimNet()
  const line = { upBytesPerS: 1_250_000, downBytesPerS: 1_250_000, latencyMs: 2 }
  const publisher = await net.host('publisher', line)
  publisher.swarm.serve(new MemoryPack(names, (i) => pieceOf(7, i)))
  const others = await Promise.all(Array.from({ length: plants }, async (_, i) => net.host(`plant ${i}`, line)))
  const peers = [publisher, ...others].map(({ peer }) => peer)
  let left = plants
  for (const { swarm } of others) {
    const pack = new MemoryPack(names)
    swarm.serve(pack)
    void swarm.fetch(pack, { providers: fixed(...peers) }).done.then(() => { left-- })
  }
  while (left > 0 && net.clock.monotonicMs() < 60_000) await net.clock.advance(20)
  expect(left).toBe(0)
  const engine = net.clock.monotonicMs() / (pieces * PIECE_BYTES / line.upBytesPerS * 1_000)
  const model = Math.max(...crowd(plants, pieces).doneSlot) / pieces
  expect(engine / model).toBeGreaterThan(1)
  expect(engine / model).toBeLessThan(4 / 3)
  expect(publisher.swarm.uploadedBytes / pieces / PIECE_BYTES).toBeLessThan(1.5)
})

test('a crowd is done near the bound, and no earlier', () => {
  for (const plants of [1, 7, 60, 400]) {
    const chunks = 400
    const { doneSlot, sentByPublisher, transfers } = crowd(plants, chunks)
    expect(Math.min(...doneSlot)).toBeGreaterThanOrEqual(chunks)
    expect(Math.max(...doneSlot)).toBeLessThan(1.1 * (chunks + Math.log2(plants + 1)))
    expect(sentByPublisher).toBeLessThan(1.1 * chunks + 1)
    expect(transfers).toBe(plants * chunks)
  }
})

test('a plant with a slow line takes its own time and holds nobody up', () => {
  const done = [...crowd(200, 200, { slowShare: 0.1 }).doneSlot].sort((a, b) => a - b)
  expect(done[Math.floor(0.8 * done.length)]).toBeLessThan(240)
  expect(done.at(-1)).toBeGreaterThanOrEqual(400)
})

test('one seed is one crowd', () => {
  expect(crowd(50, 100).doneSlot).toEqual(crowd(50, 100).doneSlot)
  expect(crowd(50, 100).doneSlot).not.toEqual(crowd(50, 100, { seed: 2 }).doneSlot)
})
