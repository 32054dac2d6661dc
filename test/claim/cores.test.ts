import { describe, expect, test } from 'vitest'
import type { PeerId, VmId } from '../../protocols/kit/index.ts'
import { ADVERT_LIFE_MS } from '../../protocols/capacity/index.ts'
import {
  BYE_MS, CLAIM_TTL_MS, COLLECTED_KEPT_MS, COLLECTED_PER_PEER_MAX, Claimant, Confirmation, ENTRIES_PER_PEER_MAX, HELD_SILENT_MS, Holder, KnownPlants, RECENT_MS, REFRESH_MS, Registrar,
  decodeKept, encodeKept, type ClaimEffect, type Verdict
} from '../../protocols/claim/index.ts'
import { NodeCrypto } from '../../node/drivers/node-crypto.ts'
import { FakeRandom } from '../support/fake-random.ts'

const vm = (n: number): VmId => n.toString(16).padStart(32, '0') as VmId
const peer = (name: string): PeerId => name as PeerId
const [a, b, c, s1, s2] = ['a', 'b', 'c', 's1', 's2'].map(peer) as [PeerId, PeerId, PeerId, PeerId, PeerId]
const digest = 'd'.repeat(64)
const at = (ms: number): { monotonicMs: number, wallMs: number } => ({ monotonicMs: ms, wallMs: 1_000_000 + ms })
const claimOf = (claimId: string, n = 1, round = 1) => ({ t: 0 as const, vmId: vm(n), orderDigest: digest, claimId, round })
const confirmOf = (claimId: string, n = 1, order = 1, awardedAtMs = 5) => ({ t: 2 as const, vmId: vm(n), orderDigest: digest, claimId, awardedAtMs, order })
const holdOf = (order: number, awardedAtMs: number, n = 1) => ({ t: 3 as const, order, holdings: [{ vmId: vm(n), orderDigest: digest, awardedAtMs }], gone: [] })
const goneOf = (order: number, collected: boolean, n = 1) => ({ t: 3 as const, order, holdings: [], gone: [{ vmId: vm(n), orderDigest: digest, collected }] })

