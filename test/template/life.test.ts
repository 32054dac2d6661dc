/** The life cycle of templates as a core: copies come and go with use, all plants agree whose turn it is, and no last copy goes. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { GoldenId, PeerId } from '../../protocols/kit/index.ts'
import { LifeCore, type HolderSaid, type LifeVerdict, type TemplateLife } from '../../storage/templates/life.ts'
import { LIFE_DEFAULTS, USES_COUNTED_MAX, holdOffMs, targetOf, type LifePolicy } from '../../storage/templates/life-policy.ts'
import { ranked, rankOf } from '../../storage/templates/rendezvous.ts'
import { USE_MEMORY_MS, USE_RATES_MAX, UseRates } from '../../storage/templates/use-rate.ts'
import { goldenId } from './support.ts'

const HOUR_MS = 3_600_000
const GIB = 2 ** 30
const POLICY: LifePolicy = LIFE_DEFAULTS
const HOLD_MS = holdOffMs(POLICY)
const names = (count: number): PeerId[] => Array.from({ length: count }, (_, i) => `12D3KooW${i}` as PeerId)

/** What is true of one template in a world that all plants see alike. */
interface Truth { goldenId: GoldenId, uses?: Map<PeerId, number>, pinned?: boolean, labelled?: boolean, derived?: boolean, idleMs?: number, busy?: Set<PeerId> }

/** A world in which what plants decide happens at once, and nobody gives up a copy that too few others promise to keep. */
class World {
  readonly cores: Map<PeerId, LifeCore>
  /** Who has it: as its own, or as a copy. */
  readonly holders = new Map<PeerId, 'own' | 'copy'>()
  nowMs = 0

  readonly plants: PeerId[]
  readonly truth: Truth
  readonly room: number

  constructor (plants: PeerId[], truth: Truth, policy: LifePolicy = POLICY, room = GIB) {
    this.plants = plants
    this.truth = truth
    this.room = room
    this.cores = new Map(plants.map((peer) => [peer, new LifeCore(policy)]))
  }

  view (self: PeerId): TemplateLife {
    const { truth, holders } = this
    const said = (peer: PeerId): HolderSaid => ({ uses: truth.uses?.get(peer) ?? 0, kept: holders.get(peer) === 'own' || truth.busy?.has(peer) === true })
    return {
      goldenId: truth.goldenId, bytes: GIB / 2, here: holders.get(self) ?? 'no', others: new Map([...holders.keys()].filter((peer) => peer !== self).map((peer) => [peer, said(peer)])),
      uses: truth.uses?.get(self) ?? 0, idleHereMs: truth.idleMs ?? 48 * HOUR_MS, idleMs: truth.idleMs ?? 48 * HOUR_MS,
      pinned: truth.pinned ?? false, labelled: truth.labelled ?? false, derived: truth.derived ?? false, busyHere: truth.busy?.has(self) ?? false, publishedHere: holders.get(self) === 'own'
    }
  }

  decide (): Map<PeerId, LifeVerdict> {
    const roomBytes = new Map(this.plants.map((peer) => [peer, this.room]))
    return new Map(this.plants.filter((peer) => this.cores.has(peer)).map((self) => [self, this.cores.get(self)?.look(this.nowMs, { self, roomBytes, templates: [this.view(self)] })[0] as LifeVerdict]))
  }

  /** Lets so much time pass, with a look each half minute; returns what was done. */
  pass (ms: number): LifeVerdict[] {
    const done: LifeVerdict[] = []
    for (const endMs = this.nowMs + ms; this.nowMs < endMs;) {
      this.nowMs += 30_000
      const verdicts = this.decide()
      for (const [self, verdict] of verdicts) {
        if (verdict.does === 'copy') this.holders.set(self, 'copy')
        // Two at once promise each other nothing.
        else if (verdict.does === 'giveUp' && verdict.ask.filter((peer) => this.holders.has(peer) && verdicts.get(peer)?.does !== 'giveUp').length >= verdict.target) this.holders.delete(self)
        else if (verdict.does === 'dispose') this.holders.delete(self)
        else continue
        done.push(verdict)
      }
    }
    return done
  }
}

test('a plant has as many copies made as it is used, at least k, at most one at each plant', () => {
  expect(targetOf(0, 100, POLICY)).toBe(2)
  expect(targetOf(40, 100, POLICY)).toBe(10)
  expect(targetOf(41, 100, POLICY)).toBe(11)
  expect(targetOf(4_000, 100, POLICY)).toBe(100)
  expect(targetOf(0, 1, POLICY)).toBe(1)
})

test('what is rare is copied to k plants, no sooner than the hold-off and by no more plants than are missing', () => {
  const world = new World(names(50), { goldenId: goldenId(7) })
  world.holders.set(world.plants[3] as PeerId, 'own')
  expect(world.pass(HOLD_MS - 30_000)).toEqual([])
  expect(world.pass(60_000)).toHaveLength(1)
  expect(world.pass(10 * HOLD_MS)).toEqual([])
  expect(world.holders.size).toBe(2)
})

