/** Marks: the last written counts whatever comes first, bounds hold, forgeries and the future are refused, and two plants find what differs. */
import { describe, expect, test } from 'vitest'
import fc from 'fast-check'
import type { KeyId, PeerId } from '../../protocols/kit/index.ts'
import { LABEL, MARK_AHEAD_MS, MarkSet, MarksCore, decodeMark, markKey, signMark } from '../../protocols/template/index.ts'
import { AUTHOR_BURST, MARK_BYTES_MAX, PART_BYTES, SERVED_BURST_BYTES, SERVED_BYTES_PER_S } from '../../protocols/template/constants.ts'
import { Served } from '../../protocols/template/served.ts'
import { decodeMarks, decodeTemplateAsk, decodeUses, encodeMarks, encodeTemplateAsk, encodeUses } from '../../protocols/template/messages.ts'
import { crypto, goldenId, labelBy, markBy, people } from './support.ts'

const NOW = 1_000_000_000_000
const peer = (name: string): PeerId => name as PeerId
const keys = (core: MarksCore): string[] => [...core.marks.all()].map((mark) => `${markKey(mark)} ${mark.atMs} ${mark.kind === 'removed' || mark.on}`).sort()
const given = (marks: readonly Uint8Array[], bounds = {}): MarksCore => {
  const core = new MarksCore(crypto, bounds)
  for (const mark of marks) core.offer(NOW, mark)
  return core
}

/** Few subjects and few times, so that marks meet. */
const drawn = fc.record({ person: fc.nat(1), golden: fc.nat(2), label: fc.constantFrom('a', 'b'), atMs: fc.nat(4), on: fc.boolean() })
  .map(({ person, golden, label, atMs, on }) => labelBy(person, golden, label, atMs, on))
const drawnAll = fc.array(drawn, { maxLength: 24 })

describe('of the marks of one key about one subject', () => {
  test('all plants keep the same, in whatever order and however often they came', () => {
    fc.assert(fc.property(drawnAll.chain((marks) => fc.tuple(fc.constant(marks), fc.shuffledSubarray([...marks, ...marks], { minLength: marks.length * 2 }))), ([marks, shuffled]) => {
      expect(keys(given(shuffled))).toEqual(keys(given(marks)))
      expect(given(shuffled).marks.summary()).toEqual(given(marks).marks.summary())
    }), { numRuns: 60 })
  })

  test('the same stay when there are more of a key than it may have', () => {
    fc.assert(fc.property(fc.uniqueArray(fc.nat(200), { minLength: 1, maxLength: 20 }).chain((times) => fc.tuple(fc.constant(times), fc.shuffledSubarray(times, { minLength: times.length }))), ([times, shuffled]) => {
      const made = (all: number[]): MarksCore => given(all.map((atMs) => labelBy(0, atMs, 'a', atMs)), { perKeyMax: 5 })
      expect(made(times).marks.size).toBe(Math.min(5, times.length))
      expect(keys(made(shuffled))).toEqual(keys(made(times)))
    }), { numRuns: 40 })
  })

  test('the later wins, and of two of one time the same one everywhere', () => {
    const [on, off] = [labelBy(0, 1, 'a', 5), labelBy(0, 1, 'a', 5, false)]
    expect(keys(given([on, off]))).toEqual(keys(given([off, on])))
    const core = given([labelBy(0, 1, 'a', 6, false), labelBy(0, 1, 'a', 5)])
    expect([...core.marks.labelled('a')]).toEqual([])
    core.offer(NOW, labelBy(0, 1, 'a', 7))
    expect([...core.marks.labelled('a')]).toHaveLength(1)
  })

  test('a removal stays when newer labels need its room', () => {
    const core = given([markBy(0, { kind: 'removed', goldenId: goldenId(1), name: 'w', version: 1, atMs: 1 }), ...[2, 3, 4].map((n) => labelBy(0, n, 'a', n))], { perKeyMax: 2 })
    expect([...core.marks.of(goldenId(1))]).toMatchObject([{ kind: 'removed' }])
    expect(core.marks.size).toBe(2)
  })
})

