import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  decodeAwardAnswer, decodeAwardAsk, decodeCall, decodeCallAnswer, encodeAwardAnswer, encodeAwardAsk, encodeCall, encodeCallAnswer, refusalOf,
  ANSWER_BYTES_MAX, REASONS_MAX, SIGNED_ORDER_BYTES_MAX, type AwardAnswer, type AwardAsk, type Bid, type Call, type CallAnswer
} from '../../protocols/bid/index.ts'
import { PlantError, toHex, type LeaseId, type PeerId, type VmId } from '../../protocols/kit/index.ts'

const ID = '0123456789abcdef0123456789abcdef'
const vmId = ID as VmId
const plant = '12D3KooWPlant' as PeerId
const bid: Bid = { bidId: ID, vmId, plant, items: [{ item: 'compute', cost: 4, why: 'one machine' }, { item: 'network', cost: 50, why: 'fresh' }], total: 54, rank: -0.5, expiresInMs: 15_000 }

test('messages have the bytes that the spec shows', () => {
  const order = Uint8Array.of(1, 2, 3)
  expect(toHex(encodeCall({ t: 0, callId: ID, signedOrder: order, withinMs: 4_500 }))).toMatchInlineSnapshot(`"a46174006663616c6c4964782030313233343536373839616263646566303132333435363738396162636465666877697468696e4d731911946b7369676e65644f7264657243010203"`)
  expect(toHex(encodeCallAnswer({ t: 0, bid }))).toMatchInlineSnapshot(`"a261740063626964a76472616e6bfbbfe000000000000064766d49647820303132333435363738396162636465663031323334353637383961626364656665626964496478203031323334353637383961626364656630313233343536373839616263646566656974656d7382a3637768796b6f6e65206d616368696e6564636f737404646974656d67636f6d70757465a36377687965667265736864636f73741832646974656d676e6574776f726b65706c616e746d313244334b6f6f57506c616e7465746f74616c18366b65787069726573496e4d73193a98"`)
  expect(toHex(encodeCallAnswer({ t: 1, plant, refusal: refusalOf([{ code: 'RAM_SHORT', clause: 'hardware.memoryMiB', have: 1, need: 2, waitHelps: true, smallestChange: { attribute: 'hardware.memoryMiB', from: 2, to: 1 } }]) }))).toMatchInlineSnapshot(`"a361740165706c616e746d313244334b6f6f57506c616e74677265667573616ca267726561736f6e7381a664636f64656952414d5f53484f5254646861766501646e6565640266636c617573657268617264776172652e6d656d6f72794d6942697761697448656c7073f56e736d616c6c6573744368616e6765a362746f016466726f6d02696174747269627574657268617264776172652e6d656d6f72794d69426e736d616c6c6573744368616e676581a362746f016466726f6d02696174747269627574657268617264776172652e6d656d6f72794d6942"`)
  expect(toHex(encodeCallAnswer({ t: 2, held: { vmId, plant, state: 'running', leasedAtMs: 7 } }))).toMatchInlineSnapshot(`"a26174026468656c64a464766d49647820303132333435363738396162636465663031323334353637383961626364656665706c616e746d313244334b6f6f57506c616e746573746174656772756e6e696e676a6c656173656441744d7307"`)
  expect(toHex(encodeAwardAsk({ t: 0, bidId: ID, vmId, signedOrder: order, handOvers: [Uint8Array.of(4)] }))).toMatchInlineSnapshot(`"a561740064766d496478203031323334353637383961626364656630313233343536373839616263646566656269644964782030313233343536373839616263646566303132333435363738396162636465666968616e644f766572738141046b7369676e65644f7264657243010203"`)
  expect(toHex(encodeAwardAsk({ t: 1, bidId: ID, vmId }))).toMatchInlineSnapshot(`"a361740164766d49647820303132333435363738396162636465663031323334353637383961626364656665626964496478203031323334353637383961626364656630313233343536373839616263646566"`)
  expect(toHex(encodeAwardAsk({ t: 2, bidId: ID, vmId }))).toMatchInlineSnapshot(`"a361740264766d49647820303132333435363738396162636465663031323334353637383961626364656665626964496478203031323334353637383961626364656630313233343536373839616263646566"`)
  expect(toHex(encodeAwardAnswer({ t: 0, plant, leaseId: 'lease' as LeaseId, leasedAtMs: 7, expiresInMs: 120_000 }))).toMatchInlineSnapshot(`"a561740065706c616e746d313244334b6f6f57506c616e74676c656173654964656c656173656a6c656173656441744d73076b65787069726573496e4d731a0001d4c0"`)
  expect(toHex(encodeAwardAnswer({ t: 3 }))).toMatchInlineSnapshot(`"a1617403"`)
})

