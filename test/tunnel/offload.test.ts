import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isSound, needsOffload, wireFrames } from '../../protocols/tunnel/offload.ts'
import { offloaded, onesSum, packetShapes, pseudoSum } from './segments.ts'

const header = (over: { flags?: number, type?: number, headerBytes?: number, segmentBytes?: number, from?: number, offset?: number } = {}): Buffer => {
  const bytes = Buffer.alloc(10)
  bytes.set([over.flags ?? 1, over.type ?? 1])
  for (const [i, value] of [over.headerBytes ?? 54, over.segmentBytes ?? 1_448, over.from ?? 34, over.offset ?? 16].entries()) bytes.writeUInt16LE(value, 2 + i * 2)
  return bytes
}
const plain = { isV6: false, payloadBytes: 10_000, segmentBytes: 1_448, ipOptionWords: 0, tcpOptionWords: 0, flags: 0x99, seq: 0xffff_f000, ipId: 0xffff, dontFragment: true, seed: 1 }

describe('frames for a device without offloads', () => {
  test('are whole TCP packets whose sums are right, and together say what the long one said', () => {
    fc.assert(fc.property(packetShapes, (shape) => {
      const { bytes, offload, tcpAt, payloadAt } = offloaded(shape)
      const before = Buffer.from(bytes)
      expect(isSound(bytes, offload)).toBe(true)
      const out = wireFrames({ bytes, offload })
      expect(Buffer.concat(out.map((one) => one.subarray(payloadAt))).equals(bytes.subarray(payloadAt))).toBe(true)
      expect(Buffer.from(bytes).equals(before)).toBe(true)
      expect(out).toHaveLength(Math.ceil((bytes.length - payloadAt) / shape.segmentBytes))
      let at = 0
      for (const [i, one] of out.entries()) {
        const view = new DataView(one.buffer, one.byteOffset, one.byteLength)
        const isLast = i === out.length - 1
        expect(onesSum(one.subarray(tcpAt), pseudoSum(one, shape.isV6, one.length - tcpAt))).toBe(0xffff)
        expect(view.getUint32(tcpAt + 4)).toBe((shape.seq + at) >>> 0)
        expect(view.getUint8(tcpAt + 13)).toBe(shape.flags & (isLast ? 0xff : 0xf6) & (i === 0 ? 0xff : 0x7f))
        if (shape.isV6) {
          expect(view.getUint16(18)).toBe(one.length - 54)
        } else {
          expect(onesSum(one.subarray(14, tcpAt))).toBe(0xffff)
          expect([view.getUint16(16), view.getUint16(18)]).toEqual([one.length - 14, (shape.ipId + i) & 0xffff])
        }
        at += one.length - payloadAt
      }
    }), { numRuns: 300 })
  })

  test('are as they were when nothing was left to the card', () => {
    const { bytes } = offloaded(plain)
    expect(wireFrames({ bytes })).toEqual([bytes])
    expect(wireFrames({ bytes, offload: header({ flags: 0, type: 0 }) })).toEqual([bytes])
    expect([needsOffload(header({ flags: 2, type: 0 })), needsOffload(header({ type: 0 })), needsOffload(header({ flags: 0 }))]).toEqual([false, true, true])
  })

  test('never have a checksum of 0, which UDP takes for none', () => {
    const bytes = Buffer.alloc(60)
    bytes.writeUInt16BE(0xffff, 40)
    const [one] = wireFrames({ bytes, offload: header({ type: 0, headerBytes: 0, from: 34, offset: 6 }) })
    expect(Buffer.from(one ?? []).readUInt16BE(40)).toBe(0xffff)
  })

  test('keep their VLAN tags', () => {
    const { bytes } = offloaded(plain)
    const tagged = Buffer.concat([bytes.subarray(0, 12), Buffer.from([0x81, 0, 0, 7]), bytes.subarray(12)])
    const out = wireFrames({ bytes: tagged, offload: header({ from: 38 }) })
    expect(out).toHaveLength(7)
    for (const one of out) expect(Buffer.from(one).subarray(12, 18).toString('hex')).toBe('810000070800')
  })
})

describe('a header that lies', () => {
  test.each([
    ['has another length', header().subarray(0, 9)],
    ['has flags that nobody offered', header({ flags: 1 | 4 })],
    ['asks for UDP fragments', header({ type: 3 })],
    ['asks for UDP segments', header({ type: 5 })],
    ['speaks of the other IP', header({ type: 4 })],
    ['leaves out that the checksum is to do', header({ flags: 0 })],
    ['wants segments of nothing', header({ segmentBytes: 0 })],
    ['wants more segments than any kernel', header({ segmentBytes: 47 })],
    ['has headers that are longer than the frame', header({ headerBytes: 10_055 })],
    ['sums from elsewhere', header({ from: 35 })],
    ['sums to elsewhere', header({ offset: 18 })]
  ])('makes no frame when it %s', (_, offload) => {
    const { bytes } = offloaded(plain)
    expect([wireFrames({ bytes, offload }), isSound(bytes, offload)]).toEqual([[], false])
  })

  test.each([
    ['a fragment', (bytes: Buffer) => { bytes.writeUInt16BE(0x2000, 20) }],
    ['another protocol', (bytes: Buffer) => { bytes[23] = 17 }],
    ['a length that is not the frame\'s', (bytes: Buffer) => { bytes.writeUInt16BE(9_000, 16) }],
    ['a short IP header', (bytes: Buffer) => { bytes[14] = 0x44 }],
    ['a short TCP header', (bytes: Buffer) => { bytes[46] = 0x40 }],
    ['no IP', (bytes: Buffer) => { bytes.writeUInt16BE(0x0806, 12) }]
  ])('makes no frame of %s', (_, spoil) => {
    const bytes = Buffer.from(offloaded(plain).bytes)
    spoil(bytes)
    expect([wireFrames({ bytes, offload: header() }), isSound(bytes, header())]).toEqual([[], false])
  })

  test.each([0, 13, 14, 33, 34, 53, 54])('neither throws nor reads beyond a frame of %i bytes', (length) => {
    const bytes = Buffer.from(offloaded(plain).bytes.subarray(0, length))
    for (const offload of [header(), header({ type: 0 }), header({ type: 4 }), header({ type: 0, from: 0xffff, offset: 0xffff })]) expect(wireFrames({ bytes, offload }).length).toBeLessThan(2)
  })

  test('neither throws nor makes more than its share, whatever the bytes', () => {
    const noise = fc.record({ bytes: fc.uint8Array({ maxLength: 200 }), offload: fc.uint8Array({ minLength: 8, maxLength: 11 }) })
    const spoilt = fc.record({ shape: packetShapes, at: fc.array(fc.tuple(fc.nat(120), fc.nat(255)), { maxLength: 4 }), cut: fc.nat(70_000) }).map(({ shape, at, cut }) => {
      const { bytes, offload } = offloaded(shape)
      const both = Buffer.concat([offload, bytes])
      for (const [i, value] of at) if (i < both.length) both[i] = value
      return { offload: both.subarray(0, 10), bytes: both.subarray(10, Math.max(10, cut % both.length)) }
    })
    fc.assert(fc.property(fc.oneof(noise, spoilt), ({ bytes, offload }) => {
      const out = wireFrames({ bytes, offload })
      expect(out.length).toBeLessThanOrEqual(1 + bytes.length / 48)
      for (const one of out) expect(one.length).toBeLessThanOrEqual(bytes.length)
      expect(isSound(bytes, offload)).toBe(out.length > 0)
    }), { numRuns: 2_000 })
  })
})
