import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { asPlantError, toHex, type PeerId, type Signer, type VmId } from '../../protocols/kit/index.ts'
import { CALL_FRESH_MS, HAND_OVERS_MAX, HAND_OVER_BYTES_MAX, checkHandOvers, handOn, openHandOver, signHandOver } from '../../protocols/member/index.ts'
import { crypto, person } from './support.ts'

interface Peer { signer: Signer, id: PeerId }
const peer = (): Peer => {
  const { signer, id } = person()
  return { signer, id: id as string as PeerId }
}
const vmId = 'ab'.repeat(16) as VmId
const orderDigest = 'cd'.repeat(32)
const NOW_MS = 1_700_000_000_000
const shop = peer()
const machine = { vmId, orderDigest, via: shop.id }

const given = (from: Peer, to: Peer, issuedAtMs = NOW_MS): Uint8Array => signHandOver(from.signer, { vmId, orderDigest, to: to.id, issuedAtMs })
const verdict = (chain: readonly Uint8Array[], of: Peer, nowMs = NOW_MS): unknown => {
  try {
    return checkHandOvers(crypto, machine, chain, of.id, nowMs).sinceMs
  } catch (error) {
    const { code, details } = asPlantError(error)
    return code === 'NOT_AUTHORISED' ? details['part'] : code
  }
}

describe('a hand-over', () => {
  test('has these bytes when its key and signature are given', () => {
    const signer: Signer = { publicKey: new Uint8Array(32).fill(1), sign: () => new Uint8Array(64).fill(2) }
    expect(toHex(signHandOver(signer, { vmId, orderDigest, to: '12D3KooWA2842yzjxoAAqAwfvj6eRQ8Dog4c7t8wdpMz5Z8Hhwh8' as PeerId, issuedAtMs: NOW_MS }))).toMatchSnapshot()
  })

  test('fits its bound when its fields are as long as they may be', () => {
    expect(given(peer(), peer(), Number.MAX_SAFE_INTEGER).length).toBeLessThan(HAND_OVER_BYTES_MAX)
  })

  test('is refused when it is changed anywhere, cut short or any other bytes', () => {
    const signed = given(shop, peer())
    const code = (bytes: Uint8Array): string => {
      try {
        openHandOver(crypto, bytes)
        return 'opened'
      } catch (error) { return asPlantError(error).code }
    }
    fc.assert(fc.property(fc.nat(signed.length - 1), fc.integer({ min: 1, max: 255 }), (at, by) => {
      const broken = signed.slice()
      broken[at] = (broken[at] ?? 0) ^ by
      expect(['SIGNATURE_INVALID', 'MESSAGE_INVALID']).toContain(code(broken))
      expect(code(signed.subarray(0, at))).toBe('MESSAGE_INVALID')
    }))
    fc.assert(fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => { expect(code(bytes)).toBe('MESSAGE_INVALID') }))
  })
})

describe('a chain of hand-overs', () => {
  test('gives the machine to the plant that the shop gave it to, and to no other', () => {
    const plant = peer()
    expect(verdict([given(shop, plant)], plant)).toBe(NOW_MS)
    expect(verdict([given(shop, plant)], peer())).toBe('the machine was handed to another peer')
    expect(verdict([], shop)).toBe('nobody has handed the machine over')
  })

  test('gives it to the shop itself when the shop is the plant', () => {
    expect(verdict([given(shop, shop)], shop)).toBe(NOW_MS)
  })

  test('is refused when a loser of the bid signs for itself', () => {
    const loser = peer()
    expect(verdict([given(loser, loser)], loser)).toBe('a hand-over is by a peer that did not have the machine')
  })

  test('leads from plant to plant, each later than the one before, when the machine moves', () => {
    const [a, b, c] = [peer(), peer(), peer()] as const
    let chain: Uint8Array[] = [given(shop, a)]
    // The clock of the second stands behind: its hand-over is later all the same.
    chain = handOn(crypto, a.signer, chain, b.id, NOW_MS - 60_000)
    chain = handOn(crypto, b.signer, chain, c.id, NOW_MS + 5)
    expect(verdict(chain, c)).toBe(NOW_MS + 5)
    expect(verdict(chain.slice(0, 2), b)).toBe(NOW_MS + 1)
    expect(verdict(chain, b)).toBe('the machine was handed to another peer')
    expect(verdict([chain[0], chain[2]].filter((one) => one !== undefined), c)).toBe('a hand-over is by a peer that did not have the machine')
    expect(verdict(chain.toReversed(), c)).toBe('a hand-over is by a peer that did not have the machine')
  })

  test('is refused when a plant that gave the machine away signs for itself', () => {
    const a = peer()
    expect(verdict([given(shop, a), given(a, a, NOW_MS + 1)], a)).toBe('a hand-over is to the peer that made it')
  })

  test('is refused when it is of another machine, not in order, or of the future', () => {
    const [a, b] = [peer(), peer()] as const
    expect(verdict([signHandOver(shop.signer, { vmId: 'ef'.repeat(16) as VmId, orderDigest, to: a.id, issuedAtMs: 1 })], a)).toBe('a hand-over is of another machine')
    expect(verdict([signHandOver(shop.signer, { vmId, orderDigest: 'ef'.repeat(32), to: a.id, issuedAtMs: 1 })], a)).toBe('a hand-over is of another machine')
    expect(verdict([given(shop, a), given(a, b, NOW_MS)], b)).toBe('the hand-overs are not in order')
    expect(verdict([given(shop, a, NOW_MS + CALL_FRESH_MS + 1)], a)).toBe('the hand-over is of the future')
  })

  test('ends where it is as long as it may be', () => {
    const [a, b] = [peer(), peer()] as const
    let chain: Uint8Array[] = [given(shop, a, 0)]
    while (chain.length < HAND_OVERS_MAX) chain = handOn(crypto, (chain.length % 2 === 1 ? a : b).signer, chain, (chain.length % 2 === 1 ? b : a).id, 0)
    expect(verdict(chain, a)).toBe(HAND_OVERS_MAX - 1)
    expect(() => handOn(crypto, a.signer, chain, b.id, 0)).toThrow('LIMIT')
    expect(verdict([...chain, given(a, b, HAND_OVERS_MAX)], b)).toBe('too many hand-overs')
    expect(() => handOn(crypto, b.signer, chain.slice(0, 1), a.id, 0)).toThrow('NOT_AUTHORISED')
  })
})
