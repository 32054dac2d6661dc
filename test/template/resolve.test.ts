/** What `software.os` means: id, version, family, series, label. */
import { describe, expect, test } from 'vitest'
import fc from 'fast-check'
import type { GoldenId, KeyId } from '../../protocols/kit/index.ts'
import { checkOrder, type Golden, type Order } from '../../protocols/order/index.ts'
import { plan } from '../../node/plant/planner.ts'
import { resolve, soughtNames, type Asker, type TemplateFacts } from '../../node/plant/resolve.ts'
import { nextVersion } from '../../node/plant/templates/next-version.ts'
import { goldenId, goldenOf, people } from './support.ts'

const [mine, theirs, other] = people.map(({ key }) => key) as [KeyId, KeyId, KeyId]
const ofDomain = (domainKey: KeyId): Partial<Golden> => ({ publishedBy: { domain: 'lab', domainKey } })
const published = (number: number, version: number, more: Partial<Golden> = {}): Golden => goldenOf(number, { ...ofDomain(mine), version, ...more })
const orderOf = (os: string): Order => checkOrder({ apiVersion: 'plantmesh/v1', kind: 'Machine', domain: 'lab', software: { os } })
const asker: Asker = { owner: mine, domainKey: mine }

interface Told { labels?: Array<[string, number, KeyId]>, used?: Record<number, number>, removed?: number[] }

function factsOf ({ labels = [], used = {}, removed = [] }: Told): TemplateFacts {
  const usedMs = new Map(Object.entries(used).map(([number, ms]) => [goldenId(Number(number)), ms]))
  return {
    labelled: (label) => labels.filter(([text]) => text === label).map(([, number, by]) => ({ goldenId: goldenId(number), by })),
    lastUsedMs: ({ goldenId: id }) => usedMs.get(id),
    isRemoved: ({ goldenId: id }) => removed.some((number) => goldenId(number) === id)
  }
}

/** Ids of what the order may be made from; of family and series only those that answer to the name. */
function chosen (os: string, goldens: Golden[], told: Told = {}, who = asker): string[] | 'ambiguous' {
  const found = resolve(orderOf(os), goldens.map((golden) => ({ golden, missingBytes: 0 })), who, factsOf(told))
  if (found.kind === 'ambiguous') return 'ambiguous'
  return found.choices.filter(({ golden }) => found.exact || golden.name === os || golden.os === os).map(({ golden }) => golden.goldenId).sort()
}
const ids = (...numbers: number[]): GoldenId[] => numbers.map(goldenId)

describe('a series', () => {
  const three = [published(1, 1), published(2, 2), published(3, 3)]

  test('is its newest version while none was used, then the most recently used', () => {
    expect(chosen('workspace', three)).toEqual(ids(3))
    expect(chosen('workspace', three, { used: { 1: 50 } })).toEqual(ids(1))
    expect(chosen('workspace', three, { used: { 1: 50, 2: 60 } })).toEqual(ids(2))
  })

  test('by version is that one, whatever was used', () => {
    expect(chosen('workspace@2', three, { used: { 1: 50 } })).toEqual(ids(2))
    expect(chosen('workspace@4', three)).toEqual([])
    expect(chosen('workspace@02', three)).toEqual([])
  })

  test('passes over versions that were removed', () => {
    expect(chosen('workspace', three, { removed: [3] })).toEqual(ids(2))
    expect(chosen('workspace@3', three, { removed: [3] })).toEqual([])
    expect(chosen(goldenId(3), three, { removed: [3] })).toEqual([])
  })

  test('has all sizes of the version, whichever of them was used', () => {
    const larger = published(4, 1, { from: goldenId(1), hardware: { isa: 'x86_64', cpus: 1, memoryMiB: 320, diskMiB: 512 } })
    expect(chosen('workspace', [...three, larger], { used: { 4: 9 } })).toEqual(ids(1, 4))
  })

  test('of several owners is one\'s own, and ambiguous for others', () => {
    const both = [...three, goldenOf(7, { ...ofDomain(theirs), version: 1 })]
    expect(chosen('workspace', both)).toEqual(ids(3))
    expect(chosen('workspace@1', both)).toEqual(ids(1))
    expect(chosen('workspace', both, {}, { owner: other, domainKey: other })).toBe('ambiguous')
    expect(chosen('workspace@1', both, {}, { owner: other, domainKey: other })).toBe('ambiguous')
    expect(chosen('workspace@3', both, {}, { owner: other, domainKey: other })).toEqual(ids(3))
  })

  test('is the same whatever the order of what is known', () => {
    fc.assert(fc.property(fc.array(fc.record({ version: fc.integer({ min: 1, max: 3 }), at: fc.nat(3), used: fc.option(fc.nat(3)) }), { minLength: 1, maxLength: 8 }).chain((drawn) => {
      const goldens = drawn.map(({ version, at }, i) => published(i + 1, version, { createdAtMs: at }))
      const used = Object.fromEntries(drawn.flatMap((one, i) => one.used === null ? [] : [[i + 1, one.used]]))
      return fc.tuple(fc.constant(goldens), fc.shuffledSubarray(goldens, { minLength: goldens.length }), fc.constant(used))
    }), ([goldens, shuffled, used]) => {
      const found = chosen('workspace', goldens, { used })
      expect(chosen('workspace', shuffled, { used })).toEqual(found)
      expect(found.length).toBeGreaterThan(0)
      const versions = new Set(goldens.filter(({ goldenId: id }) => found.includes(id)).map(({ version }) => version))
      expect(versions.size).toBe(1)
    }))
  })
})