test('a holder that is gone for less than the hold-off has nothing copied', () => {
  const world = new World(names(20), { goldenId: goldenId(7) })
  world.holders.set(world.plants[0] as PeerId, 'own').set(world.plants[1] as PeerId, 'copy')
  world.pass(60_000)
  world.holders.delete(world.plants[1] as PeerId)
  expect(world.pass(HOLD_MS / 2)).toEqual([])
  world.holders.set(world.plants[1] as PeerId, 'copy')
  expect(world.pass(10 * HOLD_MS)).toEqual([])
})

test('when the first in rank do nothing the next ones do', () => {
  const world = new World(names(20), { goldenId: goldenId(9) })
  world.holders.set(world.plants[0] as PeerId, 'own')
  const [first = ''] = ranked(goldenId(9), world.plants.slice(1))
  world.cores.delete(first as PeerId)
  expect(world.pass(4 * HOLD_MS)).toEqual([])
  expect(world.pass(2 * HOLD_MS)).toHaveLength(1)
})

test('a plant without room takes none, and is passed over by the others', () => {
  const world = new World(names(5), { goldenId: goldenId(1) }, POLICY, GIB / 4)
  world.holders.set(world.plants[0] as PeerId, 'own')
  expect(world.pass(20 * HOLD_MS)).toEqual([])
  expect(world.decide().get(world.plants[1] as PeerId)?.why).toContain('no room')
})

test('one plant that says to use something without end has ten copies made of it, not one at every plant', () => {
  const plants = names(200)
  const world = new World(plants, { goldenId: goldenId(3), uses: new Map([[plants[0] as PeerId, 1e9]]) })
  world.holders.set(plants[0] as PeerId, 'own')
  world.pass(10 * HOLD_MS)
  expect(world.holders.size).toBe(USES_COUNTED_MAX / POLICY.usesPerCopy)
})

test('copies grow with use to the target, and shrink to k when it is over, the maker\'s own among them', () => {
  const plants = names(60)
  const users = new Map(plants.slice(0, 10).map((peer) => [peer, 12]))
  const truth: Truth = { goldenId: goldenId(5), uses: users, idleMs: 0 }
  const world = new World(plants, truth)
  // Who uses it has it.
  for (const peer of users.keys()) world.holders.set(peer, peer === plants[0] ? 'own' : 'copy')
  world.pass(10 * HOLD_MS)
  expect(world.holders.size).toBe(30)
  truth.uses = new Map()
  expect(world.pass(10 * HOLD_MS)).toEqual([]) // It cools down first.
  truth.idleMs = POLICY.coolDownMs
  world.pass(10 * HOLD_MS)
  expect(world.holders.size).toBe(2)
  expect(world.holders.get(plants[0] as PeerId)).toBe('own')
})

test('what is in use, or a base of what is here, is not given up', () => {
  const plants = names(8)
  const world = new World(plants, { goldenId: goldenId(5), busy: new Set(plants.slice(1, 5)) })
  for (const peer of plants) world.holders.set(peer, 'copy')
  world.pass(10 * HOLD_MS)
  expect([...world.holders.keys()].toSorted()).toEqual(plants.slice(1, 5).toSorted())
})

test('what nobody used for long is disposed of by all its holders only where that was asked for, and never what is pinned, labelled or a base', () => {
  const policy = { ...POLICY, disposeAfterMs: 30 * 24 * HOUR_MS }
  const ends = (truth: Partial<Truth>, of: LifePolicy = policy): number => {
    const world = new World(names(4), { goldenId: goldenId(5), idleMs: 31 * 24 * HOUR_MS, ...truth }, of)
    world.holders.set(world.plants[0] as PeerId, 'own').set(world.plants[1] as PeerId, 'copy')
    world.pass(59 * 60_000)
    expect(world.holders.size).toBe(2)
    world.pass(2 * 60_000)
    return world.holders.size
  }
  expect(ends({})).toBe(0)
  for (const kept of [{ pinned: true }, { labelled: true }, { derived: true }, { idleMs: 29 * 24 * HOUR_MS }]) expect(ends(kept)).toBe(2)
  expect(ends({}, POLICY)).toBe(2)
})

const drawn = fc.record({
  plants: fc.integer({ min: 1, max: 24 }), golden: fc.integer({ min: 0, max: 2 ** 30 }), own: fc.array(fc.nat(23), { maxLength: 3 }), copies: fc.array(fc.nat(23), { maxLength: 24 }),
  uses: fc.array(fc.nat(80), { maxLength: 24 }), busy: fc.array(fc.nat(23), { maxLength: 5 }), pinned: fc.boolean(), labelled: fc.boolean(), derived: fc.boolean(),
  idleHours: fc.nat(2_000), dispose: fc.option(fc.integer({ min: 1, max: 1_000 }), { nil: undefined }), copiesMin: fc.integer({ min: 1, max: 6 })
})