describe('a registrar', () => {
  test('grants one claim at a time, renews it, and lets it lapse', () => {
    const r = new Registrar()
    expect(r.onClaim(s1, claimOf('1'), at(0))).toEqual({ t: 0 })
    expect(r.onClaim(s2, claimOf('2'), at(1))).toEqual({ t: 1, shop: s1, leftMs: CLAIM_TTL_MS - 1 })
    expect(r.onClaim(s2, claimOf('1'), at(1)).t).toBe(1)
    expect(r.onClaim(s1, claimOf('1'), at(9_000))).toEqual({ t: 0 })
    expect(r.onClaim(s2, claimOf('2'), at(CLAIM_TTL_MS + 1)).t).toBe(1)
    expect(r.onClaim(s2, claimOf('2'), at(9_000 + CLAIM_TTL_MS))).toEqual({ t: 0 })
    expect(r.takeChanges()).toEqual([])
  })

  test('takes a claim back from its shop only, and not a later round', () => {
    const r = new Registrar()
    r.onClaim(s1, claimOf('1', 1, 2), at(0))
    r.onUnclaim(s2, { t: 1, vmId: vm(1), claimId: '1', round: 9 })
    r.onUnclaim(s1, { t: 1, vmId: vm(1), claimId: '1', round: 1 })
    expect(r.onClaim(s2, claimOf('2'), at(0)).t).toBe(1)
    r.onUnclaim(s1, { t: 1, vmId: vm(1), claimId: '1', round: 2 })
    expect(r.onClaim(s2, claimOf('2'), at(0)).t).toBe(0)
  })

  test('notes one holder, under the claim that stands', () => {
    const r = new Registrar()
    r.onClaim(s1, claimOf('1'), at(0))
    expect(r.onConfirm(a, confirmOf('2'), at(0))).toMatchObject({ t: 1, shop: s1 })
    expect(r.onConfirm(a, confirmOf('1'), at(0))).toEqual({ t: 0 })
    expect(r.onConfirm(a, confirmOf('1'), at(0))).toEqual({ t: 0 })
    expect(r.onConfirm(b, confirmOf('1'), at(0))).toEqual({ t: 2, holder: a, orderDigest: digest, awardedAtMs: 5, settled: false })
    expect(r.onClaim(s1, claimOf('1'), at(0))).toMatchObject({ t: 2, holder: a })
    expect(r.takeChanges()).toMatchObject([{ vmId: vm(1), kept: { kind: 'held', holder: a, settled: false } }])
  })

  test('knows what it noted after a restart', () => {
    const [r, again] = [new Registrar(), new Registrar()]
    r.onConfirm(a, confirmOf('1'), at(0))
    r.onHold(b, goneOf(1, true, 2), at(0))
    for (const { vmId, kept } of r.takeChanges()) if (kept !== undefined) again.load(vmId, kept, at(50))
    expect(again.onConfirm(b, confirmOf('1'), at(60))).toMatchObject({ t: 2, holder: a })
    expect(again.onClaim(s1, claimOf('1', 2), at(60))).toEqual({ t: 3, holder: b, orderDigest: digest })
    again.expire(at(COLLECTED_KEPT_MS + 51))
    expect(again.onClaim(s1, claimOf('1', 2), at(COLLECTED_KEPT_MS + 51)).t).toBe(0)
  })

  test('prefers the earlier award of two holders, then the lower id, and tells the other', () => {
    const r = new Registrar()
    expect(r.onHold(b, holdOf(1, 50), at(0))).toEqual({ t: 6, rivals: [], full: [] })
    expect(r.onHold(c, holdOf(1, 50), at(0)).rivals).toEqual([{ vmId: vm(1), holder: b, awardedAtMs: 50 }])
    // The one that is displaced stands until it has said that it is gone.
    expect(r.onHold(a, holdOf(1, 50), at(0)).rivals).toEqual([{ vmId: vm(1), holder: b, awardedAtMs: 50 }])
    expect(r.onHold(b, holdOf(2, 50), at(0)).rivals).toEqual([{ vmId: vm(1), holder: a, awardedAtMs: 50 }])
    expect(r.onHold(a, holdOf(2, 50), at(0)).rivals).toEqual([{ vmId: vm(1), holder: b, awardedAtMs: 50 }])
    const again = new Registrar()
    for (const { vmId, kept } of r.takeChanges()) if (kept !== undefined) again.load(vmId, decodeKept(encodeKept(kept)), at(0))
    for (const one of [r, again]) {
      expect(one.onHold(b, goneOf(3, false), at(0)).rivals).toEqual([])
      expect(one.onHold(a, holdOf(3, 50), at(0)).rivals).toEqual([])
    }
    expect(r.onHold(c, holdOf(2, 49), at(0)).rivals).toEqual([{ vmId: vm(1), holder: a, awardedAtMs: 50 }])
    expect(r.onClaim(s1, claimOf('1'), at(0))).toMatchObject({ t: 2, holder: c, settled: true })
  })

  test('forgets and remembers on the holder\'s word only, and not on word that was overtaken', () => {
    const r = new Registrar()
    r.onHold(a, holdOf(5, 50), at(0))
    r.onHold(b, goneOf(9, true), at(0))
    r.onHold(a, goneOf(4, false), at(0))
    expect(r.onClaim(s1, claimOf('1'), at(0))).toMatchObject({ t: 2, holder: a })
    r.onHold(a, goneOf(6, true), at(0))
    r.onHold(a, holdOf(5, 50), at(0))
    expect(r.onClaim(s1, claimOf('1'), at(0))).toEqual({ t: 3, holder: a, orderDigest: digest })
    r.onHold(b, holdOf(1, 60, 2), at(0))
    r.onHold(b, goneOf(2, false, 2), at(0))
    expect(r.onClaim(s1, claimOf('1', 2), at(0)).t).toBe(0)
  })

  test('lets go of a holder that has been silent for a day', () => {
    const r = new Registrar()
    r.onHold(a, holdOf(1, 50), at(0))
    r.onHold(a, holdOf(2, 50), at(1_000))
    expect(r.onClaim(s1, claimOf('1'), at(HELD_SILENT_MS)).t).toBe(2)
    expect(r.onClaim(s1, claimOf('1'), at(HELD_SILENT_MS + 1_000)).t).toBe(0)
    expect(r.takeChanges().at(-1)).toEqual({ vmId: vm(1), kept: undefined })
  })

  test('gives each peer its share and no more', () => {
    const r = new Registrar()
    for (let n = 0; n < ENTRIES_PER_PEER_MAX; n++) expect(r.onClaim(s1, claimOf('1', n), at(0)).t).toBe(0)
    expect(r.onClaim(s1, claimOf('1', 1e6), at(0))).toEqual({ t: 4 })
    expect(r.onHold(s1, holdOf(1, 1, 1e6), at(0)).full).toEqual([vm(1e6)])
    expect(r.onClaim(s2, claimOf('1', 1e6), at(0)).t).toBe(0)
    const full = new Registrar()
    for (let n = 0; n < COLLECTED_PER_PEER_MAX + 1; n++) full.onHold(a, goneOf(1, true, n), at(0))
    expect(full.size).toBe(COLLECTED_PER_PEER_MAX)
    expect(full.onClaim(s1, claimOf('1', 0), at(0)).t).toBe(0)
    expect(full.onClaim(s1, claimOf('1', 1), at(0)).t).toBe(3)
  })
})

