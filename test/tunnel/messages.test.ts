import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { asPlantError, toHex, type PeerId, type VmId } from '../../protocols/kit/index.ts'
import { openBatch, packBatch, recordBytes } from '../../protocols/tunnel/batch.ts'
import { BATCH_BYTES_MAX, FRAME_BYTES_MAX, MEMBERS_TOLD_MAX } from '../../protocols/tunnel/constants.ts'
import { decodeControl, encodeControl, isBatch, type Control } from '../../protocols/tunnel/messages.ts'
import type { Frame, NetworkId, Station } from '../../protocols/tunnel/types.ts'

const peer = '12D3KooWA2842yzjxoAAqAwfvj6eRQ8Dog4c7t8wdpMz5Z8Hhwh8' as PeerId
const proof = { kind: 'machine', signedOrder: Uint8Array.of(1, 2, 3), handOvers: [Uint8Array.of(4)] } as const
const station: Station = { mac: '52:54:00:12:34:56', addresses: ['10.192.0.7'], vmId: 'ab'.repeat(16) as VmId, name: 'web-1', router: true }
const CONTROLS: Control[] = [
  { t: 'hello', network: 'cd'.repeat(16) as NetworkId, proof: { ...proof, handOvers: [...proof.handOvers] }, uplink: false },
  { t: 'welcome', proof: { kind: 'proxy', signedCall: Uint8Array.of(9) }, uplink: true },
  { t: 'refusal', code: 'NOT_HERE' },
  { t: 'stations', add: [{ station, proof: { ...proof, handOvers: [...proof.handOvers] } }], remove: ['02:00:00:00:00:01'], uplink: true, snapshot: 'end' },
  { t: 'members', peers: [peer] },
  { t: 'alive' },
  { t: 'leave' }
]
const code = (work: () => unknown): string => {
  try {
    work()
    return 'taken'
  } catch (error) { return asPlantError(error).code }
}
const joined = (pieces: readonly Uint8Array[]): Uint8Array => Uint8Array.from(pieces.flatMap((piece) => [...piece]))

describe('messages of a tunnel', () => {
  test.each(CONTROLS)('$t comes as it went, in these bytes', (message) => {
    expect(decodeControl(encodeControl(message))).toEqual(message)
    expect(toHex(encodeControl(message))).toMatchSnapshot()
    expect(isBatch(encodeControl(message))).toBe(false)
  })

  test('are refused when they are rubbish, of no known kind, or longer than their kind', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => { expect(['MESSAGE_INVALID', 'taken']).toContain(code(() => decodeControl(bytes))) }))
    for (const bytes of [[], [4], [8], [255], [6, 0], [7, 7], [0], [1, 0xa0]]) expect(code(() => decodeControl(Uint8Array.from(bytes)))).toBe('MESSAGE_INVALID')
  })

  test('are refused when any byte of theirs is another, or are taken as another sound message', () => {
    const bytes = encodeControl(CONTROLS[3] ?? { t: 'alive' })
    fc.assert(fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, by) => {
      const broken = bytes.slice()
      broken[at] = (broken[at] ?? 0) ^ by
      expect(['MESSAGE_INVALID', 'taken']).toContain(code(() => decodeControl(broken)))
      expect(code(() => decodeControl(bytes.subarray(0, at)))).toBe('MESSAGE_INVALID')
    }))
  })

  test.each([
    ['a group address', { ...station, mac: '01:00:5e:00:00:01' }], ['a MAC in capitals', { ...station, mac: '52:54:00:AA:00:01' }],
    ['no IPv4 address', { ...station, addresses: ['10.192.0.256'] }], ['an address of five parts', { ...station, addresses: ['1.2.3.4.5'] }], ['an address with a line after it', { ...station, addresses: ['1.2.3.4\n'] }],
    ['nine addresses', { ...station, addresses: Array.from({ length: 9 }, (_, i) => `10.0.0.${i}`) }], ['a name with a dot', { ...station, name: 'a.b' }], ['how its address was given', { ...station, given: { sinceMs: 1, prefixBits: 8 } }]
  ])('are refused when a station has %s', (_, wrong) => {
    expect(code(() => decodeControl(encodeControl({ t: 'stations', add: [{ station: wrong as Station, proof: { ...proof, handOvers: [] } }], remove: [], uplink: false })))).toBe('MESSAGE_INVALID')
  })

  test('are refused when they tell of more members than one may', () => {
    expect(code(() => decodeControl(encodeControl({ t: 'members', peers: Array.from({ length: MEMBERS_TOLD_MAX + 1 }, () => peer) })))).toBe('MESSAGE_INVALID')
  })
})

