/** Frames in a stream of bytes: what goes in comes out, whatever the pieces; what lies ends the stream; who does not read loses frames and nothing else. */
import { Duplex, PassThrough } from 'node:stream'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { FrameStream } from '../../node/net/frame-stream.ts'
import type { Frame } from '../../protocols/tunnel/types.ts'

function pipe (): { near: Duplex, written: Buffer[], push: (bytes: Uint8Array) => void } {
  const written: Buffer[] = []
  const near = new Duplex({ read () {}, write (piece: Buffer, _encoding, done) { written.push(piece); done() } })
  return { near, written, push: (bytes) => { near.push(bytes) } }
}

const settled = async (): Promise<void> => new Promise((resolve) => { setImmediate(resolve) })

const frames = fc.array(fc.record({ bytes: fc.uint8Array({ minLength: 14, maxLength: 3_000 }), offload: fc.option(fc.uint8Array({ minLength: 10, maxLength: 10 }), { nil: undefined }) }), { maxLength: 20 })

describe('FrameStream', () => {
  test('carries frames whole and in order wherever the bytes are cut', async () => {
    await fc.assert(fc.asyncProperty(frames, fc.array(fc.integer({ min: 1, max: 2_000 }), { minLength: 1, maxLength: 20 }), async (sent, cuts) => {
      const out = pipe()
      const sender = new FrameStream(out.near, { takesOffload: true })
      for (const { bytes, offload } of sent) sender.send(offload === undefined ? { bytes } : { bytes, offload })
      await settled()
      const all = Buffer.concat(out.written)
      const into = pipe()
      const got: Frame[] = []
      new FrameStream(into.near, { takesOffload: true }).onFrame((frame) => { got.push({ bytes: Uint8Array.from(frame.bytes), ...(frame.offload !== undefined && { offload: Uint8Array.from(frame.offload) }) }) })
      for (let at = 0, i = 0; at < all.length; i++) {
        const count = cuts[i % cuts.length] ?? 1
        into.push(all.subarray(at, at + count))
        at += count
      }
      await settled()
      expect(got).toEqual(sent.map(({ bytes, offload }) => offload === undefined ? { bytes } : { bytes, offload }))
    }), { numRuns: 50 })
  })

  test('ends when a length is a lie, and passes over what is too short for a frame', async () => {
    const lie = pipe()
    const stream = new FrameStream(lie.near, { takesOffload: false })
    stream.onFrame(() => { throw new Error('no frame was sent') })
    lie.push(Buffer.from([0, 0, 0, 0, 0, 0, 0, 2, 1, 2]))
    await settled()
    expect(stream.closed.aborted).toBe(false)
    lie.push(Buffer.from([0x3f, 0xff, 0xff, 0xff]))
    await settled()
    expect(stream.closed.aborted).toBe(true)
  })

  test('hands control records to their reader, and ends where none are expected', async () => {
    const out = pipe()
    new FrameStream(out.near, { takesOffload: false }).control(Buffer.from('renewed'))
    await settled()
    const into = pipe()
    const heard: string[] = []
    new FrameStream(into.near, { takesOffload: false, onControl: (bytes) => { heard.push(Buffer.from(bytes).toString()) } }).onFrame(() => {})
    into.push(Buffer.concat(out.written))
    await settled()
    expect(heard).toEqual(['renewed'])
    const strange = pipe()
    const plain = new FrameStream(strange.near, { takesOffload: false })
    plain.onFrame(() => {})
    strange.push(Buffer.concat(out.written))
    await settled()
    expect(plain.closed.aborted).toBe(true)
  })

  test('drops frames rather than keep them when the other end does not read', () => {
    const stuck = new PassThrough({ highWaterMark: 1 })
    const stream = new FrameStream(stuck, { takesOffload: false })
    for (let i = 0; i < 2_000; i++) stream.send({ bytes: new Uint8Array(1_500) })
    expect(stuck.writableLength).toBeLessThan(1024 * 1024 + 2 * 1_504)
    expect(stream.dropped).toBeGreaterThan(1_000)
    stream.close()
  })
})