describe('a claimant', () => {
  const start = (strict = false): Claimant => new Claimant({ strict, random: new FakeRandom(1) })
  const held = (settled: boolean): Verdict => ({ t: 2, holder: a, orderDigest: digest, awardedAtMs: 5, settled })
  const endOf = (effects: ClaimEffect[]): unknown => effects.find((effect) => effect.do === 'end')?.end
  const round = (one: Claimant, answers: Array<Verdict | 'failed'>): ClaimEffect[] => {
    one.begin([a, b, c])
    return answers.map((answer, i) => one.onAnswer(one.round, [a, b, c][i] as PeerId, answer)).at(-1) ?? []
  }

  test('is granted by a majority once the last has answered or had its time', () => {
    expect(endOf(round(start(), [{ t: 0 }, { t: 0 }, { t: 0 }]))).toEqual({ kind: 'granted', provisional: false })
    expect(endOf(round(start(), ['failed', { t: 0 }, { t: 0 }]))).toEqual({ kind: 'granted', provisional: false })
    const one = start()
    expect(round(one, [{ t: 0 }, { t: 0 }])).toMatchObject([{ do: 'grace' }])
    expect(endOf(one.onGrace(1))).toEqual({ kind: 'granted', provisional: false })
  })

  test('is led to the holder when it says that it has the machine, or is silent', () => {
    for (const result of ['mine', 'silent'] as const) {
      const one = start()
      expect(round(one, [held(true), held(true)])).toEqual([{ do: 'check', holder: a, orderDigest: digest }])
      expect(endOf(one.onChecked(result))).toEqual({ kind: 'held', plant: a, orderDigest: digest, awardedAtMs: 5 })
    }
    const collected = start()
    round(collected, [held(false), 'failed', 'failed'])
    expect(endOf(collected.onChecked({ collected: digest }))).toEqual({ kind: 'collected', plant: a, orderDigest: digest })
    const wrong = start()
    round(wrong, [held(true), held(true)])
    expect(wrong.onChecked('not mine')).toMatchObject([{ do: 'unclaim' }, { do: 'again' }])
  })

  test('asks a settled holder even against a majority, and passes over an unsettled one', () => {
    const one = start()
    expect(round(one, [held(true), { t: 0 }, { t: 0 }])).toMatchObject([{ do: 'check', holder: a }])
    expect(endOf(one.onChecked('not mine'))).toEqual({ kind: 'granted', provisional: false })
    expect(endOf(round(start(), [held(false), { t: 0 }, { t: 0 }]))).toEqual({ kind: 'granted', provisional: false })
  })

  test('gives back and tries again later when others claim', () => {
    const one = start()
    const effects = round(one, [{ t: 0 }, { t: 1, shop: s2, leftMs: 1 }, 'failed'])
    expect(effects).toMatchObject([{ do: 'unclaim', round: 1, peers: [a, b, c] }, { do: 'again' }])
    expect(round(start(), [{ t: 1, shop: s2, leftMs: 1 }, { t: 1, shop: s2, leftMs: 1 }])).toMatchObject([{ do: 'unclaim' }, { do: 'again' }])
  })

  test('is provisional, or cut when strict, when too few answer twice', () => {
    for (const [strict, end] of [[false, { kind: 'granted', provisional: true }], [true, { kind: 'cut' }]] as const) {
      const one = start(strict)
      expect(round(one, [{ t: 0 }, 'failed', 'failed'])).toMatchObject([{ do: 'again' }])
      expect(endOf(round(one, [{ t: 0 }, 'failed', 'failed']))).toEqual(end)
    }
  })

  test('says that registrars are full rather than that the mesh is cut', () => {
    expect(endOf(round(start(), [{ t: 4 }, { t: 4 }, 'failed']))).toEqual({ kind: 'full' })
  })
})

