import { expect, test } from 'vitest'
import { makeKey } from '../../node/drivers/key-file.ts'
import { ADVERT_LIFE_MS } from '../../protocols/capacity/index.ts'
import type { CapacityCore } from '../../protocols/capacity/index.ts'
import { adOf, coreOf, runTo } from '../support/capacity.ts'

/** One advert of a plant, as gossip would bring it. */
function advertOf (core: CapacityCore, nowMs: number, change = {}): Uint8Array {
  core.onOwnAd(nowMs, adOf(change))
  const message = runTo(core, nowMs + 200)[0]?.message
  if (message === undefined) throw new Error('nothing was advertised')
  return message
}
const peersOf = (core: CapacityCore, nowMs: number): string[] => [...core.plants(nowMs)].map((plant) => plant.peer)

test('a plant advertises within 200 ms of its first ad and then about every 10 s', () => {
  const core = coreOf()
  core.onOwnAd(0, adOf())
  const times = runTo(core, 100_000).map((advert) => advert.atMs)
  expect(times[0]).toBeLessThanOrEqual(200)
  const gaps = times.slice(1).map((ms, i) => ms - (times[i] ?? 0))
  for (const gap of gaps) expect(gap).toBeGreaterThanOrEqual(9_000)
  for (const gap of gaps) expect(gap).toBeLessThanOrEqual(11_000)
  expect(new Set(gaps).size).toBeGreaterThan(1)
})

test('a change is told within 200 ms, several at once as one, and an equal ad is no change', () => {
  const core = coreOf()
  core.onOwnAd(0, adOf())
  runTo(core, 1_000)
  expect(core.onOwnAd(1_000, adOf())).toEqual([])
  expect(runTo(core, 5_000)).toEqual([])
  for (let i = 0; i < 10; i++) core.onOwnAd(5_000 + i, adOf({ freeCpus: i % 4 }))
  const told = runTo(core, 9_000)
  expect(told).toHaveLength(1)
  expect(told[0]?.atMs).toBeLessThanOrEqual(5_200)
})

test('a plant that changes all the time advertises 20 times and then once a second', () => {
  const core = coreOf()
  let adverts = 0
  for (let ms = 0; ms < 60_000; ms += 50) {
    core.onOwnAd(ms, adOf({ freeMemoryMiB: ms % 4096 }))
    adverts += runTo(core, ms).length
  }
  expect(adverts).toBeGreaterThan(60)
  expect(adverts).toBeLessThanOrEqual(20 + 60 + 1)
})

test('a new neighbour is a change, and is told again while its subscription may be on its way', () => {
  const core = coreOf()
  core.onOwnAd(0, adOf())
  runTo(core, 500)
  core.onNeighbour(500)
  expect(runTo(core, 5_000).map((advert) => advert.atMs)).toEqual([600, 1_500, 3_500])
})

test('an advert is seen with its age, and aged out after 35 s of silence', () => {
  const core = coreOf()
  const other = coreOf()
  expect(core.onGossip(1_000, other.key.peerId, advertOf(other, 0))).toEqual({ verdict: 'accept', effects: [{ do: 'changed' }] })
  expect(core.plant(5_000, other.key.peerId)).toMatchObject({ ageMs: 4_000, ad: { freeCpus: 4 } })
  runTo(core, 1_000 + ADVERT_LIFE_MS - 1)
  expect(peersOf(core, 1_000 + ADVERT_LIFE_MS - 1)).toEqual([other.key.peerId])
  expect(peersOf(core, 1_000 + ADVERT_LIFE_MS)).toEqual([])
  const effects = []
  while (core.wakeAtMs <= 40_000) effects.push(...core.onWake(core.wakeAtMs))
  expect(effects).toEqual([{ do: 'changed' }])
  expect(core.size).toBe(0)
})

test('a plant that goes on advertising stays, and one goodbye takes it off at once', () => {
  const core = coreOf()
  const other = coreOf()
  other.onOwnAd(0, adOf())
  for (const { atMs, message } of runTo(other, 200_000)) {
    runTo(core, atMs)
    expect(core.onGossip(atMs, other.key.peerId, message).verdict).toBe('accept')
  }
  runTo(core, 200_000)
  expect(peersOf(core, 200_000)).toEqual([other.key.peerId])
  const [goodbye] = other.onStop()
  if (goodbye?.do !== 'publish') throw new Error('no goodbye')
  expect(core.onGossip(200_001, other.key.peerId, goodbye.message)).toEqual({ verdict: 'accept', effects: [{ do: 'changed' }] })
  expect(peersOf(core, 200_001)).toEqual([])
  expect(core.onGossip(200_002, other.key.peerId, goodbye.message).verdict).toBe('ignore')
})

