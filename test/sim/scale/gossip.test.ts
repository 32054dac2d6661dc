import { describe, expect, test } from 'vitest'
import { AggregateGossip } from '../../../sim/scale/aggregate-gossip.ts'
import { compareGossip } from '../../../sim/scale/gossip-check.ts'
import { CURVE_BINS_PER_PERIOD, MessageGossip } from '../../../sim/scale/message-gossip.ts'
import { HeapQueue, StreamTable } from '../../../sim/kernel/index.ts'

const mean = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length

describe('aggregate gossip against messages', () => {
  // Means over five seeds. The spread differs by chance in its start-up, a share of 1 / sqrt(hearers followed one by one).
  const cases = [[1_000, 0.06, 0.02], [10_000, 0.02, 0.01]] as const
  test.each(cases)('at %i plants the spread deviates by at most %f and ages by at most %f', (plants, spreadMax, ageMax) => {
    const found = [1, 2, 3, 4, 5].map((seed) => compareGossip({ seed, plants }))
    const spread = mean(found.map(({ spreadDeviation }) => spreadDeviation))
    const age = mean(found.map(({ ageDeviation }) => ageDeviation))
    console.log(`aggregate gossip at ${plants} plants: spread deviates by ${(100 * spread).toFixed(2)} %, ages by ${(100 * age).toFixed(2)} %`)
    expect(spread).toBeLessThan(spreadMax)
    expect(age).toBeLessThan(ageMax)
  })

  test('the start-up takes as long, on average, as with messages', () => {
    const found = Array.from({ length: 60 }, (_, seed) => {
      const init = { seed, plants: 1_000, viewEntries: 1 }
      const { startUpPeriods, messageStartUpPeriods } = compareGossip(init)
      return { startUpPeriods, messageStartUpPeriods }
    })
    // The standard deviation of a start-up is 1.3 periods or so: of a mean over 60, 0.17; of the difference of two, 0.24.
    expect(Math.abs(mean(found.map((one) => one.startUpPeriods)) - mean(found.map((one) => one.messageStartUpPeriods)))).toBeLessThan(0.75)
  })

  test('long latencies slow both down alike', () => {
    const found = [1, 2, 3].map((seed) => compareGossip({ seed, plants: 10_000, periodMs: 1_000, latencyMs: 200 }))
    expect(mean(found.map(({ spreadDeviation }) => spreadDeviation))).toBeLessThan(0.06)
  })
})

test('ages are drawn from the distribution that the model states, and are never older than the run', () => {
  const gossip = new AggregateGossip({ seed: 1, plants: 1_000 })
  const streams = new StreamTable(1, 'ages', 1)
  const nowMs = 5 * gossip.meanAgeMs
  const drawn = Array.from({ length: 50_000 }, () => gossip.ageMs(streams, 0, nowMs))
  for (const periods of [1, 5, 16, 40, 79]) {
    const below = drawn.filter((ageMs) => ageMs <= periods * gossip.periodMs).length / drawn.length
    expect(Math.abs(below - gossip.ageShare(periods * gossip.periodMs, nowMs))).toBeLessThan(0.01)
  }
  expect(Math.max(...drawn)).toBe(nowMs)
})

test('every plant tells one other a period, and the rumour reaches all', () => {
  const gossip = new MessageGossip({ seed: 4, plants: 500, periodMs: 1_000, latencyMs: 10 })
  gossip.runUntil(40_000)
  // A message less for each plant whose last one is on its way or whose first period began late.
  expect(Math.abs(gossip.messages / (500 * 40) - 1)).toBeLessThan(0.02)
  expect(gossip.informed).toBe(500)
  const curve = gossip.curve()
  expect(curve.length).toBeGreaterThanOrEqual(40 * CURVE_BINS_PER_PERIOD - 2)
  expect(curve.at(-1)).toBe(1)
})

test('gossip is the same on either queue and in one run or many', () => {
  const init = { seed: 2, plants: 300, viewEntries: 5 }
  const [a, b] = [new MessageGossip(init), new MessageGossip(init, new HeapQueue())]
  a.runUntil(100_000)
  for (let ms = 0; ms <= 100_000; ms += 777) b.runUntil(ms)
  b.runUntil(100_000)
  expect([a.messages, a.informed, [...a.ages()]]).toEqual([b.messages, b.informed, [...b.ages()]])
})
