import { expect, test } from 'vitest'
import { candidates, shortageOf } from '../../protocols/capacity/index.ts'
import type { PlantSeen } from '../../protocols/capacity/index.ts'
import type { PeerId } from '../../protocols/kit/index.ts'
import { adOf, seededRandom } from '../support/capacity.ts'

const need = { cpus: 1, memoryMiB: 256, diskMiB: 512, os: 'tiny' }
const plant = (name: string, change = {}): PlantSeen => ({ peer: name as PeerId, ad: adOf(change), ageMs: 0 })

test('what an ad is short of is named', () => {
  expect(shortageOf(adOf(), need)).toBeUndefined()
  expect(shortageOf(adOf(), { ...need, isa: 'aarch64' })).toBe('isa')
  expect(shortageOf(adOf(), { ...need, os: 'debian' })).toBe('golden')
  expect(shortageOf(adOf({ goldenMore: true }), { ...need, os: 'debian' })).toBeUndefined()
  expect(shortageOf(adOf({ freeMachines: 0 }), need)).toBe('machines')
  expect(shortageOf(adOf({ freeCpus: 0 }), need)).toBe('cpus')
  expect(shortageOf(adOf({ freeMemoryMiB: 255 }), need)).toBe('memory')
  expect(shortageOf(adOf({ freeDiskMiB: 511 }), need)).toBe('disk')
  expect(shortageOf(adOf({ freeNetworks: 0 }), need)).toBeUndefined()
  expect(shortageOf(adOf({ freeNetworks: 0 }), { ...need, network: true })).toBe('networks')
})

test('of a hundred that fit, the twelve least busy are picked and four are drawn from all others', () => {
  const plants = Array.from({ length: 100 }, (_, i) => plant(`p${i}`, { load: i }))
  const drawn = new Set<string>()
  for (let seed = 0; seed < 400; seed++) {
    const chosen = candidates(plants, need, 16, seededRandom(seed))
    expect(chosen).toHaveLength(16)
    expect(new Set(chosen.map((candidate) => candidate.peer)).size).toBe(16)
    expect(chosen.slice(0, 12).map((candidate) => candidate.peer)).toEqual(Array.from({ length: 12 }, (_, i) => `p${i}`))
    expect(chosen.slice(0, 12).every((candidate) => !candidate.drawn)).toBe(true)
    for (const candidate of chosen.slice(12)) drawn.add(candidate.peer)
  }
  expect(drawn.size).toBe(88)
})

test('places left over go to plants that do not fit, marked with what they are short of', () => {
  const plants = [plant('full', { freeMachines: 0 }), plant('good'), plant('other', { isa: 'aarch64' })]
  const chosen = candidates(plants, { ...need, isa: 'x86_64' }, 16, seededRandom(1))
  expect(chosen[0]).toMatchObject({ peer: 'good', short: undefined })
  expect(new Set(chosen.slice(1).map((candidate) => `${candidate.peer} ${candidate.short}`))).toEqual(new Set(['full machines', 'other isa']))
  expect(candidates(plants, { ...need, isa: 'x86_64' }, 1, seededRandom(1)).map((candidate) => candidate.peer)).toEqual(['good'])
  expect(candidates(plants, need, 0, seededRandom(1))).toEqual([])
  expect(candidates([], need, 16, seededRandom(1))).toEqual([])
})

test('equally busy plants are picked evenly', () => {
  const plants = Array.from({ length: 8 }, (_, i) => plant(`p${i}`))
  const first = new Map<string, number>()
  const random = seededRandom(7)
  for (let i = 0; i < 4_000; i++) {
    const peer = candidates(plants, need, 3, random)[0]?.peer ?? ''
    first.set(peer, (first.get(peer) ?? 0) + 1)
  }
  expect(first.size).toBe(8)
  for (const times of first.values()) expect(Math.abs(times - 500)).toBeLessThan(120)
})

test('a view of ten thousand plants costs about ten times one of a thousand', () => {
  const timed = (count: number): number => {
    const plants = Array.from({ length: count }, (_, i) => plant(`p${i}`, { load: (i * 7919) % count }))
    const random = seededRandom(3)
    const rounds = Array.from({ length: 15 }, () => {
      const startMs = performance.now()
      candidates(plants, need, 16, random)
      return performance.now() - startMs
    }).toSorted((a, b) => a - b)
    return rounds[0] ?? Infinity // The quickest: what else the machine does only adds.
  }
  timed(10_000)
  const [small, large] = [timed(1_000), timed(10_000)]
  expect(large / small).toBeLessThan(40) // Quadratic would be a hundred.
})

test('a plant that can fetch the golden machine fits, behind those that have it unless they are much busier', () => {
  const plants = [plant('empty', { goldenMachines: [] }), plant('holder', { load: 1 }), plant('swamped', { load: 4 })]
  expect(shortageOf(adOf({ goldenMachines: [] }), { ...need, fetchable: true })).toBeUndefined()
  expect(candidates(plants, { ...need, fetchable: true }, 16, seededRandom(1)).map(({ peer, short }) => [peer, short])).toEqual([['holder', undefined], ['empty', undefined], ['swamped', undefined]])
  expect(candidates(plants, need, 16, seededRandom(1)).map(({ peer, short }) => [peer, short])).toEqual([['holder', undefined], ['swamped', undefined], ['empty', 'golden']])
})
