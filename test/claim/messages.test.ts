import fc from 'fast-check'
import { expect, test } from 'vitest'
import { PlantError, toHex, type PeerId, type VmId } from '../../protocols/kit/index.ts'
import { decodeAnswer, decodeAsk, decodeKept, encodeAnswer, encodeAsk, encodeKept, type Answer, type Ask, type Kept } from '../../protocols/claim/index.ts'

const vmId = 'ab'.repeat(16) as VmId
const orderDigest = 'cd'.repeat(32)
const claimId = 'ef'.repeat(16)
const peer = '12D3KooW' as PeerId
const asks: Ask[] = [
  { t: 0, vmId, orderDigest, claimId, round: 1 },
  { t: 1, vmId, claimId, round: 1 },
  { t: 2, vmId, orderDigest, claimId, awardedAtMs: 5, order: 9 },
  { t: 3, order: 9, holdings: [{ vmId, orderDigest, awardedAtMs: 5 }], gone: [{ vmId, orderDigest, collected: true }] },
  { t: 4, vmId, orderDigest },
  { t: 5 },
  { t: 6 },
  { t: 6, after: peer }
]
const answers: Answer[] = [
  { t: 0 }, { t: 1, shop: peer, leftMs: 3 }, { t: 2, holder: peer, orderDigest, awardedAtMs: 5, settled: true }, { t: 3, holder: peer, orderDigest }, { t: 4 }, { t: 5 },
  { t: 6, rivals: [{ vmId, holder: peer, awardedAtMs: 1 }], full: [vmId] }, { t: 7, orderDigest, awardedAtMs: 5, proof: new Uint8Array(32).fill(1) }, { t: 8 },
  { t: 9, missed: [{ peer, agoMs: 7 }] }
]
const kept: Kept[] = [
  { kind: 'held', holder: peer, orderDigest, awardedAtMs: 5, settled: false, order: 9 }, { kind: 'collected', holder: peer, orderDigest, order: 9, untilWallMs: 77 }
]

test('messages have these bytes', () => {
  expect([...asks.map(encodeAsk), ...answers.map(encodeAnswer), ...kept.map(encodeKept)].map(toHex)).toMatchSnapshot()
})

test('messages survive the trip whatever they hold', () => {
  const hex = (bytes: number) => fc.uint8Array({ minLength: bytes, maxLength: bytes }).map(toHex)
  const time = fc.maxSafeNat()
  const id = hex(16).map((text) => text as VmId)
  fc.assert(fc.property(id, hex(32), hex(16), time, time, fc.boolean(), (v, d, c, a, b, bool) => {
    const some: Ask[] = [
      { t: 0, vmId: v, orderDigest: d, claimId: c, round: a }, { t: 2, vmId: v, orderDigest: d, claimId: c, awardedAtMs: a, order: b },
      { t: 3, order: b, holdings: [{ vmId: v, orderDigest: d, awardedAtMs: a }], gone: [{ vmId: v, orderDigest: d, collected: bool }] }
    ]
    for (const ask of some) expect(decodeAsk(encodeAsk(ask))).toEqual(ask)
    const answer: Answer = { t: 2, holder: peer, orderDigest: d, awardedAtMs: a, settled: bool }
    expect(decodeAnswer(encodeAnswer(answer))).toEqual(answer)
  }))
  for (const ask of asks) expect(decodeAsk(encodeAsk(ask))).toEqual(ask)
  for (const answer of answers) expect(decodeAnswer(encodeAnswer(answer))).toEqual(answer)
  for (const one of kept) expect(decodeKept(encodeKept(one))).toEqual(one)
})

test('messages are refused when they are broken anywhere', () => {
  const all = [...asks.map((ask) => [encodeAsk(ask), decodeAsk] as const), ...answers.map((answer) => [encodeAnswer(answer), decodeAnswer] as const)]
  fc.assert(fc.property(fc.constantFrom(...all), fc.nat(), fc.integer({ min: 0, max: 255 }), ([bytes, decodeIt], at, by) => {
    const refusedOrSound = (broken: Uint8Array): void => {
      try {
        decodeIt(broken)
      } catch (error) {
        expect(error).toBeInstanceOf(PlantError)
        expect((error as PlantError).code).toBe('MESSAGE_INVALID')
      }
    }
    const changed = bytes.slice()
    changed[at % bytes.length] = by
    refusedOrSound(changed)
    expect(() => decodeIt(bytes.subarray(0, at % bytes.length))).toThrow('MESSAGE_INVALID')
  }))
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => { expect(() => decodeAsk(bytes)).toThrow('MESSAGE_INVALID') }))
  expect(() => decodeAsk(encodeAsk({ t: 3, order: 1, holdings: Array.from({ length: 257 }, () => ({ vmId, orderDigest, awardedAtMs: 1 })), gone: [] }))).toThrow('MESSAGE_INVALID')
})
