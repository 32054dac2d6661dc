import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { encode, type PeerId } from '../../protocols/kit/index.ts'
import {
  GRANT_ABSENT_MS, GRANT_RECHECK_MS, GRANT_TOPIC, GRANTS_PER_KEY_MAX, GrantBook, checkGrantRecord, domainOfOrder, grantKey, grants, mayCall, newestGrantRecord,
  openCall, openGrant, signCall, signCredential, signGrant, type Grants, type OpenedOrderCall
} from '../../protocols/member/index.ts'
import { FakeDirectory, FakeGrantStore, FakePubSub, FakeStandingClock, crypto, person, quietLog, type Person } from './support.ts'

const [owner, domain, colleague, stranger] = [person(), person(), person(), person()]
const machine = { owner: owner.id, domain: 'ufl.example', domainKey: domain.id }
const grantBy = (who: Person, issuedAtMs: number, more: { revoked?: boolean, expiresAtMs?: number, domain?: string } = {}): Uint8Array =>
  signGrant(who.signer, { domain: 'ufl.example', grantee: colleague.id, issuedAtMs, revoked: false, ...more })

describe('a machine', () => {
  const may = (signed: Uint8Array[], nowMs = 100): boolean => mayCall(machine, colleague.id, signed.map((bytes) => openGrant(crypto, bytes)), nowMs)

  test('is callable by owner, domain key and granted keys, and by nobody else', () => {
    expect(mayCall(machine, owner.id, [], 0)).toBe(true)
    expect(mayCall(machine, domain.id, [], 0)).toBe(true)
    expect(may([])).toBe(false)
    expect(may([grantBy(domain, 1)])).toBe(true)
    expect(mayCall(machine, stranger.id, [openGrant(crypto, grantBy(domain, 1))], 0)).toBe(false)
  })

  test('is not callable when the grant is by another key, for another domain, over or revoked', () => {
    expect(may([grantBy(stranger, 1)])).toBe(false)
    expect(may([grantBy(owner, 1)])).toBe(false)
    expect(may([grantBy(domain, 1, { domain: 'other' })])).toBe(false)
    expect(may([grantBy(domain, 1, { expiresAtMs: 100 })])).toBe(false)
    expect(may([grantBy(domain, 1, { expiresAtMs: 101 })])).toBe(true)
    expect(may([grantBy(domain, 1), grantBy(domain, 2, { revoked: true })])).toBe(false)
    expect(may([grantBy(domain, 2), grantBy(domain, 2, { revoked: true })])).toBe(false)
    expect(may([grantBy(domain, 3), grantBy(domain, 2, { revoked: true })])).toBe(true)
  })

  test('is callable or not whatever the order in which documents come', () => {
    const documents = [grantBy(domain, 1), grantBy(domain, 2, { revoked: true }), grantBy(domain, 2), grantBy(domain, 3, { expiresAtMs: 50 }), grantBy(domain, 3)]
    fc.assert(fc.property(fc.shuffledSubarray(documents), (some) => {
      const book = new GrantBook()
      for (const bytes of some) book.offer(openGrant(crypto, bytes))
      expect(book.standing({ ...machine, grantee: colleague.id }, 10, 0).standing).toBe(may(some, 10))
      expect(some.length === 0 || may([some[newestGrantRecord(crypto, some)] as Uint8Array], 10) === may(some, 10)).toBe(true)
    }))
  })
})

describe('an order', () => {
  const orderWith = (credential?: Uint8Array): OpenedOrderCall => {
    const body = { orderId: 'o', documentIndex: 0, copyIndex: 0, order: { domain: 'ufl.example' }, ...(credential && { credential }) }
    return openCall(crypto, signCall(owner.signer, { kind: 'order', via: stranger.id as string as PeerId, body, issuedAtMs: 1, nonce: new Uint8Array(16) })) as OpenedOrderCall
  }

  test('is in the domain of the key that signed its credential, else in its owner\'s own', () => {
    const credential = signCredential(domain.signer, { domain: 'ufl.example', owner: owner.id, issuedAtMs: 1 })
    expect(domainOfOrder(crypto, orderWith(credential), 5)).toEqual({ domain: 'ufl.example', domainKey: domain.id })
    expect(domainOfOrder(crypto, orderWith(), 5)).toEqual({ domain: 'ufl.example', domainKey: owner.id })
  })

  test('is refused when its credential is another\'s, for another domain, over or forged', () => {
    const terms = { domain: 'ufl.example', owner: owner.id, issuedAtMs: 1 }
    for (const bad of [{ ...terms, owner: stranger.id }, { ...terms, domain: 'other' }, { ...terms, expiresAtMs: 5 }]) {
      expect(() => domainOfOrder(crypto, orderWith(signCredential(domain.signer, bad)), 5)).toThrow('NOT_AUTHORISED')
    }
    const forged = signCredential({ publicKey: domain.signer.publicKey, sign: (bytes) => stranger.signer.sign(bytes) }, terms)
    expect(() => domainOfOrder(crypto, orderWith(forged), 5)).toThrow('SIGNATURE_INVALID')
  })
})