const hex32 = fc.stringMatching(/^[0-9a-f]{32}$/)
const peer = fc.string({ minLength: 1, maxLength: 64 }) as fc.Arbitrary<PeerId>
const cost = fc.double({ min: 0, max: 1e9, noNaN: true }).map((value) => value + 0)
const scalar = fc.oneof(fc.string({ maxLength: 20 }), fc.integer(), fc.boolean(), fc.constant(null))
const reason = fc.record({
  code: fc.string({ maxLength: 20 }), clause: fc.string({ maxLength: 50 }), have: scalar, need: scalar, waitHelps: fc.boolean(),
  smallestChange: fc.record({ attribute: fc.string({ maxLength: 20 }), from: scalar, to: scalar }, { noNullPrototype: true })
}, { requiredKeys: ['code', 'clause'], noNullPrototype: true })
const held = fc.record({ vmId: hex32 as fc.Arbitrary<VmId>, plant: peer, state: fc.string({ maxLength: 10 }), leasedAtMs: fc.nat() }, { noNullPrototype: true })
const callAnswer: fc.Arbitrary<CallAnswer> = fc.oneof(
  fc.record({ items: fc.array(fc.record({ item: fc.string({ maxLength: 9 }), cost, why: fc.string({ maxLength: 30 }) }, { noNullPrototype: true }), { minLength: 1, maxLength: 8 }), bidId: hex32, vmId: hex32, plant: peer, expiresInMs: fc.nat(86_400_000) })
    .map(({ items, ...rest }) => ({ t: 0 as const, bid: { ...rest, items, total: items.reduce((sum, item) => sum + item.cost, 0) } as Bid })),
  fc.record({ plant: peer, reasons: fc.array(reason, { minLength: 1, maxLength: 8 }) }).map(({ plant, reasons }) => ({ t: 1 as const, plant, refusal: refusalOf(reasons) })),
  held.map((value) => ({ t: 2 as const, held: value }))
)
const bytes = fc.uint8Array({ maxLength: 200 })
const call: fc.Arbitrary<Call> = fc.record({ t: fc.constant(0 as const), callId: hex32, signedOrder: bytes, withinMs: fc.nat(86_400_000) }, { noNullPrototype: true })
const awardAsk = fc.oneof(
  fc.record({ t: fc.constant(0 as const), bidId: hex32, vmId: hex32, signedOrder: bytes, handOvers: fc.array(bytes, { maxLength: 3 }) }, { noNullPrototype: true }),
  fc.record({ t: fc.constantFrom(1 as const, 2 as const), bidId: hex32, vmId: hex32 }, { noNullPrototype: true })
) as fc.Arbitrary<AwardAsk>
const awardAnswer = fc.oneof(
  fc.record({ t: fc.constant(0 as const), plant: peer, leaseId: fc.string({ minLength: 1, maxLength: 40 }), leasedAtMs: fc.nat(), expiresInMs: fc.nat(86_400_000) }, { noNullPrototype: true }),
  held.map((value) => ({ t: 2 as const, held: value })), fc.constant({ t: 3 as const })
) as fc.Arbitrary<AwardAnswer>

