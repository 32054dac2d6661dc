/** Plants that fetch at once and all follow one order (the reads of a recorded boot): on wires in virtual time, at 100 Mbit/s. */
import { expect, test } from 'vitest'
import { PIECE_BYTES } from '../../storage/swarm/constants.ts'
import { MemoryPack, namesOf, pieceOf } from './packs.ts'
import { fixed } from './plants.ts'
import { SimNet, type LineRates } from './sim-net.ts'

const PIECES = 512
const HOSTS = 8
const names = namesOf(7, PIECES)
const whole = Array.from({ length: PIECES }, (_, i) => pieceOf(7, i))
const lines: LineRates = { upBytesPerS: 12_500_000, downBytesPerS: 12_500_000, latencyMs: 2 }
const FILE_MS = PIECES * PIECE_BYTES / lines.upBytesPerS * 1_000

/** In file-times: when the last had all, and when the last had the first 32 of the order; and copies that the publisher sent. */
async function crowd (ordered: number): Promise<{ done: number, first: number, copies: number }> {
  const net = new SimNet()
  const seed = await net.host('seed', lines)
  seed.swarm.serve(new MemoryPack(names, (i) => whole[i] ?? new Uint8Array()))
  const hosts = await Promise.all(Array.from({ length: HOSTS }, async (_, i) => net.host(`host ${i}`, lines)))
  const peers = [seed, ...hosts].map(({ peer }) => peer)
  const order = Array.from({ length: ordered }, (_, i) => (i * 37) % PIECES)
  let [firstMs, left] = [0, HOSTS]
  for (const { swarm } of hosts) {
    const pack = new MemoryPack(names)
    const awaited = new Set(order.slice(0, 32))
    swarm.serve(pack)
    pack.onHave((piece) => { if (awaited.delete(piece) && awaited.size === 0) firstMs = net.clock.monotonicMs() })
    void swarm.fetch(pack, { providers: fixed(...peers), order }).done.then(() => { left-- })
  }
  const sinceMs = net.clock.monotonicMs()
  while (left > 0) await net.clock.advance(10)
  return { done: (net.clock.monotonicMs() - sinceMs) / FILE_MS, first: firstMs / FILE_MS, copies: seed.swarm.uploadedBytes / PIECES / PIECE_BYTES }
}

test('an order that all follow costs a crowd little, and brings its beginning to all early', async () => {
  const free = await crowd(0)
  for (const ordered of [PIECES / 4, PIECES * 3 / 4]) {
    const { done, first, copies } = await crowd(ordered)
    // Strictly in order it was 1.10 and 1.23 times.
    expect(done / free.done).toBeLessThan(1.09)
    expect(first).toBeLessThan(0.25)
    expect(copies).toBeLessThan(1.1)
  }
}, 60_000)