describe('bounds', () => {
  test('who has the most gives way to who has few, and nobody pushes out his equals', () => {
    const core = given(Array.from({ length: 9 }, (_, i) => labelBy(0, i, 'a', i)), { max: 9 })
    for (let i = 0; i < 20; i++) core.offer(NOW, labelBy(1, i, 'b', i))
    expect(core.marks.size).toBe(9)
    expect([core.marks.sizeOf(people[0]?.key as never), core.marks.sizeOf(people[1]?.key as never)]).toEqual([5, 4])
    expect(core.offer(NOW, labelBy(2, 1, 'c', 1))).toMatchObject({ outcome: 'kept' })
    expect(core.marks.size).toBe(9)
  })

  test('keys that cost nothing neither push out nor keep out those that this plant goes by', () => {
    const [many, relied, late] = [0, 1, 2].map((person) => people[person]?.key)
    const core = given([1, 2, 3, 4].map((n) => labelBy(1, n, 'a', n)), { max: 6, reliesOn: (by: string) => by === relied || by === late })
    for (let i = 0; i < 9; i++) core.offer(NOW, labelBy(i % 2 === 0 ? 0 : 3, i, 'b', i))
    expect([core.marks.sizeOf(relied as never), core.marks.sizeOf(many as never)]).toEqual([4, 1])
    expect(core.offer(NOW, labelBy(2, 1, 'c', 1))).toMatchObject({ outcome: 'kept' })
    expect(core.offer(NOW, labelBy(2, 2, 'c', 1))).toMatchObject({ outcome: 'kept' })
    expect(core.offer(NOW, labelBy(2, 3, 'c', 1))).toEqual({ outcome: 'full' })
    expect([core.marks.size, core.marks.sizeOf(relied as never), core.marks.sizeOf(late as never)]).toEqual([6, 4, 2])
  })

  test('what is full of keys with one mark each is found full at once', () => {
    const count = 20_000
    const set = new MarkSet(crypto, { max: count })
    const added = (n: number): string => set.add({ by: `key ${n}` as KeyId, kind: 'pin', on: true, goldenId: goldenId(n), atMs: n, signed: Uint8Array.of(n, n >> 8), signature: new Uint8Array(64) }).outcome
    const timed = (from: number): { outcomes: string[], tookMs: number } => {
      const beganMs = performance.now()
      const outcomes = [...new Set(Array.from({ length: count }, (_, i) => added(from + i)))]
      return { outcomes, tookMs: performance.now() - beganMs }
    }
    const [filling, full] = [timed(0), timed(count)]
    expect([filling.outcomes, full.outcomes]).toEqual([['kept'], ['full']])
    // Looking at all keys for each takes several times as long as filling.
    expect(full.tookMs).toBeLessThan(2 * filling.tookMs)
  })

  test('what is over is not verified again, however often it comes', () => {
    let verified = 0
    const core = new MarksCore({ sha256: (bytes) => crypto.sha256(bytes), verify: (...all) => { verified++; return crypto.verify(...all) } })
    core.offer(NOW, labelBy(0, 1, 'a', 9))
    const older = labelBy(0, 1, 'a', 8)
    for (let i = 0; i < 50; i++) expect(core.offer(NOW, older)).toEqual({ outcome: 'older' })
    expect(verified).toBe(1)
  })

  test('who asks for all again and again is handed less and less, also when it comes again; others are not kept waiting', () => {
    const served = new Served()
    expect(served.asked(0, peer('p'))).toBe(SERVED_BURST_BYTES)
    served.handed(peer('p'), SERVED_BURST_BYTES)
    expect(served.asked(500, peer('p'))).toBe(0)
    expect(served.asked(2_000, peer('p'))).toBe(2 * SERVED_BYTES_PER_S)
    expect(served.asked(2_000, peer('q'))).toBe(SERVED_BURST_BYTES)
    served.handed(peer('p'), 5 * SERVED_BYTES_PER_S)
    expect(served.asked(4_000, peer('p'))).toBeLessThan(0)
  })

  test('what goes for another is dropped from the records too', () => {
    const core = given([labelBy(0, 1, 'a', 1), labelBy(0, 2, 'a', 2)], { perKeyMax: 2 })
    const offered = core.offer(NOW, labelBy(0, 3, 'a', 3))
    expect(offered).toMatchObject({ effects: [{ do: 'keep', changes: [{ key: markKey(decodeMark(labelBy(0, 1, 'a', 1))), signed: undefined }, { key: markKey(decodeMark(labelBy(0, 3, 'a', 3))) }] }, { do: 'changed' }] })
  })

  test('gossip of one author is taken at a rate, also rubbish', () => {
    const core = new MarksCore(crypto)
    const verdicts = Array.from({ length: AUTHOR_BURST + 5 }, (_, i) => core.onGossip(0, NOW, peer('p'), i % 2 === 0 ? new Uint8Array(3) : labelBy(0, i, 'a', i)).verdict)
    expect(verdicts.slice(-5)).toEqual(Array.from({ length: 5 }, () => 'ignore'))
    expect(core.onGossip(2_000, NOW, peer('p'), labelBy(0, 999, 'a', 1)).verdict).toBe('accept')
    expect(core.onGossip(0, NOW, peer('q'), labelBy(0, 998, 'a', 1)).verdict).toBe('accept')
  })

  test('labels are short and of few characters', () => {
    for (const good of ['a', 'physics', 'course:phys101/2026', '9+x', 'x'.repeat(63)]) expect(good).toMatch(LABEL)
    for (const bad of ['', ' a', 'a b', 'a@1', '-a', 'é', 'a\n', 'x'.repeat(64)]) {
      expect(() => labelBy(0, 1, bad, 1)).toThrow('MESSAGE_INVALID')
    }
  })

  test('the largest mark fits its bound', () => {
    expect(markBy(0, { kind: 'removed', goldenId: goldenId(1), name: 'é'.repeat(253), version: 2 ** 31, atMs: 2 ** 48 }).length).toBeLessThanOrEqual(MARK_BYTES_MAX)
  })
})