test('old and replayed adverts are ignored, also after the plant has aged out or said goodbye, until it starts anew', () => {
  const core = coreOf()
  const key = makeKey()
  const other = coreOf({ key, epoch: 5 })
  const first = advertOf(other, 0)
  const second = advertOf(other, 1_000, { freeCpus: 1 })
  expect(core.onGossip(1, key.peerId, second).verdict).toBe('accept')
  expect(core.onGossip(2, key.peerId, first).verdict).toBe('ignore')
  expect(core.onGossip(3, key.peerId, second).verdict).toBe('ignore')
  expect(core.plant(4, key.peerId)?.ad.freeCpus).toBe(1)
  runTo(core, 100_000)
  expect(core.onGossip(100_000, key.peerId, second).verdict).toBe('ignore')
  expect(peersOf(core, 100_000)).toEqual([])
  const restarted = coreOf({ key, epoch: 6 })
  expect(core.onGossip(100_001, key.peerId, advertOf(restarted, 0)).verdict).toBe('accept')
})

test('a plant whose clock went back over a restart outranks its own past once it hears of it', () => {
  const key = makeKey()
  const core = coreOf()
  core.onGossip(0, key.peerId, advertOf(coreOf({ key, epoch: 1_000 }), 0))
  const restarted = coreOf({ key, epoch: 10 })
  expect(core.onGossip(1, key.peerId, advertOf(restarted, 0, { freeCpus: 2 })).verdict).toBe('ignore')
  for (const part of core.viewParts(100)) restarted.onViewPart(300, part)
  const again = runTo(restarted, 600)
  expect(again).toHaveLength(1)
  expect(core.onGossip(600, key.peerId, again[0]?.message ?? new Uint8Array()).verdict).toBe('accept')
  expect(core.plant(600, key.peerId)?.ad.freeCpus).toBe(2)
})

test('an advert that is altered, under another name, too long or rubbish is rejected', () => {
  const core = coreOf()
  const other = coreOf()
  const advert = advertOf(other, 0)
  const altered = Uint8Array.from(advert)
  altered[altered.length - 1] = (altered.at(-1) ?? 0) ^ 1
  const verdict = (from: string, message: Uint8Array): string => core.onGossip(0, from as typeof other.key.peerId, message).verdict
  expect(verdict(other.key.peerId, altered)).toBe('reject')
  expect(verdict(makeKey().peerId, advert)).toBe('reject')
  expect(verdict(other.key.peerId, new Uint8Array(9_000))).toBe('reject')
  expect(verdict(other.key.peerId, Uint8Array.of(1, 2, 3))).toBe('reject')
  expect(core.onViewPart(0, [{ advert: altered, ageMs: 0 }])).toEqual({ sound: false, effects: [] })
  expect(core.size).toBe(0)
})

test('a flood by one author is ignored above its rate, and others are still heard', () => {
  const core = coreOf()
  const flood = coreOf()
  const verdicts: string[] = []
  for (let i = 0; i < 1_000; i++) {
    flood.onOwnAd(i * 1_000, adOf({ freeMemoryMiB: i }))
    const message = runTo(flood, i * 1_000 + 200)[0]?.message
    if (message !== undefined) verdicts.push(core.onGossip(i, flood.key.peerId, message).verdict)
  }
  const accepted = verdicts.filter((verdict) => verdict === 'accept').length
  expect(accepted).toBeGreaterThanOrEqual(40)
  expect(accepted).toBeLessThanOrEqual(43)
  expect(new Set(verdicts)).toEqual(new Set(['accept', 'ignore']))
  const other = coreOf()
  expect(core.onGossip(1_000, other.key.peerId, advertOf(other, 0)).verdict).toBe('accept')
})

test('rubbish spends the author\'s quota', () => {
  const core = coreOf()
  const other = coreOf()
  for (let i = 0; i < 40; i++) expect(core.onGossip(0, other.key.peerId, Uint8Array.of(i)).verdict).toBe('reject')
  expect(core.onGossip(0, other.key.peerId, advertOf(other, 0)).verdict).toBe('ignore')
})

