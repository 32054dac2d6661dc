import { connect, createServer } from 'node:net'
import type { Server, Socket } from 'node:net'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Duplex } from 'node:stream'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { machineCard } from '../../node/net/machine-card.ts'
import { NetworkPort } from '../../node/lines/qemu/network-port.ts'

const framed = (bytes: Uint8Array): Buffer => {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(bytes.length)
  return Buffer.concat([length, bytes])
}

/** A stream whose other end is the test: what is written is kept until it is let go. */
class Wire extends Duplex {
  readonly written: Buffer[] = []
  #held: Array<() => void> | undefined

  override _read (): void {} // The test pushes.
  override _write (bytes: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.written.push(bytes)
    if (this.#held === undefined) done()
    else this.#held.push(done)
  }

  hold (): void { this.#held = [] }
}

describe('a machine\'s card', () => {
  test('gives frames as they were, however the stream is cut, and drops those that are none', async () => {
    await fc.assert(fc.asyncProperty(fc.array(fc.oneof(fc.uint8Array({ maxLength: 20 }), fc.uint8Array({ minLength: 14, maxLength: 1_514 })), { maxLength: 12 }), fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1 }), async (frames, steps) => {
      const wire = new Wire()
      const card = machineCard(wire)
      const got: Buffer[] = []
      card.onFrame(({ bytes }) => { got.push(Buffer.from(bytes)) })
      const all = Buffer.concat(frames.map(framed))
      for (let at = 0, i = 0; at < all.length; i++) {
        const end = at + (steps[i % steps.length] ?? 1)
        wire.push(all.subarray(at, end))
        at = end
      }
      const whole = frames.filter(({ length }) => length >= 14)
      await vi.waitFor(() => { expect(card.counts.received + card.counts.dropped).toBe(frames.length) })
      expect(got).toHaveLength(whole.length)
      expect(got.every((one, i) => one.equals(whole[i] ?? Buffer.alloc(0)))).toBe(true)
      expect(card.counts).toEqual({ received: whole.length, sent: 0, dropped: frames.length - whole.length })
      card.close()
    }), { numRuns: 60 })
  })

  test('drops whole frames while the guest does not read, and goes on after', () => {
    const wire = new Wire()
    const card = machineCard(wire)
    wire.hold()
    for (let i = 0; i < 1_000; i++) card.send({ bytes: new Uint8Array(1_514).fill(i) })
    expect(card.counts.sent + card.counts.dropped).toBe(1_000)
    expect(card.counts.dropped).toBeGreaterThan(800)
    expect(wire.writableLength).toBeLessThanOrEqual(256 * 1024)
    card.close()
  })

  test.each([0, 13, 69_633])('does not send a frame of %i bytes, nor one that is yet to be cut', (length) => {
    const card = machineCard(new Wire())
    card.send({ bytes: new Uint8Array(length) })
    card.send({ bytes: new Uint8Array(60), offload: new Uint8Array(10) })
    expect(card.counts).toEqual({ received: 0, sent: 0, dropped: 2 })
    card.close()
  })

  test.each([['at once', [Buffer.from('7fffffff00', 'hex')]], ['in pieces', [Buffer.from('7f', 'hex'), Buffer.from('ffffff', 'hex')]], ['whole', [Buffer.alloc(70_000)]]])('is closed by a length that cannot be, told %s', async (how, pieces) => {
    const wire = new Wire()
    const card = machineCard(wire)
    if (how === 'whole') pieces[0]?.writeUInt32BE(69_900)
    for (const piece of pieces) wire.push(piece)
    await vi.waitFor(() => { expect(card.closed.aborted).toBe(true) })
    expect([wire.destroyed, card.closed.reason]).toEqual([true, expect.any(RangeError)])
    card.send({ bytes: new Uint8Array(60) })
    expect(card.counts.dropped).toBe(1)
  })
})

describe('over a real socket', () => {
  let dir = ''
  let server: Server
  const guests: Socket[] = []
  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'plantmesh-card-'))
    server = createServer((guest) => { guests.push(guest) })
    await new Promise<void>((resolve) => { server.listen(join(dir, 'net'), resolve) })
  })
  afterAll(() => {
    for (const guest of guests) guest.destroy()
    server.close()
    rmSync(dir, { recursive: true, force: true })
  })

  test('a guest that reads late gets only whole frames, and one beside it gets all of its own', async () => {
    const cards = [0, 1].map(() => machineCard(new NetworkPort(connect(join(dir, 'net')))))
    await vi.waitFor(() => { expect(guests).toHaveLength(2) })
    const [slow, fast] = guests
    slow?.pause()
    let fastBytes = 0
    fast?.on('data', (piece: Buffer) => { fastBytes += piece.length })
    for (let i = 0; i < 3_000; i++) {
      for (const card of cards) card.send({ bytes: Buffer.alloc(1_000, i) })
      if (i % 50 === 49) await vi.waitFor(() => { expect(fastBytes).toBe((i + 1) * 1_004) })
    }
    expect(cards.map(({ counts }) => counts.sent === 3_000)).toEqual([false, true])
    const pieces: Buffer[] = []
    slow?.on('data', (piece: Buffer) => { pieces.push(piece) }).resume()
    const wanted = (cards[0]?.counts.sent ?? 0) * 1_004
    await vi.waitFor(() => { expect(pieces.reduce((sum, { length }) => sum + length, 0)).toBe(wanted) })
    const all = Buffer.concat(pieces)
    for (let at = 0; at < all.length; at += 1_004) if (all.readUInt32BE(at) !== 1_000 || !all.subarray(at + 4, at + 1_004).every((byte) => byte === all[at + 4])) throw new Error(`out of step at ${at}`)
    guests[0]?.destroy()
    await vi.waitFor(() => { expect(cards[0]?.closed.aborted).toBe(true) })
    cards[1]?.close()
  })
})