describe('a batch of frames', () => {
  const frames = fc.array(fc.record({ bytes: fc.oneof(fc.uint8Array({ minLength: 14, maxLength: 100 }), fc.integer({ min: 14, max: 9_000 }).map((length) => new Uint8Array(length).fill(length))), offload: fc.option(fc.uint8Array({ minLength: 10, maxLength: 10 }), { nil: undefined }) }))
    .map((all) => all.map(({ bytes, offload }): Frame => offload === undefined ? { bytes } : { bytes, offload }))

  test('comes as it went, its frames being views of the message', () => {
    fc.assert(fc.property(frames, (sent) => {
      const message = joined(packBatch(sent))
      fc.pre(message.length <= BATCH_BYTES_MAX)
      expect(message.length).toBe(1 + sent.reduce((sum, frame) => sum + recordBytes(frame), 0))
      const come = openBatch(message)
      expect(come.map(({ bytes, offload }) => [toHex(bytes), offload && toHex(offload)])).toEqual(sent.map(({ bytes, offload }) => [toHex(bytes), offload && toHex(offload)]))
      for (const { bytes } of come) expect(bytes.buffer).toBe(message.buffer)
    }))
  })

  test('has these bytes', () => {
    const offload = Uint8Array.from({ length: 10 }, (_, i) => i)
    const message = joined(packBatch([{ bytes: new Uint8Array(14).fill(0xaa) }, { bytes: new Uint8Array(15).fill(0xbb), offload }]))
    expect(toHex(message)).toBe(`040000000e${'aa'.repeat(14)}8000001900010203040506070809${'bb'.repeat(15)}`)
  })

  test('does not copy long frames', () => {
    const long = new Uint8Array(60_000)
    expect(packBatch([{ bytes: new Uint8Array(60) }, { bytes: long }, { bytes: new Uint8Array(60) }])[1]).toBe(long)
  })

  test('holds the longest frame', () => {
    const bytes = new Uint8Array(FRAME_BYTES_MAX)
    expect(recordBytes({ bytes, offload: new Uint8Array(10) })).toBeLessThanOrEqual(BATCH_BYTES_MAX)
    expect(openBatch(joined(packBatch([{ bytes, offload: new Uint8Array(10) }])))).toHaveLength(1)
  })

  test.each([
    ['a length goes beyond the message', [4, 0, 0, 0, 3, 1, 2]], ['a length is cut off', [4, 0, 0, 0]], ['it is shorter than its offload header', [4, 0x80, 0, 0, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9]],
    ['a frame is shorter than its header', [4, 0, 0, 0, 13, ...new Uint8Array(13)]], ['a frame is nothing', [4, 0, 0, 0, 0]],
    ['a length has all bits', [4, 0xff, 0xff, 0xff, 0xff]], ['a length would be negative', [4, 0x80, 0, 0, 0]]
  ])('is refused when %s', (_, bytes) => { expect(code(() => openBatch(Uint8Array.from(bytes)))).toBe('MESSAGE_INVALID') })

  test('is refused when it, or a frame in it, is longer than it may be', () => {
    expect(code(() => openBatch(new Uint8Array(2 + BATCH_BYTES_MAX)))).toBe('MESSAGE_INVALID')
    expect(code(() => openBatch(joined(packBatch([{ bytes: new Uint8Array(FRAME_BYTES_MAX + 1) }]))))).toBe('MESSAGE_INVALID')
  })

  test('is opened or refused, and nothing else, when it is rubbish', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => { expect(['MESSAGE_INVALID', 'taken']).toContain(code(() => openBatch(Uint8Array.of(4, ...bytes)))) }))
  })
})
