/** What a guest may send, bit by bit: in order, in pieces, cut off, and hostile. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { BOOT_MARK, HEAD_BYTES, HELLO_MARK, MESSAGE, NO_SESSION_TOKEN, RESYNC_BYTES_MAX, STALE_BYTES_MAX, TO_GUEST_PAYLOAD_BYTES_MAX, TO_HOST_PAYLOAD_BYTES_MAX } from '../../node/lines/qemu/channel/constants.ts'
import { encodeFrame, encodeHello, FrameReader } from '../../node/lines/qemu/channel/frames.ts'
import type { Found } from '../../node/lines/qemu/channel/frames.ts'
import { encodeRequest, parseOutputs } from '../../node/lines/qemu/channel/request.ts'
import { RunRecord } from '../../node/lines/qemu/channel/run-record.ts'

const nonce = Buffer.alloc(16, 0x11)
const token = Buffer.from([1, 3, 5, 7])
const answer = Buffer.concat([HELLO_MARK, nonce])
const boot = Buffer.concat([Buffer.alloc(TO_HOST_PAYLOAD_BYTES_MAX + 16), encodeFrame(MESSAGE.BOOT, 0, Buffer.concat([BOOT_MARK, Buffer.from('version=1\nboot=b2')]), NO_SESSION_TOKEN)])

function inStep (): FrameReader {
  const reader = new FrameReader()
  reader.expectHello(nonce, token)
  expect([...reader.read(answer)]).toEqual([{ kind: 'in-step' }])
  return reader
}

function readInPieces (reader: FrameReader, bytes: Buffer, sizes: number[]): Found[] {
  const found: Found[] = []
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length] ?? 1
    found.push(...reader.read(bytes.subarray(at, at + size)))
    at += size
  }
  return found
}

const frames = fc.array(fc.record({ type: fc.integer({ min: MESSAGE.INFO, max: MESSAGE.REFUSED }), id: fc.nat({ max: 0xffffffff }), payload: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)) }), { maxLength: 6 })
const sizes = fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 5 })

describe('frames', () => {
  test('are these bytes', () => {
    expect(encodeFrame(MESSAGE.OUTPUT, 258, Buffer.from('\u0001hi'), token).toString('hex')).toBe('4300000102000301686901030507')
    const hello = encodeHello(nonce, token)
    expect(hello.subarray(0, HEAD_BYTES + TO_GUEST_PAYLOAD_BYTES_MAX + 4).every((byte) => byte === 0)).toBe(true)
    expect(hello.subarray(HEAD_BYTES + TO_GUEST_PAYLOAD_BYTES_MAX + 4).toString('hex')).toBe('010000000000141111111111111111111111111111111101030507504d4731')
  })

  test('are read as they were written, however they are cut', () => {
    fc.assert(fc.property(frames, sizes, (sent, cuts) => {
      const found = readInPieces(inStep(), Buffer.concat(sent.map(({ type, id, payload }) => encodeFrame(type, id, payload, token))), cuts)
      expect(found).toEqual(sent.map((frame) => ({ kind: 'frame', frame })))
    }))
  })

  test('of another host are skipped until the answer to this one\'s hello', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 5000 }), sizes, (stale, cuts) => {
      const reader = new FrameReader()
      reader.expectHello(nonce, token)
      const found = readInPieces(reader, Buffer.concat([stale, Buffer.concat([HELLO_MARK, Buffer.alloc(16, 9)]), answer, encodeFrame(MESSAGE.STARTED, 1, Buffer.alloc(0), token)]), cuts)
      expect(found.map(({ kind }) => kind)).toEqual(['in-step', 'frame'])
    }))
  })

  test('that a reboot cut off anywhere are followed by the word of the boot', () => {
    const frame = encodeFrame(MESSAGE.OUTPUT, 0x01020304, Buffer.alloc(600, 0x42), token)
    fc.assert(fc.property(fc.integer({ min: 0, max: frame.length - 1 }), sizes, (cut, cuts) => {
      const found = readInPieces(inStep(), Buffer.concat([frame.subarray(0, cut), boot]), cuts.map((size) => size * 10))
      expect(found).toEqual([{ kind: 'booted', info: 'version=1\nboot=b2' }])
    }))
  })

  test('of a hostile guest end in an error and hold no memory', () => {
    fc.assert(fc.property(fc.uint8Array({ minLength: 1, maxLength: 2000 }), (junk) => {
      for (const found of inStep().read(junk)) expect(['frame', 'booted', 'broken']).toContain(found.kind)
    }))
    const huge = Buffer.alloc(7)
    huge.writeUInt8(MESSAGE.OUTPUT, 0)
    huge.writeUInt16BE(0xffff, 5)
    const reader = inStep()
    const found = readInPieces(reader, Buffer.concat([huge, Buffer.alloc(RESYNC_BYTES_MAX + 100, 0x55)]), [1000])
    expect(found).toEqual([{ kind: 'broken', problem: expect.any(String) }])
    const silent = new FrameReader()
    silent.expectHello(nonce, token)
    expect(readInPieces(silent, Buffer.alloc(STALE_BYTES_MAX + 100, 0x55), [65_536]).map(({ kind }) => kind)).toEqual(['broken'])
  })
})

test('outputs take only attribute names, at most 256, the last of each, and tell what was left out', () => {
  const parsed = (text: string) => parseOutputs(Buffer.from(text))
  expect(parsed('A=1\nA=2\n b=3\nc\n=4\n9=5\nd=e=f')).toEqual({ outputs: { A: '2', d: 'e=f' }, outputsDropped: { count: 4, some: [expect.stringMatching(/^ b: /), expect.stringMatching(/^c: /), expect.stringMatching(/^: /), expect.stringMatching(/^9: /)] } })
  expect(parsed('A=1\n')).toEqual({ outputs: { A: '1' } })
  const many = parsed(Array.from({ length: 1000 }, (_, i) => `n${i}=1`).join('\n'))
  expect(Object.keys(many.outputs)).toHaveLength(256)
  expect(many.outputsDropped).toMatchObject({ count: 744, some: { length: 8 } })
  expect(parsed(`short=1\nlong=${'x'.repeat(4097)}`)).toMatchObject({ outputs: { short: '1' }, outputsDropped: { count: 1, some: ['long: 4097 characters; at most 4096'] } })
})

test('an output that is cut off is left out, not passed off as whole', () => {
  const lines = `first=1\n${'n=x\n'.repeat(16_380)}`
  const cut = parseOutputs(Buffer.from(`${lines}last=${'y'.repeat(60)}`).subarray(0, 65_536))
  expect(cut).toEqual({ outputs: { first: '1', n: 'x' }, outputsDropped: { count: 1, some: [expect.stringMatching(/^last: cut off/)] } })
})

test('of outputs that differ only in case the later counts, and it is told', () => {
  expect(parseOutputs(Buffer.from('Uid=1\nuid=2\n'))).toEqual({ outputs: { uid: '2' }, outputsDropped: { count: 1, some: ['Uid: the same name as uid, which came later'] } })
})

test('a request is these bytes', () => {
  const request = encodeRequest({ script: 's', parameters: { P: 'v' }, files: { '/f': 't' }, timeoutMs: 1 })
  expect(request.toString('hex')).toBe('02000000010000000150760300000002000000012f667401000000000000000173')
})

test('a run keeps the end of its output only, whatever the size of the pieces', () => {
  fc.assert(fc.property(fc.array(fc.integer({ min: 1, max: 16_000 }), { minLength: 1, maxLength: 200 }), (pieces) => {
    const record = new RunRecord()
    let all = ''
    for (const [i, size] of pieces.entries()) {
      const text = String.fromCharCode(97 + i % 26).repeat(size)
      all += text
      record.onFrame({ type: MESSAGE.OUTPUT, id: 1, payload: Buffer.from(`\u0001${text}`) })
    }
    expect(record.outputTail).toBe(all.slice(-65_536))
    expect(record.outputBytes).toBe(all.length)
  }), { numRuns: 30 })
})
