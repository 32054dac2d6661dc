import fc from 'fast-check'
import { expect, test } from 'vitest'
import { exactExp, exactLn, exactSqrt, RandomStream, StreamTable } from '../../../sim/kernel/index.ts'

const draws = (random: RandomStream, count = 8): number[] => Array.from({ length: count }, () => random.next())

test('a stream is fixed by its parts, and by nothing else', () => {
  // What a seed gives is a promise to whoever replays one: this must never change.
  expect(draws(new RandomStream(1, 'plant', 2), 4)).toMatchInlineSnapshot(`
    [
      1418006991,
      3145502669,
      1443412755,
      2787180663,
    ]
  `)
  const root = new RandomStream('seed')
  const before = draws(root.fork('net', 3))
  draws(root, 100)
  root.fork('disk', 3).next()
  expect(draws(root.fork('net', 3))).toEqual(before)
})

test('streams of other seeds, kinds or entities differ', () => {
  const parts = [[1, 'a', 0], [2, 'a', 0], [1, 'b', 0], [1, 'a', 1], [1, 'a', '1'], [1, 'ab', 0], [2 ** 32 + 1, 'a', 0], [-1, 'a', 0], [1, '', 'a']] as const
  const seen = new Set(parts.map((of) => draws(new RandomStream(...of)).join()))
  expect(seen.size).toBe(parts.length)
  const table = new StreamTable(1, 'a', 1_000)
  expect(new Set(Array.from({ length: 1_000 }, (_, i) => `${table.next(i)},${table.next(i)}`)).size).toBe(1_000)
})

test('int stays below its bound and reaches every value', () => {
  fc.assert(fc.property(fc.integer(), fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 2 ** 31, max: 2 ** 53 - 1 })), (seed, below) => {
    const random = new RandomStream(seed)
    for (let i = 0; i < 50; i++) {
      const value = random.int(below)
      expect(Number.isSafeInteger(value) && value >= 0 && value < below).toBe(true)
    }
  }))
  const random = new RandomStream(5)
  const counts = new Uint32Array(7)
  for (let i = 0; i < 70_000; i++) {
    const value = random.int(7)
    counts[value] = (counts[value] ?? 0) + 1
  }
  // Ten standard deviations of a fair die with seven sides.
  for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(930)
})

test('uniform, exponential and normal draws have their moments', () => {
  const random = new RandomStream(7, 'moments')
  const table = new StreamTable(7, 'moments', 10)
  const count = 100_000
  const moments = (draw: (i: number) => number): { mean: number, deviation: number } => {
    let sum = 0
    let squares = 0
    for (let i = 0; i < count; i++) {
      const x = draw(i)
      sum += x
      squares += x * x
    }
    const mean = sum / count
    return { mean, deviation: Math.sqrt(squares / count - mean * mean) }
  }
  const near = (is: { mean: number, deviation: number }, mean: number, deviation: number): void => {
    expect(Math.abs(is.mean - mean)).toBeLessThan(0.02 * deviation)
    expect(Math.abs(is.deviation / deviation - 1)).toBeLessThan(0.02)
  }
  near(moments(() => random.fraction()), 0.5, Math.sqrt(1 / 12))
  near(moments(() => random.exponential(3)), 3, 3)
  near(moments(() => random.normal(10, 2)), 10, 2)
  near(moments((i) => table.fraction(i % 10)), 0.5, Math.sqrt(1 / 12))
  near(moments((i) => table.exponential(i % 10, 1_000)), 1_000, 1_000)
  near(moments((i) => table.int(i % 10, 1_000)), 499.5, Math.sqrt((1e6 - 1) / 12))
})

test('own exponential, logarithm and root are within a few units in the last place of the platform\'s', () => {
  const positive = fc.double({ min: 1e-300, max: 1e300, noNaN: true })
  fc.assert(fc.property(fc.oneof(positive, fc.double({ min: 2 ** -53, max: 1, noNaN: true })), (x) => {
    expect(Math.abs(exactLn(x) - Math.log(x))).toBeLessThanOrEqual(4 * Number.EPSILON * Math.max(Math.abs(Math.log(x)), Math.abs(x - 1) < 0.5 ? Math.abs(x - 1) : 0) + Number.MIN_VALUE)
    expect(Math.abs(exactSqrt(x) / Math.sqrt(x) - 1)).toBeLessThanOrEqual(4 * Number.EPSILON)
  }), { numRuns: 2_000 })
  fc.assert(fc.property(fc.double({ min: -700, max: 700, noNaN: true }), (x) => {
    expect(Math.abs(exactExp(x) / Math.exp(x) - 1)).toBeLessThanOrEqual(8 * Number.EPSILON)
  }), { numRuns: 2_000 })
  expect([exactExp(0), exactExp(-1e9), exactExp(1e9), exactLn(1), exactSqrt(0), exactSqrt(4)]).toEqual([1, 0, Infinity, 0, 0, 2])
})