test('every message comes back as it was sent', () => {
  fc.assert(fc.property(call, (value) => { expect(decodeCall(encodeCall(value))).toEqual(value) }))
  fc.assert(fc.property(callAnswer, (value) => { expect(decodeCallAnswer(encodeCallAnswer(value))).toEqual(value) }))
  fc.assert(fc.property(awardAsk, (value) => { expect(decodeAwardAsk(encodeAwardAsk(value))).toEqual(value) }))
  fc.assert(fc.property(awardAnswer, (value) => { expect(decodeAwardAnswer(encodeAwardAnswer(value))).toEqual(value) }))
})

test('broken bytes are a PlantError or a valid message, never anything else', () => {
  const sound = fc.oneof(call.map(encodeCall), callAnswer.map(encodeCallAnswer), awardAsk.map(encodeAwardAsk), awardAnswer.map(encodeAwardAnswer))
  const broken = fc.tuple(sound, fc.nat(), fc.nat(255), fc.nat()).map(([good, at, value, cut]) => {
    const bad = good.slice(0, 1 + cut % good.length)
    bad[at % bad.length] = value
    return bad
  })
  for (const decode of [decodeCall, decodeCallAnswer, decodeAwardAsk, decodeAwardAnswer]) {
    fc.assert(fc.property(fc.oneof(broken, fc.uint8Array({ maxLength: 100 })), (bad) => {
      try {
        decode(bad)
      } catch (failure) {
        expect(failure).toBeInstanceOf(PlantError)
      }
    }))
  }
})

test('a message of the wrong size or shape is refused', () => {
  const raw = (answer: unknown): Uint8Array => encodeCallAnswer(answer as CallAnswer)
  expect(() => decodeCallAnswer(new Uint8Array(ANSWER_BYTES_MAX + 1))).toThrow('STREAM_TOO_LONG')
  expect(() => decodeCall(encodeCall({ t: 0, callId: ID, signedOrder: new Uint8Array(SIGNED_ORDER_BYTES_MAX + 1), withinMs: 1 }))).toThrow('MESSAGE_INVALID')
  expect(() => decodeCallAnswer(raw({ t: 0, bid: { ...bid, total: 5 } }))).toThrow('MESSAGE_INVALID')
  expect(() => decodeCallAnswer(raw({ t: 0, bid: { ...bid, items: [{ item: 'rebate', cost: -4, why: '' }], total: -4 } }))).toThrow('MESSAGE_INVALID')
  expect(() => decodeCallAnswer(raw({ t: 0, bid: { ...bid, vmId: '../../etc' } }))).toThrow('MESSAGE_INVALID')
  expect(() => decodeCallAnswer(raw({ t: 1, plant, refusal: { reasons: [], smallestChange: [] } }))).toThrow('MESSAGE_INVALID')
})

test('a refusal is cut to what a message holds, and names a change only when it removes every reason', () => {
  const change = { attribute: 'hardware.memoryMiB', from: 2, to: 1 }
  const curable = { code: 'RAM_SHORT', clause: 'x'.repeat(5_000), smallestChange: change }
  expect(refusalOf([curable, curable]).smallestChange).toEqual([change])
  expect(refusalOf([curable, { code: 'POLICY_DOMAIN', clause: 'domain' }]).smallestChange).toEqual([])
  const many = refusalOf(Array.from({ length: 100 }, () => curable))
  expect(many.reasons).toHaveLength(REASONS_MAX)
  expect(decodeCallAnswer(encodeCallAnswer({ t: 1, plant, refusal: many }))).toEqual({ t: 1, plant, refusal: many })
  expect(encodeCallAnswer({ t: 1, plant, refusal: refusalOf([{ code: 'X', clause: '', have: Infinity }]) })).toBeInstanceOf(Uint8Array)
})
