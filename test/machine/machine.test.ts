import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { toHex } from '../../protocols/kit/index.ts'
import { judgeCall, MACHINE_STATES } from '../../protocols/machine/index.ts'
import { decodeAsk, decodeTell, encodeAsk, encodeTell, type Tell } from '../../protocols/machine/messages.ts'

describe('machine messages', () => {
  test('have the bytes they always had', () => {
    expect(toHex(encodeAsk({ t: 0, signedCall: Uint8Array.of(1, 2) }))).toMatchInlineSnapshot(`"a26174006a7369676e656443616c6c420102"`)
    expect(toHex(encodeAsk({ t: 2 }))).toMatchInlineSnapshot('"a1617402"')
    expect(toHex(encodeTell({ t: 2, step: 'clone', share: 0.5 }))).toMatchInlineSnapshot(`"a3617402647374657065636c6f6e65657368617265fb3fe0000000000000"`)
    expect(toHex(encodeTell({ t: 4, status: 3 }))).toMatchInlineSnapshot(`"a26174046673746174757303"`)
  })

  test('come back as they went', () => {
    const tells: fc.Arbitrary<Tell> = fc.oneof(
      fc.record({ t: fc.constant(2 as const), step: fc.string({ maxLength: 100 }), share: fc.double({ min: 0, max: 1, noNaN: true }) }),
      fc.record({ t: fc.constant(3 as const), source: fc.constantFrom('stdout' as const, 'stderr' as const), bytes: fc.uint8Array({ maxLength: 200 }) }),
      fc.record({ t: fc.constant(4 as const), status: fc.integer({ min: 0, max: 255 }) })
    )
    fc.assert(fc.property(tells, (tell) => { expect(decodeTell(encodeTell(tell))).toEqual(tell) }))
  })

  test('are refused with MESSAGE_INVALID, never another error, when broken', () => {
    const good = encodeTell({ t: 2, step: 'configure', share: 0.25 })
    fc.assert(fc.property(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
      const bad = good.slice()
      bad[at] = (bad[at] ?? 0) ^ flip
      try {
        decodeTell(bad)
      } catch (error) {
        expect(error).toMatchObject({ code: 'MESSAGE_INVALID' })
      }
    }))
    fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), (junk) => {
      try {
        decodeAsk(junk)
      } catch (error) {
        expect(error).toMatchObject({ code: 'MESSAGE_INVALID' })
      }
    }))
  })
})

describe('a call on a machine', () => {
  test('is unknown where there is no such machine', () => {
    expect(judgeCall('query', undefined)).toMatchObject({ taken: false, code: 'VM_UNKNOWN' })
  })

  test('by a stranger is refused in every state, without telling the state', () => {
    for (const state of MACHINE_STATES) {
      for (const kind of ['query', 'exec', 'console', 'publish', 'collect'] as const) {
        expect(judgeCall(kind, { state, allowed: false })).toEqual({ taken: false, code: 'NOT_AUTHORISED', details: { call: kind } })
      }
    }
  })

  test('is taken only in states that can answer it', () => {
    expect(judgeCall('exec', { state: 'running', allowed: true })).toEqual({ taken: true })
    expect(judgeCall('exec', { state: 'failed', allowed: true })).toMatchObject({ taken: false, code: 'VM_STATE', details: { state: 'failed' } })
    expect(judgeCall('collect', { state: 'failed', allowed: true })).toEqual({ taken: true })
    expect(judgeCall('publish', { state: 'creating', allowed: true })).toMatchObject({ code: 'VM_STATE' })
  })
})
