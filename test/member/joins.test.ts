import { describe, expect, test } from 'vitest'
import { asPlantError, type KeyId, type PeerId } from '../../protocols/kit/index.ts'
import { CALL_FRESH_MS, JOIN_MS_MAX, checkJoin, openCall, signCall, signCredential, type GrantsAsked, type OpenedJoinCall } from '../../protocols/member/index.ts'
import { crypto, person, type Person } from './support.ts'

const NOW_MS = 1_700_000_000_000
const owner = person()
const via = person().id as string as PeerId
const none: GrantsAsked = { take () {}, holds: async () => false }
const granted = (...keys: KeyId[]): GrantsAsked => ({ take () {}, holds: async (domain, domainKey, key) => domain === 'lab' && domainKey === owner.id && keys.includes(key) })

const join = (by: Person, body: Record<string, unknown> = {}, issuedAtMs = NOW_MS, credentials?: Uint8Array[]): OpenedJoinCall => {
  const signed = signCall(by.signer, {
    kind: 'join', via, body: { domain: 'lab', domainKey: owner.id, network: 'lan', expiresAtMs: NOW_MS + 60_000, ...body }, issuedAtMs, nonce: new Uint8Array(16), ...(credentials && { credentials })
  })
  const call = openCall(crypto, signed)
  if (call.kind !== 'join') throw new Error('not a join')
  return call
}
const verdict = async (call: OpenedJoinCall, grants = none, nowMs = NOW_MS): Promise<unknown> => {
  try {
    return await checkJoin(crypto, call, nowMs, grants)
  } catch (error) { return asPlantError(error).details['part'] }
}

describe('a join', () => {
  test('lets in when the domain\'s key signed it', async () => {
    expect(await verdict(join(owner))).toEqual({ untilMs: NOW_MS + 60_000, granted: false })
  })

  test('lets in when its key is granted, and nobody else', async () => {
    const friend = person()
    expect(await verdict(join(friend), granted(friend.id))).toEqual({ untilMs: NOW_MS + 60_000, granted: true })
    expect(await verdict(join(friend, { domain: 'other' }), granted(friend.id))).toContain('neither the domain\'s nor granted')
    expect(await verdict(join(friend))).toContain('neither the domain\'s nor granted')
  })

  test('takes along the grants that it brings', async () => {
    const taken: Uint8Array[] = []
    await verdict(join(person(), {}, NOW_MS, [Uint8Array.of(1), Uint8Array.of(2)]), { take: (signed) => { taken.push(signed) }, holds: async () => true })
    expect(taken).toEqual([Uint8Array.of(1), Uint8Array.of(2)])
  })

  test('lets a holder of the domain\'s credential in until that ends', async () => {
    const member = person()
    const credential = (terms: Record<string, unknown>, by = owner): Uint8Array => signCredential(by.signer, { domain: 'lab', owner: member.id, issuedAtMs: NOW_MS, ...terms })
    expect(await verdict(join(member, { credential: credential({ expiresAtMs: NOW_MS + 1 }) }))).toEqual({ untilMs: NOW_MS + 1, granted: false })
    for (const wrong of [credential({ expiresAtMs: NOW_MS }), credential({ domain: 'other' }), credential({ owner: person().id }), credential({}, person())]) {
      expect(await verdict(join(member, { credential: wrong }))).toContain('the credential is another\'s')
    }
  })

  test('is refused when it has expired, is of the future or lets in for too long', async () => {
    expect(await verdict(join(owner), none, NOW_MS + 60_000)).toBe('the call has expired')
    expect(await verdict(join(owner, {}, NOW_MS + CALL_FRESH_MS + 1))).toBe('the call is of the future')
    expect(await verdict(join(owner, { expiresAtMs: NOW_MS + JOIN_MS_MAX + 1 }))).toBe('the call lets in for too long')
  })
})
