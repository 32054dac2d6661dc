/** The scenarios that are shipped: all are valid, and what they must show they show (cut short where they are long). */
import { expect, test } from 'vitest'
import { paperFigures } from '../../../sim/figures/index.ts'
import type { Setting } from '../../../sim/scenario/index.ts'
import { digest, type Study } from '../../../sim/stats/index.ts'
import { loadScenario, shippedScenarios } from '../../../sim/drivers/scenario-file.ts'
import { simulateScenario } from '../../../sim/drivers/simulate.ts'

interface Cut { set?: Record<string, unknown>, sweep?: Record<string, unknown[]>, seeds?: number[], points?: number }

/** Runs a shipped scenario here, cut as told. */
async function study (name: string, { set = {}, sweep = {}, seeds = [1], points = Infinity }: Cut = {}): Promise<Study> {
  const settings = Object.entries(set).map(([path, value]): Setting => ({ path, value, where: ['test'] }))
  const loaded = await loadScenario(name, { set: settings, sweep })
  const runs = await Promise.all(loaded.points.slice(0, points).map(async (point) => ({ point, runs: await Promise.all(seeds.map(async (seed) => digest(await simulateScenario(point.scenario, seed), point.scenario))) })))
  return { file: { ...loaded.file, runs: seeds.length }, points: runs }
}

const value = (of: Study, point: number, name: string): number => of.points[point]?.runs[0]?.values[name] ?? NaN

test('every shipped scenario is valid and says what it is', async () => {
  const shipped = await shippedScenarios()
  expect(shipped.map(({ name }) => name)).toEqual(expect.arrayContaining(['vmplants-creation', 'vmplants-copy', 'vmplants-thirteen', 'so-mvds-batch', 'so-mvds-clone', 'flash-crowd', 'site-outage', 'partition-heal', 'trace-replay', 'scale']))
})

test('thirteen machines go to the first plant, whichever that is, then the other wins', async () => {
  const done = await study('vmplants-thirteen', { seeds: [1, 2, 3] })
  expect(done.points[0]?.runs.map(({ values }) => values['firstPlantMachines'])).toEqual([13, 13, 13])
  const [figure] = paperFigures(done)
  expect(figure?.rows[0]).toEqual({ what: 'machines of one domain on the first plant before the other wins', paper: '13', ours: '13 ± 0' })
})

test('machines of 256 MB are created in the time that VMPlants states, one plant after the other', async () => {
  const done = await study('vmplants-creation', { sweep: {}, points: 3, set: { 'orders[0].count': 16 } })
  expect(value(done, 0, 'creationMsMean')).toBeGreaterThan(17_000)
  expect(value(done, 2, 'creationMsMean')).toBeGreaterThan(value(done, 1, 'creationMsMean'))
  expect(value(done, 2, 'machinesMost')).toBe(5)
  expect(paperFigures(done).map(({ id }) => id)).toEqual(['vmplants-4', 'vmplants-5', 'vmplants-6'])
})

test('a batch takes what equation (1) says, and eight times as long for eight times the machines', async () => {
  const done = await study('so-mvds-batch', { sweep: { 'orders[0].count': [5, 40] } })
  for (const point of [0, 1]) expect(Math.abs(value(done, point, 'makespanMs') / value(done, point, 'equationMs') - 1)).toBeLessThan(0.05)
  expect(value(done, 1, 'makespanMs') / 88_000).toBeGreaterThan(0.9)
  expect(value(done, 1, 'makespanMs') / 88_000).toBeLessThan(1.1)
  expect(paperFigures(done)[0]?.rows.length).toBeGreaterThanOrEqual(4)
})

test('ten clones take five to twenty times as long as ten incremental images, which do not care for the size of the template', async () => {
  const done = await study('so-mvds-clone', { sweep: { 'orders[0].count': [10] } })
  const [xp, red, xpCopied, redCopied] = [0, 1, 2, 3].map((point) => value(done, point, 'makespanMs')) as [number, number, number, number]
  expect(1 - xp / xpCopied).toBeGreaterThan(0.8)
  expect(1 - red / redCopied).toBeGreaterThan(0.8)
  expect(1 - red / redCopied).toBeLessThan(0.96)
  expect(red / xp).toBeCloseTo(1, 2)
  expect(redCopied / xpCopied).toBeGreaterThan(1.3)
  expect(paperFigures(done)[0]?.rows).toHaveLength(4)
})

test('a flash crowd has its image near what one line needs for it, beside Kraken', async () => {
  const done = await study('flash-crowd', { set: { 'plants[0].count': 201, 'swarm.chunkKiB': 8_192 } })
  expect(value(done, 0, 'fetchMsP50') / value(done, 0, 'fileMs')).toBeGreaterThan(1)
  expect(value(done, 0, 'fetchMsP999') / value(done, 0, 'fileMs')).toBeLessThan(1.1)
  expect(value(done, 0, 'publisherCopies')).toBeLessThan(1.1)
  expect(value(done, 1, 'fetchMsMost') / value(done, 1, 'fileMs')).toBeGreaterThan(1.9)
  expect(paperFigures(done)[0]?.rows.map(({ paper }) => paper)).toEqual(expect.arrayContaining(['18 s', '22 s']))
})

test('a mesh that was cut agrees again after it heals', async () => {
  const done = await study('partition-heal', { points: 1 })
  expect(value(done, 0, 'provisional')).toBeGreaterThan(0)
  expect(value(done, 0, 'agreedAfterMs')).toBeGreaterThan(0)
  expect(value(done, 0, 'agreedAfterMs')).toBeLessThan(60_000)
})

test('a trace is replayed, with more plants asked the larger k is', async () => {
  const done = await study('trace-replay', { set: { 'plants[0].count': 12, 'orders[0].take': 10 }, sweep: { 'policy.k': [1, 12] } })
  expect([value(done, 0, 'orders'), value(done, 0, 'askedMean'), value(done, 1, 'askedMean')]).toEqual([10, 1, 12])
})

test('plants as arrays say how much memory each takes and how far the gossip model is off', async () => {
  const done = await study('scale', { sweep: { 'plants[0].count': [1_000] }, set: { until: { ms: 10_000 } } })
  expect(value(done, 0, 'orders')).toBeGreaterThan(50)
  expect(value(done, 0, 'bytesPerPlant')).toBeGreaterThan(0)
  expect(value(done, 0, 'gossip.spreadDeviationShare')).toBeLessThan(0.2)
})