describe('the directory\'s rules', () => {
  test('take a grant under its own key only', () => {
    const signed = grantBy(domain, 1)
    const key = grantKey(crypto, openGrant(crypto, signed))
    checkGrantRecord(crypto, key, signed)
    checkGrantRecord(crypto, `/${key}`, signed)
    expect(() => { checkGrantRecord(crypto, grantKey(crypto, { domainKey: domain.id, domain: 'other', grantee: colleague.id }), signed) }).toThrow('MESSAGE_INVALID')
    expect(() => { checkGrantRecord(crypto, key, signed.subarray(1)) }).toThrow('MESSAGE_INVALID')
    expect(key.length).toBeLessThanOrEqual(256)
  })
})

describe('the book', () => {
  test('refuses more when one key has its share', () => {
    const book = new GrantBook()
    const terms = { ...openGrant(crypto, grantBy(domain, 1)) }
    for (let i = 0; i < GRANTS_PER_KEY_MAX; i++) expect(book.offer({ ...terms, domain: `d${i}` })).toBe('kept')
    expect(book.offer({ ...terms, domain: 'more' })).toBe('full')
    expect(book.offer({ ...terms, domainKey: owner.id })).toBe('kept')
  })
})

describe('the grants service', () => {
  interface Plant { service: Grants, store: FakeGrantStore }
  const mesh = { directory: new FakeDirectory(), pubsub: new FakePubSub(), clock: new FakeStandingClock() }
  async function plant (c: typeof mesh, concerns = true, store = new FakeGrantStore()): Promise<Plant> {
    const service = grants()({ ...c, crypto, records: store, log: quietLog, concerns: () => concerns })
    await service.start()
    return { service, store }
  }
  const fresh = (): typeof mesh => ({ directory: new FakeDirectory(), pubsub: new FakePubSub(), clock: new FakeStandingClock() })
  const holds = async (p: Plant): Promise<boolean> => p.service.holds('ufl.example', domain.id, colleague.id)

  test('lets a grantee in at every plant when one was told, and out again when it was revoked', async () => {
    const c = fresh()
    const [a, b] = [await plant(c), await plant(c)]
    await a.service.publish(grantBy(domain, 1))
    expect([await holds(a), await holds(b)]).toEqual([true, true])
    await b.service.publish(grantBy(domain, 2, { revoked: true }))
    expect([await holds(a), await holds(b)]).toEqual([false, false])
    await expect(a.service.publish(grantBy(domain, 1))).rejects.toThrow('CALL_STALE')
  })

  test('asks the directory when gossip passed it by, once for many calls', async () => {
    const c = fresh()
    const a = await plant(c)
    await a.service.publish(grantBy(domain, 1))
    const late = await plant(c)
    expect(await Promise.all(Array.from({ length: 50 }, async () => holds(late)))).toEqual(Array(50).fill(true))
    expect(c.directory.gets).toBe(1)
  })

  test('believes an absence for a little and a presence for longer, also when the directory is down', async () => {
    const c = fresh()
    const a = await plant(c)
    expect(await holds(a)).toBe(false)
    c.directory.values.set(grantKey(crypto, openGrant(crypto, grantBy(domain, 1))), grantBy(domain, 1))
    expect(await holds(a)).toBe(false)
    c.clock.ms += GRANT_ABSENT_MS
    expect(await holds(a)).toBe(true)
    c.directory.values.set(grantKey(crypto, openGrant(crypto, grantBy(domain, 1))), grantBy(domain, 2, { revoked: true }))
    expect(await holds(a)).toBe(true)
    c.directory.down = true
    c.clock.ms += GRANT_RECHECK_MS
    expect(await holds(a)).toBe(true)
    c.directory.down = false
    c.clock.ms += GRANT_RECHECK_MS
    expect(await holds(a)).toBe(false)
  })

  test('keeps grants over a restart, and none of domains that are not its concern', async () => {
    const c = fresh()
    const [a, other] = [await plant(c), await plant(c, false)]
    await a.service.publish(grantBy(domain, 1))
    other.service.take(grantBy(domain, 1))
    expect([a.store.kept.length, other.store.kept.length]).toEqual([1, 0])
    const down = fresh()
    down.directory.down = true
    expect(await holds(await plant(down, true, a.store))).toBe(true)
  })

  test('rejects gossip when it is rubbish or forged', async () => {
    const c = fresh()
    await plant(c)
    const [handler] = c.pubsub.handlers.get(GRANT_TOPIC) ?? []
    const forged = signGrant({ publicKey: domain.signer.publicKey, sign: () => new Uint8Array(64) }, { domain: 'd', grantee: colleague.id, issuedAtMs: 1, revoked: false })
    for (const bad of [new Uint8Array(), new Uint8Array(5_000), encode({ signed: new Uint8Array(9) }), encode({ signed: forged })]) {
      expect(handler?.('p' as PeerId, bad)).toBe('reject')
    }
    expect(handler?.('p' as PeerId, encode({ signed: grantBy(domain, 1) }))).toBe('accept')
    expect(handler?.('p' as PeerId, encode({ signed: grantBy(domain, 1) }))).toBe('ignore')
  })
})
