import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { FRAME_HEADER_BYTES, FrameBuffer, PlantError, frame, toHex } from '../../protocols/kit/index.ts'

test('a frame is four bytes of length, big-endian, and the message', () => {
  expect(toHex(frame(Uint8Array.of(0xca, 0xfe)))).toBe('00000002cafe')
  expect(toHex(frame(new Uint8Array(0)))).toBe('00000000')
})

test('frames come out as they went in, however the bytes were cut', () => {
  fc.assert(fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 20 }), fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 1, maxLength: 30 }), (messages, cuts) => {
    const bytes = Buffer.concat(messages.map(frame))
    const buffer = new FrameBuffer(300)
    const out: Uint8Array[] = []
    for (let at = 0, i = 0; at < bytes.length; i++) {
      const size = cuts[i % cuts.length] ?? 1
      buffer.push(bytes.subarray(at, at + size))
      at += size
      for (let message = buffer.next(); message !== undefined; message = buffer.next()) out.push(message)
    }
    expect(out.map((message) => [...message])).toEqual(messages.map((message) => [...message]))
    expect(buffer.heldBytes).toBe(0)
  }))
})

test('a huge length is refused from its four bytes alone, and again on every further try', () => {
  const buffer = new FrameBuffer(1000)
  buffer.push(Uint8Array.of(0xff, 0xff, 0xff, 0xff))
  expect(() => buffer.next()).toThrow(PlantError)
  expect(() => buffer.next()).toThrow(expect.objectContaining({ code: 'STREAM_TOO_LONG' }))
  expect(buffer.heldBytes).toBe(FRAME_HEADER_BYTES)
})

test('rubbish either gives messages within the limit or is refused', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 2000 }), (bytes) => {
    const buffer = new FrameBuffer(64)
    buffer.push(bytes)
    try {
      for (let message = buffer.next(); message !== undefined; message = buffer.next()) expect(message.length).toBeLessThanOrEqual(64)
    } catch (error) {
      expect(error).toMatchObject({ code: 'STREAM_TOO_LONG' })
    }
  }))
})

test('a message stays as it was when more bytes come', () => {
  const buffer = new FrameBuffer(10)
  buffer.push(frame(Uint8Array.of(1, 2, 3)))
  const message = buffer.next()
  buffer.push(frame(Uint8Array.of(9, 9, 9)))
  expect([...message ?? []]).toEqual([1, 2, 3])
})
