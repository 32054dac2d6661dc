/** What plants say of the golden machines they hold: told rarely, believed only when signed, bounded. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { encode, keyIdOf, type ActionDigest, type GoldenId, type PeerId, type PlantError } from '../../protocols/kit/index.ts'
import { Catalogue } from '../../protocols/image/catalogue.ts'
import { HOLDINGS_BYTES_MAX, HOLDINGS_EVERY_MS, HOLDINGS_LIFE_MS, HOLDINGS_LISTED_MAX } from '../../protocols/image/holdings-limits.ts'
import { decodeHoldings, encodeHoldings, fitHoldings, holdingOf, prefixesOfHolding } from '../../protocols/image/holdings.ts'
import { digestPrefixes } from '../../protocols/order/quick-match.ts'
import { makeKey } from '../../node/drivers/key-file.ts'
import { holding, holdingPlant, kindsOf, wakeTo } from '../support/holdings.ts'

const idsOf = (catalogue: Catalogue, os: string): GoldenId[] => [...catalogue.named(os)].map(({ goldenId }) => goldenId).sort()
const told = (plant: ReturnType<typeof holdingPlant>, holdings: Array<ReturnType<typeof holding>>, atMs = 0): Uint8Array => {
  plant.core.onOwn(atMs, holdings)
  const [first] = wakeTo(plant.core, atMs + 2_000)
  if (first === undefined) throw new Error('nothing was told')
  return first.message
}

test('a plant tells what it holds a second after a change, then every ten minutes, and not for mere use', () => {
  const { core } = holdingPlant()
  expect(kindsOf(core.onOwn(0, [holding(1)]))).toEqual(['changed'])
  expect(core.onOwn(10, [holding(1, { usedS: 5_000 })])).toEqual([])
  const times = wakeTo(core, 3_000_000).map(({ atMs }) => atMs)
  expect(times[0]).toBe(1_000)
  expect(times.length).toBeLessThanOrEqual(1 + 3_000_000 / (0.9 * HOLDINGS_EVERY_MS))
  for (const [i, ms] of times.slice(1).entries()) expect(ms - (times[i] ?? 0)).toBeGreaterThanOrEqual(0.9 * HOLDINGS_EVERY_MS)
})

test('what is used twice as often as was told, or half, is told at once; less than that with the next telling', () => {
  const { core } = holdingPlant()
  const times: number[] = []
  const use = (atMs: number, uses: number): void => {
    core.onOwn(atMs, [holding(1, { uses })])
    times.push(...wakeTo(core, atMs + 2_000).map((one) => one.atMs))
  }
  use(0, 0)
  for (const [i, uses] of [1, 0, 1].entries()) use(10_000 * (i + 1), uses)
  expect(times).toEqual([1_000])
  use(50_000, 8)
  expect(times.at(-1)).toBe(51_000)
  for (const [i, uses] of [10, 15, 7, 4].entries()) use(60_000 + 10_000 * i, uses)
  expect(times).toHaveLength(2)
  use(100_000, 3)
  expect(times.at(-1)).toBe(101_000)
})

test('the room that a plant has for copies is heard; of plants that do not tell it there is none', () => {
  const [a, b, old] = [holdingPlant(), holdingPlant(), holdingPlant()]
  a.core.onOwn(0, [holding(1, { uses: 3, kept: true })], 512)
  b.core.onGossip(1_000, a.peer, wakeTo(a.core, 2_000)[0]?.message ?? new Uint8Array())
  expect(b.core.catalogue.of(a.peer)).toEqual({ holdings: [holding(1, { uses: 3, kept: true })], more: false, roomMiB: 512 })
  b.core.onGossip(1_000, old.peer, encodeHoldings({ by: old.peer, epoch: 1, seq: 1, holdings: [holding(1)], more: false }, (bytes) => old.key.sign(bytes)))
  expect(b.core.catalogue.of(old.peer)).toMatchObject({ roomMiB: 0 })
})

test('a plant whose shelf changes all the time stays within its own rate', () => {
  const { core } = holdingPlant()
  let tellings = 0
  for (let ms = 0; ms < 120_000; ms += 500) {
    core.onOwn(ms, [holding(ms + 1)])
    tellings += wakeTo(core, ms).length
  }
  expect(tellings).toBeGreaterThan(6)
  expect(tellings).toBeLessThanOrEqual(6 + 12 + 1)
})

test('what is told is found by id, name and family, until it is told otherwise or nothing is heard for long', () => {
  const [a, b] = [holdingPlant(), holdingPlant()]
  const message = told(a, [holding(1), holding(2, { name: 'tiny' })])
  expect(b.core.onGossip(2_000, a.peer, message).verdict).toBe('accept')
  expect(idsOf(b.core.catalogue, 'tiny')).toEqual([holding(1).goldenId, holding(2).goldenId])
  expect(idsOf(b.core.catalogue, 'image-1')).toEqual([holding(1).goldenId])
  expect(idsOf(b.core.catalogue, holding(2).goldenId)).toEqual([holding(2).goldenId])
  expect(b.core.onGossip(2_001, a.peer, message).verdict).toBe('ignore')
  a.core.onOwn(20_000, [holding(2, { name: 'tiny' })])
  const [second] = wakeTo(a.core, 22_000)
  expect(b.core.onGossip(22_000, a.peer, second?.message ?? new Uint8Array()).verdict).toBe('accept')
  expect(idsOf(b.core.catalogue, 'image-1')).toEqual([])
  wakeTo(b.core, 22_000 + HOLDINGS_LIFE_MS)
  expect(b.core.catalogue.size).toBe(0)
})

test('one that joins is handed on what was told, with its age, and takes only what its author signed', () => {
  const [a, b, c] = [holdingPlant(), holdingPlant(), holdingPlant()]
  b.core.onGossip(2_000, a.peer, told(a, [holding(1)]))
  const parts = [...b.core.toHandOn(12_000)]
  expect(parts.map(({ ageMs }) => ageMs)).toEqual([10_000])
  expect(c.core.onPart(50_000, parts)).toEqual({ sound: true, effects: [{ do: 'changed' }] })
  expect([...c.core.toHandOn(50_000)].map(({ ageMs }) => ageMs)).toEqual([10_000])
  const forged = parts.map(({ message, ageMs }) => ({ message: message.map((byte, i) => i === message.length - 1 ? byte ^ 1 : byte), ageMs }))
  expect(holdingPlant().core.onPart(0, forged)).toEqual({ sound: false, effects: [] })
  expect(holdingPlant().core.onPart(0, [{ message: parts[0]?.message ?? new Uint8Array(), ageMs: HOLDINGS_LIFE_MS }]).effects).toEqual([])
})

test('of two that were told the same nothing is handed on, whenever they were told it; of what one lacks its part is', () => {
  const [a, b, c, d] = [holdingPlant(), holdingPlant(), holdingPlant(), holdingPlant()]
  const before = told(a, [holding(1), holding(2)])
  for (const [plant, atMs] of [[b, 1_000], [c, 400_000]] as const) plant.core.onGossip(atMs, a.peer, before)
  a.core.onOwn(500_000, [holding(1, { uses: 40, usedS: 9_000 }), holding(2)], 512)
  const [again] = wakeTo(a.core, 502_000).slice(-1)
  b.core.onGossip(502_000, a.peer, again?.message ?? new Uint8Array())
  expect([...b.core.toHandOn(503_000, c.core.summary())]).toEqual([])
  const changed = told(a, [holding(1)], 600_000)
  b.core.onGossip(602_000, a.peer, changed)
  const part = [...b.core.toHandOn(603_000, c.core.summary())]
  expect(part.map(({ message }) => message)).toEqual([changed])
  expect(c.core.onPart(603_000, part).sound).toBe(true)
  expect(idsOf(c.core.catalogue, 'tiny')).toEqual([holding(1).goldenId])
  // What has been silent for too long is in no summary any more.
  b.core.onGossip(700_000, d.peer, told(d, [holding(3)]))
  wakeTo(b.core, 602_000 + HOLDINGS_LIFE_MS + 100_000)
  expect(b.core.summary()).toEqual(holdingPlant().core.summary())
})

test('a plant that starts anew with a clock that went back outranks its own past once it hears of it', () => {
  const key = makeKey()
  const [old, other] = [holdingPlant({ key, epoch: 1_000 }), holdingPlant()]
  other.core.onGossip(0, old.peer, told(old, [holding(1)]))
  const anew = holdingPlant({ key, epoch: 10 })
  const first = told(anew, [holding(2)])
  expect(other.core.onGossip(2_000, anew.peer, first).verdict).toBe('ignore')
  anew.core.onPart(3_000, [...other.core.toHandOn(3_000)])
  const [again] = wakeTo(anew.core, 5_000)
  expect(other.core.onGossip(5_000, anew.peer, again?.message ?? new Uint8Array()).verdict).toBe('accept')
  expect(idsOf(other.core.catalogue, 'tiny')).toEqual([holding(2).goldenId])
})

test('rubbish, forgeries, the word of another and what is too long are rejected, and spend their author\'s quota', () => {
  const [a, b] = [holdingPlant(), holdingPlant()]
  const message = told(a, [holding(1)])
  expect(b.core.onGossip(0, b.peer, message).verdict).toBe('reject')
  expect(b.core.onGossip(0, a.peer, new Uint8Array(HOLDINGS_BYTES_MAX + 1)).verdict).toBe('reject')
  const verdicts = Array.from({ length: 40 }, () => b.core.onGossip(1, a.peer, Uint8Array.of(1, 2, 3)).verdict)
  expect(verdicts.slice(0, 12).every((verdict) => verdict === 'reject')).toBe(true)
  expect(verdicts.slice(12).every((verdict) => verdict === 'ignore')).toBe(true)
  expect(b.core.onGossip(2, a.peer, message).verdict).toBe('ignore')
  expect(b.core.onGossip(60_000, a.peer, message).verdict).toBe('accept')
  expect(b.core.catalogue.size).toBe(1)
})

test('a message lists the most recently used, as many as fit, and says that there are more', () => {
  const many = Array.from({ length: 100 }, (_, n) => holding(n))
  const { holdings, more } = fitHoldings(many)
  expect(holdings).toHaveLength(HOLDINGS_LISTED_MAX)
  expect(more).toBe(true)
  expect(holdings[0]?.usedS).toBe(1_099)
  const long = Array.from({ length: HOLDINGS_LISTED_MAX }, (_, n) => holding(n, { done: new Uint8Array(2_048) }))
  const plant = holdingPlant()
  const message = told(plant, long)
  expect(message.length).toBeLessThanOrEqual(HOLDINGS_BYTES_MAX)
  expect(decodeHoldings(message).told).toMatchObject({ by: plant.peer, more: true })
})

test('holdings survive their encoding, and unknown fields are passed over', () => {
  const peer = keyIdOf(makeKey().publicKey) as string as PeerId
  fc.assert(fc.property(fc.array(fc.record({ n: fc.nat(1_000), name: fc.string({ maxLength: 128 }), ownBytes: fc.nat(), usedS: fc.nat(), done: fc.array(fc.nat(2 ** 31), { maxLength: 20 }) }), { maxLength: 20 }), fc.boolean(), (list, more) => {
    const holdings = list.map(({ n, done, ...rest }) => ({ ...holding(n), ...rest, done: new Uint8Array(4 * done.length) }))
    const sent = { by: peer, epoch: 3, seq: 4, holdings, more }
    expect(decodeHoldings(encodeHoldings(sent, () => new Uint8Array(64))).told).toEqual(sent)
  }))
  const sent = encode({ body: encode({ by: peer, epoch: 1, seq: 1, holdings: [{ ...holding(1), colour: 'red' }], more: false, later: 1 }), signature: new Uint8Array(64), hint: 1 })
  expect(decodeHoldings(sent).told.holdings).toEqual([holding(1)])
})

test('broken bytes never come through as holdings', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
    try {
      decodeHoldings(bytes)
    } catch (error) {
      expect((error as PlantError).code).toBe('MESSAGE_INVALID')
    }
  }))
})

test('a holding has the beginnings of the digests of what was done', () => {
  const digests = ['ff00000012345678', '0000000100000000'].map((head) => head.padEnd(64, '0') as ActionDigest)
  const golden = {
    goldenId: holding(1).goldenId, name: 'web', os: 'tiny', hardware: { isa: 'x86_64', cpus: 1, memoryMiB: 256, diskMiB: 512 }, lineFingerprint: 'line', files: [], createdAtMs: 0,
    actionsDone: digests.map((digest) => ({ digest, id: 'a', outputs: {} })), publishedBy: { domain: 'lab', domainKey: keyIdOf(makeKey().publicKey) }
  }
  const made = holdingOf(golden, { ownBytes: 1, totalBytes: 2, usedS: 3 })
  expect(prefixesOfHolding(made)).toEqual(digestPrefixes(digests))
  expect(made).toMatchObject({ domain: 'lab', domainKey: golden.publishedBy.domainKey, ownBytes: 1, usedS: 3 })
  // As it comes off the wire: bytes inside a larger buffer, at any offset.
  const [back] = decodeHoldings(encodeHoldings({ by: holdingPlant().peer, epoch: 1, seq: 1, holdings: [made], more: false }, () => new Uint8Array(64))).told.holdings
  expect(back && prefixesOfHolding(back)).toEqual(digestPrefixes(digests))
})

test('the catalogue forgets names with their last holder, and takes no more than it has room for', () => {
  const catalogue = new Catalogue({ holdersMax: 2, keptMax: 5 })
  const peer = (n: number): PeerId => `peer-${n}` as PeerId
  expect(catalogue.set(peer(1), [holding(1), holding(2), holding(2)], false)).toBe(true)
  expect(catalogue.set(peer(2), [holding(1)], false)).toBe(true)
  expect(catalogue.set(peer(3), [holding(3)], false)).toBe(false)
  expect(catalogue.set(peer(2), Array.from({ length: 4 }, (_, n) => holding(n)), false)).toBe(false)
  expect(catalogue.size).toBe(2)
  expect(catalogue.set(peer(2), [holding(1)], true)).toBe(true)
  expect([...catalogue.get(holding(1).goldenId)?.said.keys() ?? []]).toEqual([peer(1), peer(2)])
  catalogue.remove(peer(1))
  expect(idsOf(catalogue, 'image-2')).toEqual([])
  expect(idsOf(catalogue, 'image-1')).toEqual([holding(1).goldenId])
  catalogue.remove(peer(2))
  expect([catalogue.size, [...catalogue.all()].length, idsOf(catalogue, 'tiny').length]).toEqual([0, 0, 0])
})

test('one plant that lies about a golden machine hides it from nobody who asks by its name', () => {
  const catalogue = new Catalogue()
  catalogue.set('liar' as PeerId, [holding(1, { name: 'nothing', os: 'nothing' })], false)
  catalogue.set('holder' as PeerId, [holding(1)], false)
  expect(idsOf(catalogue, 'image-1')).toEqual([holding(1).goldenId])
})