describe('a label', () => {
  const own = published(1, 1)
  const basis = goldenOf(2, { name: 'basis', os: 'basis', publisher: other })
  const foreign = goldenOf(3, { name: 'foreign', ...ofDomain(theirs), publisher: other })

  test('of the owner or the domain counts, on whatever it is', () => {
    expect(chosen('good', [own, basis, foreign], { labels: [['good', 3, mine]] })).toEqual(ids(3))
    expect(chosen('good', [own], { labels: [['good', 1, mine]] }, { owner: other, domainKey: mine })).toEqual(ids(1))
  })

  test('of who made what anybody may base on counts, that of a stranger or of another domain does not', () => {
    expect(chosen('good', [own, basis, foreign], { labels: [['good', 2, other]] })).toEqual(ids(2))
    expect(chosen('good', [own, basis, foreign], { labels: [['good', 2, theirs], ['good', 3, theirs], ['good', 3, other]] })).toEqual([])
  })

  test('is the most recently used template that has it, else the newest', () => {
    const two = [own, goldenOf(5, { name: 'later', ...ofDomain(mine) })]
    const labels: Told['labels'] = [['good', 1, mine], ['good', 5, mine]]
    expect(chosen('good', two, { labels })).toEqual(ids(5))
    expect(chosen('good', two, { labels, used: { 1: 3 } })).toEqual(ids(1))
  })

  test('of one\'s own gives way to one\'s own series and to what plants build, that of others to any family and series', () => {
    expect(chosen('workspace', [own, basis], { labels: [['workspace', 2, mine]] })).toEqual(ids(1))
    const tiny = goldenOf(4, { name: 'tiny' })
    expect(chosen('tiny', [foreign, tiny], { labels: [['tiny', 3, mine]] })).toEqual(ids(4))
    expect(chosen('foreign', [basis, foreign], { labels: [['foreign', 2, other]] })).toEqual(ids(3))
    expect(chosen('basis', [{ ...own, publishedBy: undefined as never, publisher: other }, basis], { labels: [['basis', 1, other]] })).toEqual(ids(2))
  })

  test('and a series of one\'s own are not taken over by strangers who come to call something so', () => {
    const labels: Told['labels'] = [['good', 1, mine]]
    const strangers = [theirs, other].map((key, i) => goldenOf(8 + i, { name: 'good', ...ofDomain(key) }))
    const family = goldenOf(7, { name: 'good', os: 'good', publisher: theirs })
    for (const others of [strangers.slice(0, 1), strangers, [family], [...strangers, family]]) expect(chosen('good', [own, ...others], { labels })).toEqual(ids(1))
    const claimed = goldenOf(7, { name: 'workspace', os: 'workspace', publisher: theirs })
    expect(chosen('workspace', [own, claimed])).toEqual(ids(1))
    expect(chosen('workspace', [own, claimed], {}, { owner: other, domainKey: other })).toEqual(ids(7))
  })

  test('is planned with all that was done on it, though the order names none of it', () => {
    const done = { ...own, actionsDone: [{ digest: 'a'.repeat(64) as never, id: 'a', outputs: { Out: '1' } }] }
    const made = plan(orderOf('good'), [done], 'line', { ...asker, hostIsa: 'x86_64', templates: factsOf({ labels: [['good', 1, mine]] }) })
    expect(made).toMatchObject({ fits: true, golden: { goldenId: goldenId(1) }, outputs: { Out: '1' } })
    expect(plan(orderOf('good'), [done], 'line', { ...asker, hostIsa: 'x86_64' })).toMatchObject({ fits: false, refusal: { clause: 'OS' } })
  })

  test('and a version are looked for in the mesh by what they stand for', () => {
    const facts = factsOf({ labels: [['good', 3, mine], ['good', 4, theirs]] })
    expect(soughtNames('good', asker, facts)).toEqual(['good', goldenId(3)])
    expect(soughtNames('workspace@2', asker, facts)).toEqual(['workspace'])
  })
})

describe('a publication', () => {
  const me = { domain: 'lab', domainKey: mine }

  test('is the next version of its owner\'s series', () => {
    expect(nextVersion('workspace', me, [], [], 0)).toBe(1)
    expect(nextVersion('workspace', me, [published(1, 1)], [], 0)).toBe(2)
    expect(nextVersion('workspace', me, [goldenOf(1, ofDomain(mine))], [], 0)).toBe(2)
    expect(nextVersion('workspace', me, [published(1, 1)], [{ name: 'workspace', version: 2, ...me }], 0)).toBe(3)
  })

  test('never has the number of one that was removed', () => {
    expect(nextVersion('workspace', me, [published(1, 1)], [], 4)).toBe(5)
  })

  test('under somebody else\'s name, or a family\'s, is refused', () => {
    for (const known of [[goldenOf(1, ofDomain(theirs))], [goldenOf(1, { publisher: other })], [published(1, 1, { publishedBy: { domain: 'elsewhere', domainKey: mine } })]]) {
      expect(() => nextVersion('workspace', me, known, [], 0)).toThrow('GOLDEN_EXISTS')
    }
    expect(() => nextVersion('workspace', me, [], [{ name: 'workspace', version: 1, domain: 'lab', domainKey: theirs }], 0)).toThrow('GOLDEN_EXISTS')
    expect(() => nextVersion('debian', me, [], [], 0)).toThrow('GOLDEN_EXISTS')
  })
})