test('a full view takes in no new plant, keeps those it has, and has room again when one goes', () => {
  const core = coreOf({ viewPlantsMax: 2 })
  const [a, b, c] = [coreOf(), coreOf(), coreOf()]
  core.onGossip(0, a.key.peerId, advertOf(a, 0))
  core.onGossip(30_000, b.key.peerId, advertOf(b, 0))
  expect(core.onGossip(30_001, c.key.peerId, advertOf(c, 0)).verdict).toBe('ignore')
  expect(core.onGossip(30_002, b.key.peerId, advertOf(b, 1_000, { freeCpus: 0 })).verdict).toBe('accept')
  runTo(core, 36_000)
  expect(core.onGossip(36_000, c.key.peerId, advertOf(c, 1_000, { freeCpus: 0 })).verdict).toBe('accept')
  expect(new Set(peersOf(core, 36_000))).toEqual(new Set([b.key.peerId, c.key.peerId]))
})

test('a view handed on carries ages, so that a silent plant is not kept alive', () => {
  const [core, near, far] = [coreOf(), coreOf(), coreOf()]
  near.onOwnAd(0, adOf({ site: 'near' }))
  near.onGossip(1_000, far.key.peerId, advertOf(far, 0))
  const parts = [...near.viewParts(31_000)]
  expect(parts).toHaveLength(1)
  expect(core.onViewPart(50_000, parts[0] ?? [])).toEqual({ sound: true, effects: [{ do: 'changed' }] })
  expect(core.plant(50_000, far.key.peerId)?.ageMs).toBe(30_000)
  expect(core.plant(50_000, near.key.peerId)?.ad.site).toBe('near')
  runTo(core, 56_000)
  expect(peersOf(core, 56_000)).toEqual([near.key.peerId])
})

test('an advert is cut to its bounds, and says that there are more golden machines', () => {
  const many = Array.from({ length: 100 }, (_, i) => ({ name: `${i}`.padStart(300, 'x'), os: 'y'.repeat(128), isa: 'x86_64', cpus: 1, memoryMiB: 256, diskMiB: 512 }))
  const core = coreOf()
  const other = coreOf()
  other.onOwnAd(0, adOf({ goldenMachines: many, load: Number.NaN, freeMemoryMiB: -1, freeCpus: 1.5, site: 's'.repeat(1_000) }))
  const message = runTo(other, 500)[0]?.message ?? new Uint8Array()
  expect(message.length).toBeLessThanOrEqual(8_192)
  expect(core.onGossip(0, other.key.peerId, message).verdict).toBe('accept')
  expect(core.plant(0, other.key.peerId)?.ad).toMatchObject({ goldenMore: true, load: 0, freeMemoryMiB: 0, freeCpus: 1, site: 's'.repeat(128) })
})

test('a host that slept for a day drops all at once and goes on', () => {
  const core = coreOf()
  const other = coreOf()
  core.onOwnAd(0, adOf())
  core.onGossip(0, other.key.peerId, advertOf(other, 0))
  const dayMs = 86_400_000
  const effects = core.onWake(dayMs)
  expect(effects.map((effect) => effect.do)).toEqual(['changed', 'publish'])
  expect(peersOf(core, dayMs)).toEqual([core.key.peerId])
  expect(core.wakeAtMs).toBeGreaterThan(dayMs)
})

test('a plant whose clock went back over a restart is seen again where nobody can tell it of its past any more', () => {
  const key = makeKey()
  const core = coreOf()
  expect(core.onGossip(0, key.peerId, advertOf(coreOf({ key, epoch: 1_000 }), 0)).verdict).toBe('accept')
  const restarted = coreOf({ key, epoch: 10 })
  expect(core.onGossip(1_000, key.peerId, advertOf(restarted, 0)).verdict).toBe('ignore')
  runTo(core, 100_000)
  expect(peersOf(core, 100_000)).toEqual([])
  const late = advertOf(restarted, 1_000, { freeCpus: 2 })
  // A view may hand on what was said long ago: it is not believed.
  expect(core.onViewPart(100_000, [{ advert: late, ageMs: 0 }]).effects).toEqual([])
  expect(core.onGossip(100_001, key.peerId, late).verdict).toBe('accept')
  expect(peersOf(core, 100_001)).toEqual([key.peerId])
  expect(core.onGossip(100_002, key.peerId, late).verdict).toBe('ignore')
})
