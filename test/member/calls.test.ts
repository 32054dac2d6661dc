import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { PlantError, encode, keyIdOf, toHex, type PeerId, type Signer, type VmId } from '../../protocols/kit/index.ts'
import {
  CALL_BYTES_MAX, CALL_FRESH_MS, checkFresh, checkVia, honourOnce, openCall, openGrant, signCall, signDocument, signGrant, vmIdOfOrder, type Call
} from '../../protocols/member/index.ts'
import { crypto, person } from './support.ts'

const vmId = 'ab'.repeat(16) as VmId
const via = keyIdOf(new Uint8Array(32).fill(3)) as string as PeerId
const query: Call = { kind: 'query', vmId, via, body: {}, issuedAtMs: 1_700_000_000_000, nonce: new Uint8Array(16).fill(7) }
const orderCall = (body: Record<string, unknown> = {}): Call => ({
  kind: 'order', via, body: { orderId: 'o-1', documentIndex: 0, copyIndex: 0, order: { domain: 'ufl.example' }, ...body }, issuedAtMs: 1, nonce: new Uint8Array(16)
})
const order = (owner: Signer, body: Record<string, unknown> = {}): Uint8Array => signCall(owner, orderCall(body))

function codeOf (work: () => unknown): string {
  try {
    work()
  } catch (error) {
    if (error instanceof PlantError) return error.code
    throw error
  }
  return 'nothing thrown'
}

describe('a signed call', () => {
  test('opens with its caller when it comes as it was signed', () => {
    const { signer, id } = person()
    expect(openCall(crypto, signCall(signer, query))).toEqual({ kind: 'query', vmId, via, body: {}, issuedAtMs: query.issuedAtMs, caller: id, nonce: `${id}/${'07'.repeat(16)}` })
  })

  test('has these bytes when its key and signature are given', () => {
    const signer: Signer = { publicKey: new Uint8Array(32).fill(1), sign: () => new Uint8Array(64).fill(2) }
    expect(toHex(signCall(signer, query))).toMatchSnapshot()
  })

  test('covers purpose and payload when it is signed', () => {
    let signed = new Uint8Array()
    signCall({ publicKey: new Uint8Array(32), sign: (bytes) => { signed = bytes.slice(); return new Uint8Array(64) } }, query)
    expect(new TextDecoder().decode(signed.subarray(1, 1 + (signed[0] ?? 0)))).toBe('plantmesh/call/v1')
  })

  test('is refused when it is changed anywhere or cut short', () => {
    const { signer } = person()
    const bytes = signCall(signer, query)
    fc.assert(fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, by) => {
      const broken = bytes.slice()
      broken[at] = (broken[at] ?? 0) ^ by
      expect(['SIGNATURE_INVALID', 'MESSAGE_INVALID']).toContain(codeOf(() => openCall(crypto, broken)))
      expect(codeOf(() => openCall(crypto, bytes.subarray(0, at)))).toBe('MESSAGE_INVALID')
    }))
  })

  test('is refused when it is any other bytes', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => { expect(codeOf(() => openCall(crypto, bytes))).toBe('MESSAGE_INVALID') }))
  })

  test('survives the trip when it is an order with any document', () => {
    const { signer, id } = person()
    // DAG-CBOR has no -0 and keeps no prototype; a JSON document has neither.
    fc.assert(fc.property(fc.dictionary(fc.string(), fc.jsonValue()).filter((document) => !JSON.stringify(document).includes('__proto__')), (document) => {
      const plain = JSON.parse(JSON.stringify(document)) as Record<string, unknown>
      const opened = openCall(crypto, order(signer, { order: plain }))
      expect(opened.caller).toBe(id)
      expect(opened.kind === 'order' && opened.body.order).toEqual(plain)
    }), { numRuns: 50 })
  })

  test('is refused when a signature for another purpose is put under it', () => {
    const { signer } = person()
    expect(codeOf(() => openCall(crypto, signDocument(signer, 'grant', query)))).toBe('SIGNATURE_INVALID')
    expect(codeOf(() => openGrant(crypto, signCall(signer, query)))).toBe('SIGNATURE_INVALID')
  })

  test('is refused when it is too long, before it is looked at', () => {
    expect(codeOf(() => openCall(crypto, new Uint8Array(CALL_BYTES_MAX + 1)))).toBe('MESSAGE_INVALID')
    expect(codeOf(() => order(person().signer, { order: { x: 'x'.repeat(CALL_BYTES_MAX) } }))).toBe('MESSAGE_INVALID')
  })

  test('is refused when its body has unknown fields, or its kind is unknown', () => {
    const { signer } = person()
    expect(codeOf(() => openCall(crypto, signDocument(signer, 'call', { ...query, body: { more: 1 } })))).toBe('MESSAGE_INVALID')
    expect(codeOf(() => openCall(crypto, signDocument(signer, 'call', { ...query, kind: 'reboot' })))).toBe('MESSAGE_INVALID')
    expect(codeOf(() => openCall(crypto, signDocument(signer, 'call', { ...query, vmId: undefined })))).toBe('MESSAGE_INVALID')
    expect(codeOf(() => openCall(crypto, signDocument(signer, 'call', { ...query, via: undefined })))).toBe('MESSAGE_INVALID')
    expect(codeOf(() => openCall(crypto, signDocument(signer, 'call', { ...query, via: 'any peer' })))).toBe('MESSAGE_INVALID')
  })

  test('is refused when it is nested a hundred thousand deep', () => {
    const { signer } = person()
    const payload = new Uint8Array(100_000).fill(0x81)
    const bytes = encode({ payload, publicKey: signer.publicKey, signature: new Uint8Array(64) })
    expect(codeOf(() => openCall(crypto, bytes))).toBe('SIGNATURE_INVALID')
    expect(codeOf(() => openCall(crypto, payload))).toBe('MESSAGE_INVALID')
  })
})