function worldOf (of: typeof drawn extends fc.Arbitrary<infer T> ? T : never): World {
  const plants = names(of.plants)
  const at = (i: number): PeerId => plants[i % plants.length] as PeerId
  const policy = { ...POLICY, copiesMin: of.copiesMin, disposeAfterMs: of.dispose === undefined ? undefined : of.dispose * HOUR_MS }
  const world = new World(plants, {
    goldenId: of.golden.toString(16).padStart(8, '0').padEnd(32, '0') as GoldenId, uses: new Map(of.uses.map((uses, i) => [at(i), uses])), pinned: of.pinned, labelled: of.labelled,
    derived: of.derived, idleMs: of.idleHours * HOUR_MS, busy: new Set(of.busy.map(at))
  }, policy)
  for (const i of of.copies) world.holders.set(at(i), 'copy')
  for (const i of of.own) world.holders.set(at(i), 'own')
  return world
}

test('a pinned template keeps a copy, and what one plant made stays there, whatever the views', () => {
  fc.assert(fc.property(drawn, (of) => {
    const world = worldOf({ ...of, pinned: true })
    const before = world.holders.size
    const own = [...world.holders].filter(([, as]) => as === 'own').map(([peer]) => peer)
    world.pass(20 * HOLD_MS)
    if (before > 0) expect(world.holders.size).toBeGreaterThan(0)
    for (const peer of own) expect(world.holders.has(peer)).toBe(true)
  }), { numRuns: 100 })
})

test('a plan to give up a pinned or a wanted copy always asks as many others as there are to be, one at least, and never plans disposal of it', () => {
  fc.assert(fc.property(drawn, (of) => {
    const world = worldOf(of)
    world.decide()
    world.nowMs += 2 * HOLD_MS
    for (const [self, verdict] of world.decide()) {
      if (verdict.does === 'giveUp') {
        expect(verdict.ask).not.toContain(self)
        expect(new Set(verdict.ask).size).toBe(world.holders.size - 1)
        expect(verdict.ask.length).toBeGreaterThanOrEqual(Math.max(1, verdict.target))
      }
      if (of.pinned || of.labelled || of.derived) expect(verdict.does).not.toBe('dispose')
    }
  }), { numRuns: 100 })
})

test('copies come to the target where plants have room, and stay there: all agree whose turn it is', () => {
  fc.assert(fc.property(drawn, (of) => {
    const world = worldOf({ ...of, dispose: undefined, busy: [], idleHours: 2_000 })
    if (world.holders.size === 0) return
    world.pass(30 * HOLD_MS)
    const kept = [...world.holders].filter(([peer, as]) => as === 'own' || (world.truth.uses?.get(peer) ?? 0) >= 1).length
    const target = [...world.decide().values()][0]?.target ?? 0
    expect(world.holders.size).toBe(Math.max(kept, target))
    expect(world.pass(30 * HOLD_MS)).toEqual([])
  }), { numRuns: 60 })
})

test('ranks are spread over plants, and a plant that joins changes the rank of no two others', () => {
  const plants = names(50)
  const firsts = new Set(Array.from({ length: 200 }, (_, i) => ranked((i * 7_919 + 1).toString(16).padStart(8, '0') as GoldenId, plants)[0]))
  expect(firsts.size).toBeGreaterThan(40)
  for (const [rank, peer] of ranked(goldenId(1), plants).entries()) expect(rankOf(goldenId(1), peer, plants)).toBe(rank)
  const [more, ...fewer] = plants
  expect(ranked(goldenId(1), plants).filter((peer) => peer !== more)).toEqual(ranked(goldenId(1), fewer))
})

test('uses an hour come to the rate at which it is used, fade, and are kept of so many', () => {
  const rates = new UseRates()
  for (let ms = 0; ms < 10 * HOUR_MS; ms += HOUR_MS / 20) rates.note(goldenId(1), ms)
  expect(rates.of(goldenId(1), 10 * HOUR_MS)).toBeCloseTo(20, -0.5)
  expect(rates.of(goldenId(1), 10 * HOUR_MS + 5 * USE_MEMORY_MS)).toBeLessThan(0.2)
  for (let i = 2; i < USE_RATES_MAX + 3; i++) rates.note(goldenId(i), 11 * HOUR_MS)
  expect(rates.of(goldenId(1), 11 * HOUR_MS)).toBe(0)
  expect(rates.of(goldenId(2), 11 * HOUR_MS)).toBe(0)
  expect(rates.of(goldenId(3), 11 * HOUR_MS)).toBe(1)
})