describe('a confirmation', () => {
  const of = (answers: Array<Verdict | 'failed'>, provisional = false): unknown => {
    const one = new Confirmation([a, b, c], provisional)
    return answers.map((answer, i) => one.onAnswer([a, b, c][i] as PeerId, answer)).at(-1)
  }
  const held = (settled: boolean): Verdict => ({ t: 2, holder: s1, orderDigest: digest, awardedAtMs: 5, settled })

  test('needs a majority', () => {
    expect(of([{ t: 0 }])).toBeUndefined()
    expect(of([{ t: 0 }, { t: 0 }])).toEqual({ kind: 'confirmed', provisional: false })
    expect(of([{ t: 0 }, held(false), { t: 0 }])).toEqual({ kind: 'confirmed', provisional: false })
    expect(of([{ t: 0 }, held(false), 'failed'], true)).toMatchObject({ kind: 'refused' })
    expect(of([{ t: 0 }, 'failed', 'failed'])).toEqual({ kind: 'cut' })
    expect(of([{ t: 0 }, 'failed', 'failed'], true)).toEqual({ kind: 'confirmed', provisional: true })
  })

  test('is refused when the machine runs or was collected, whatever the others say', () => {
    expect(of([{ t: 0 }, held(true)])).toMatchObject({ kind: 'refused' })
    expect(of([{ t: 0 }, { t: 3, holder: s1, orderDigest: digest }])).toMatchObject({ kind: 'refused' })
  })
})

describe('a holder', () => {
  const places = () => [a, b, c]
  const holding = { vmId: vm(1), orderDigest: digest, awardedAtMs: 50 }

  test('tells each registrar once in a while, and a new one at once', () => {
    const h = new Holder(peer('me'))
    expect(h.begin(holding)).toBe(true)
    expect(h.begin(holding)).toBe(false)
    expect(h.due(places, 0)).toEqual([])
    h.hold(holding, false)
    const batches = h.due(places, 0)
    expect(batches.map((batch) => batch.peer)).toEqual([a, b, c])
    for (const batch of batches) h.onTold(batch, [], [], places, 0)
    expect(h.due(places, REFRESH_MS - 1)).toEqual([])
    expect(h.due(() => [a, b, s1], 1).map((batch) => batch.peer)).toEqual([s1])
    expect(h.due(places, REFRESH_MS).length).toBe(3)
  })

  test('tells of an end until all have heard, and remembers what was collected', () => {
    const h = new Holder(peer('me'))
    h.hold(holding, false)
    h.end(vm(1), digest, true, 0)
    const [first, ...rest] = h.due(places, 0)
    expect(first).toEqual({ peer: a, holdings: [], gone: [{ vmId: vm(1), orderDigest: digest, collected: true }] })
    if (first !== undefined) h.onTold(first, [], [], places, 0)
    expect(h.due(places, 0)).toEqual(rest)
    expect(h.standing(vm(1))).toEqual({ collected: digest })
    expect(h.due(places, COLLECTED_KEPT_MS)).toEqual([])
    expect(h.standing(vm(1))).toBeUndefined()
  })

  test('says nothing of a machine that is still being confirmed, as it may never be made', () => {
    const h = new Holder(peer('me'))
    expect(h.begin(holding)).toBe(true)
    expect(h.standing(vm(1))).toBeUndefined()
    expect(h.has(vm(1))).toBe(true)
    h.hold(holding, false)
    expect(h.standing(vm(1))).toMatchObject(holding)
  })

  test('is settled when a majority has heard and no rival was named', () => {
    const h = new Holder(peer('me'))
    h.hold(holding, true)
    const [one, two, three] = h.due(places, 0)
    if (one === undefined || two === undefined || three === undefined) throw new Error('three batches')
    expect(h.onTold(one, [], [], places, 0)).toEqual([])
    expect(h.onTold(two, [], [vm(1)], places, 0)).toEqual([])
    expect(h.onTold(three, [], [], places, 0)).toEqual([{ kind: 'settled', vmId: vm(1) }])
  })

  test('contests with rivals of an earlier award only, and says of what it lost only that it is gone', () => {
    const h = new Holder(peer('me'))
    h.hold(holding, true)
    const [batch] = h.due(places, 0)
    if (batch === undefined) throw new Error('a batch')
    const rival = { vmId: vm(1), holder: s1, awardedAtMs: 51 }
    expect(h.onTold(batch, [rival], [], places, 0)).toEqual([])
    expect(h.onTold(batch, [{ ...rival, awardedAtMs: 49 }], [], places, 0)).toMatchObject([{ kind: 'contest' }])
    expect(h.lose(vm(1))).toBe(true)
    expect(h.standing(vm(1))).toBeUndefined()
    h.end(vm(1), digest, true, 0)
    expect(h.standing(vm(1))).toBeUndefined()
    expect(h.due(places, 0).map(({ gone }) => gone)).toEqual(Array.from({ length: 3 }, () => [{ vmId: vm(1), orderDigest: digest, collected: false }]))
  })

  test('is not settled by a registrar that named a rival, however often it is told', () => {
    const h = new Holder(peer('me'))
    h.hold(holding, true)
    const [one, two, three] = h.due(places, 0)
    if (one === undefined || two === undefined || three === undefined) throw new Error('three batches')
    const rival = { vmId: vm(1), holder: s1, awardedAtMs: 49 }
    expect(h.onTold(one, [rival], [], places, 0)).toHaveLength(1)
    expect(h.onTold(two, [rival], [], places, 0)).toHaveLength(1)
    expect(h.onTold(three, [], [], places, 0)).toEqual([])
    expect(h.onTold(one, [], [], places, 1)).toEqual([{ kind: 'settled', vmId: vm(1) }])
  })
})