describe('what is not sound', () => {
  test('is rejected: altered anywhere, of another key, oversized', () => {
    const core = new MarksCore(crypto)
    const sound = labelBy(0, 1, 'a', 1)
    fc.assert(fc.property(fc.nat(sound.length - 1), fc.integer({ min: 1, max: 255 }), (at, by) => {
      const altered = sound.slice()
      altered[at] = (altered[at] ?? 0) ^ by
      expect(['reject', 'ignore']).toContain(core.onGossip(1e9 * at, NOW, peer('p'), altered).verdict)
      expect(core.marks.size).toBe(0)
    }), { numRuns: 200 })
    const forged = signMark(people[1]?.signer as never, { by: people[0]?.key as never, kind: 'pin', goldenId: goldenId(1), on: true, atMs: 1 })
    expect(core.offer(NOW, forged)).toEqual({ outcome: 'forged' })
    expect(core.onGossip(0, NOW, peer('q'), forged).verdict).toBe('reject')
    expect(core.onGossip(0, NOW, peer('q'), new Uint8Array(MARK_BYTES_MAX + 1)).verdict).toBe('reject')
  })

  test('ends a neighbour\'s marks at the first that is not, and keeps those before', () => {
    const core = new MarksCore(crypto)
    const told = core.onPart(NOW, [labelBy(0, 1, 'a', 1), new Uint8Array(5), labelBy(0, 2, 'a', 1)])
    expect(told.sound).toBe(false)
    expect(core.marks.size).toBe(1)
  })

  test('from the far future is not taken, and taken once its time has come; what was kept stays when the clock goes back', () => {
    const core = new MarksCore(crypto)
    const ahead = labelBy(0, 1, 'a', NOW + MARK_AHEAD_MS + 1)
    expect(core.offer(NOW, ahead)).toEqual({ outcome: 'future' })
    expect(core.onGossip(0, NOW, peer('p'), ahead).verdict).toBe('ignore')
    expect(core.offer(NOW + 1, ahead)).toMatchObject({ outcome: 'kept' })
    const restarted = new MarksCore(crypto)
    restarted.restore([ahead, new Uint8Array(9)])
    expect(restarted.marks.size).toBe(1)
    expect(restarted.offer(0, labelBy(0, 1, 'a', 3, false))).toEqual({ outcome: 'older' })
  })
})

describe('two plants', () => {
  test('that hand each other what differs have the same, and then nothing differs', () => {
    fc.assert(fc.property(drawnAll, drawnAll, (first, second) => {
      const [a, b] = [given(first), given(second)]
      const partsFor = (from: MarksCore, to: MarksCore): Uint8Array[] => [...from.parts(to.marks.summary())].flat()
      b.onPart(NOW, partsFor(a, b))
      a.onPart(NOW, partsFor(b, a))
      expect(keys(a)).toEqual(keys(b))
      expect(partsFor(a, b)).toEqual([])
    }), { numRuns: 60 })
  })

  test('get all of each other, though each time only some is read', () => {
    const marks = Array.from({ length: 600 }, (_, i) => labelBy(0, i, 'a', i))
    const [full, lacking] = [given(marks), given([])]
    for (let i = 1; i <= 12; i++) lacking.onPart(NOW, [...full.parts(lacking.marks.summary(), i * 0.618 % 1)][0] ?? [])
    expect(lacking.marks.size).toBe(600)
  })

  test('hand each other parts that fit a message', () => {
    const core = given(Array.from({ length: 400 }, (_, i) => labelBy(0, i, 'a', i)))
    const parts = [...core.parts(new Uint8Array(256 * 8))]
    expect(parts.flat()).toHaveLength(400)
    expect(parts.length).toBeGreaterThan(1)
    for (const part of parts) expect(encodeMarks(part).length).toBeLessThan(PART_BYTES + 2 * MARK_BYTES_MAX)
  })
})

describe('messages', () => {
  test('are read as they were written, and anything else is refused', () => {
    const ask = { ask: 'marks' as const, have: new Uint8Array(2048) }
    expect(decodeTemplateAsk(encodeTemplateAsk(ask))).toEqual(ask)
    const uses = { ask: 'uses' as const, goldenIds: [goldenId(1)] }
    expect(decodeTemplateAsk(encodeTemplateAsk(uses))).toEqual(uses)
    const told = { vmIds: ['0'.repeat(32) as never], templates: ['w@1'], more: false }
    expect(decodeUses(encodeUses(told))).toEqual(told)
    expect(decodeUses(encodeUses({ ...told, templates: Array.from({ length: 300 }, (_, i) => `w@${i + 1}`) }))).toMatchObject({ more: true })
    fc.assert(fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
      for (const decode of [decodeTemplateAsk, decodeMarks, decodeUses, decodeMark]) expect(() => decode(bytes)).toThrow('MESSAGE_INVALID')
    }))
  })
})
