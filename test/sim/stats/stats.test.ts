/** Statistics against known values and against exact computation on drawn data. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { binned, Moments, niceWidth, pairedDifference, Quantiles, studentT, summarise, welchDifference } from '../../../sim/stats/index.ts'

test.each([[0.95, 1, 12.7062], [0.95, 4, 2.7764], [0.95, 9, 2.2622], [0.95, 29, 2.0452], [0.99, 4, 4.6041], [0.95, 1_000, 1.9623]])('Student t for %d and %i degrees of freedom is %d', (probability, freedom, t) => {
  expect(studentT(probability, freedom)).toBeCloseTo(t, 4)
})

test('an interval over runs is that of the textbook', () => {
  const { mean, half, count } = summarise([10, 12, 9, 11, 13])
  expect([count, mean]).toEqual([5, 11])
  expect(half).toBeCloseTo(2.7764 * Math.sqrt(2.5) / Math.sqrt(5), 3)
})

test('95 % intervals hold the true mean in about 95 of 100 experiments', () => {
  let state = 1
  const draw = (): number => { state = (state * 48_271) % 2_147_483_647; return state / 2_147_483_647 }
  const held = Array.from({ length: 2_000 }, () => summarise(Array.from({ length: 5 }, () => draw() + draw() + draw()))).filter(({ mean, half }) => Math.abs(mean - 1.5) <= half).length
  expect(held / 2_000).toBeGreaterThan(0.93)
  expect(held / 2_000).toBeLessThan(0.97)
})

test('one run has no interval, and runs that did not give the number do not count', () => {
  expect(summarise([3])).toMatchObject({ count: 1, mean: 3, half: NaN })
  expect(summarise([3, NaN, 5])).toMatchObject({ count: 2, mean: 4 })
  expect(summarise([])).toMatchObject({ count: 0, mean: NaN })
})

test('streamed moments equal those of the whole', () => {
  fc.assert(fc.property(fc.array(fc.double({ min: -1e6, max: 1e6, noNaN: true }), { minLength: 2, maxLength: 200 }), (values) => {
    const a = new Moments()
    for (const value of values) a.add(value)
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length
    const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1)
    expect(a.count).toBe(values.length)
    expect(Math.abs(a.mean - mean)).toBeLessThan(1e-6)
    expect(Math.abs(a.variance - variance)).toBeLessThan(1e-6 * Math.max(1, variance))
    expect([a.min, a.max]).toEqual([Math.min(...values), Math.max(...values)])
  }))
})

test('streamed quantiles are within 1/256 of the exact ones', () => {
  fc.assert(fc.property(fc.array(fc.double({ min: 0, max: 1e9, noNaN: true }), { minLength: 1, maxLength: 300 }), fc.double({ min: 0, max: 1, noNaN: true }), (values, share) => {
    const quantiles = new Quantiles()
    for (const value of values) quantiles.add(value)
    const sorted = values.toSorted((a, b) => a - b)
    const exact = sorted[Math.min(values.length, Math.max(1, Math.ceil(share * values.length))) - 1] ?? NaN
    expect(Math.abs(quantiles.at(share) - exact)).toBeLessThanOrEqual(exact / 256 + 1e-300)
  }))
})

test('quantiles of a million values take a few hundred buckets', () => {
  const quantiles = new Quantiles()
  for (let i = 1; i <= 1_000_000; i++) quantiles.add(i)
  expect(quantiles.size).toBeLessThan(2_700)
  expect(Math.abs(quantiles.at(0.5) - 500_000)).toBeLessThan(2_000)
})

test('bins hold every value once and stay bounded', () => {
  fc.assert(fc.property(fc.array(fc.double({ min: 0, max: 1e7, noNaN: true }), { minLength: 1, maxLength: 100 }), fc.integer({ min: 1, max: 100 }), (values, width) => {
    const bins = binned(values, width)
    expect(bins.counts.reduce((sum, count) => sum + count, 0)).toBe(values.length)
    expect(bins.counts.length).toBeLessThanOrEqual(201)
  }))
  expect(binned([17, 18, 22, 85], 5)).toMatchObject({ from: 15, width: 5, counts: [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1] })
  expect(niceWidth([0, 68], 20)).toBe(5)
})

test('what two policies have in common by their seeds cancels in the difference', () => {
  const { mean, half } = pairedDifference([10, 20, 30, 40], [11, 21, 31.5, 41])
  expect(mean).toBeCloseTo(1.125)
  expect(half).toBeLessThan(0.5)
})

test('the difference of means that are not paired has Welch\'s interval', () => {
  // Variances 1 and 8, over three and four runs.
  const { count, mean, half } = welchDifference([1, 2, 3], [4, 10, 6, 4])
  expect({ count, mean }).toEqual({ count: 3, mean: 4 })
  const [u, v] = [1 / 3, 8 / 4]
  expect(half).toBeCloseTo(studentT(0.95, (u + v) ** 2 / (u ** 2 / 2 + v ** 2 / 3)) * Math.sqrt(u + v), 9)
  expect(welchDifference([1, 1], [3, 3])).toMatchObject({ mean: 2, half: 0 })
  expect(welchDifference([1], [3, 4]).half).toBeNaN()
})