describe('known plants', () => {
  test('are registrars in an order that all agree on, for a while after they fell silent, and not after a goodbye', () => {
    const names = ['a', 'b', 'c', 'd', 'e', 'f'].map(peer)
    const knownBy = (self: string): KnownPlants => {
      const known = new KnownPlants(peer(self), new NodeCrypto())
      known.update(names, 0)
      return known
    }
    const [one, two] = [knownBy('a'), knownBy('f')]
    const spread = new Set<PeerId>()
    for (let n = 0; n < 50; n++) {
      expect(one.registrarsOf(vm(n))).toEqual(two.registrarsOf(vm(n)))
      for (const registrar of one.registrarsOf(vm(n))) spread.add(registrar)
    }
    expect(spread.size).toBe(6)
    const version = one.version
    one.bye(peer('b'), 999)
    one.update(['b', 'c'].map(peer), 1_000)
    expect([one.size, one.version]).toEqual([6, version])
    one.update([peer('c')], 1_001)
    expect(one.size).toBe(5)
    one.update([peer('c')], RECENT_MS)
    expect(one.size).toBe(2)
    expect(one.registrarsOf(vm(1)).toSorted()).toEqual(['a', 'c'])
  })

  test('count one that said goodbye and came back as any other: it may be beyond a cut when it falls silent', () => {
    const known = new KnownPlants(peer('a'), new NodeCrypto())
    known.update([peer('b')], 0)
    known.bye(peer('b'), 1_000)
    expect(known.byesDueMs).toBe(1_000 + BYE_MS)
    known.update([peer('b')], known.byesDueMs)
    expect(known.byesDueMs).toBe(Infinity)
    known.update([], 40_000)
    expect(known.size).toBe(2)
    known.update([], 1_000 + BYE_MS + RECENT_MS)
    expect(known.size).toBe(1)
  })

  test('count one whose goodbye is heard when it has been out of view for long, or of which nobody looked whether it came back', () => {
    const known = new KnownPlants(peer('a'), new NodeCrypto())
    known.update([peer('b'), peer('c')], 0)
    known.bye(peer('c'), 0)
    // This plant stands still meanwhile.
    known.bye(peer('b'), 140_000)
    known.update([], 140_000)
    expect(known.size).toBe(3)
  })

  test('forget one that said goodbye as long as an advert keeps it in view', () => { expect(BYE_MS).toBe(ADVERT_LIFE_MS) })
})