describe('a call', () => {
  test('is stale when the clocks differ by more than five minutes either way', () => {
    const call = openCall(crypto, signCall(person().signer, query))
    for (const byMs of [CALL_FRESH_MS, -CALL_FRESH_MS, 0]) expect(codeOf(() => { checkFresh(call, query.issuedAtMs + byMs) })).toBe('nothing thrown')
    for (const byMs of [CALL_FRESH_MS + 1, -CALL_FRESH_MS - 1]) expect(codeOf(() => { checkFresh(call, query.issuedAtMs + byMs) })).toBe('CALL_STALE')
  })

  test('is let through once, for each caller', () => {
    const seen = new Set<string>()
    const store = { seenCall: ({ nonce }: { nonce: string }) => !seen.has(nonce) && seen.add(nonce) !== undefined }
    const call = openCall(crypto, signCall(person().signer, query))
    honourOnce(call, query.issuedAtMs, store)
    expect(codeOf(() => { honourOnce(call, query.issuedAtMs, store) })).toBe('CALL_REPLAYED')
    honourOnce(openCall(crypto, signCall(person().signer, query)), query.issuedAtMs, store)
  })

  test('is for the shop that it was signed for and no other; an order is the same for each', () => {
    const owner = person()
    const other = person().id as string as PeerId
    const call = openCall(crypto, signCall(owner.signer, query))
    expect(codeOf(() => { checkVia(call, via) })).toBe('nothing thrown')
    expect(codeOf(() => { checkVia(call, other) })).toBe('CALL_MISDIRECTED')
    const opened = [via, other].map((shop) => openCall(crypto, signCall(owner.signer, { ...orderCall(), via: shop })))
    expect(new Set(opened.map((one) => one.kind === 'order' && vmIdOfOrder(one))).size).toBe(1)
  })

  test('names the same machine when the same owner orders again, another for another owner', () => {
    const [a, b] = [person(), person()]
    const idOf = (bytes: Uint8Array): VmId => {
      const call = openCall(crypto, bytes)
      if (call.kind !== 'order') throw new Error('not an order')
      return vmIdOfOrder(call)
    }
    expect(idOf(order(a.signer))).toBe(idOf(order(a.signer, { order: { domain: 'ufl.example', more: 1 } })))
    expect(idOf(order(a.signer))).not.toBe(idOf(order(b.signer)))
    expect(idOf(order(a.signer, { order: {} }))).toBe(idOf(order(a.signer, { order: { domain: 'default' } })))
    expect(keyIdOf(a.signer.publicKey)).toBe(a.id)
  })

  test('a grant opens with the key that signed it when it is sound', () => {
    const [domain, grantee] = [person(), person()]
    expect(openGrant(crypto, signGrant(domain.signer, { domain: 'd', grantee: grantee.id, issuedAtMs: 1, revoked: false }))).toMatchObject({ domainKey: domain.id, grantee: grantee.id })
  })
})
