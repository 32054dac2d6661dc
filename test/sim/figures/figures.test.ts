/** Rows beside the papers' figures: every number of ours that is made of several has the interval over runs, pairs taken by seed. */
import { expect, test } from 'vitest'
import { paperFigures, type PaperRow } from '../../../sim/figures/index.ts'
import { readScenario, type ScenarioFile } from '../../../sim/scenario/index.ts'
import { studentT, type PointRuns, type RunDigest, type Study } from '../../../sim/stats/index.ts'

const [template] = readScenario('apiVersion: plantmesh-sim/v1\nkind: Scenario\nname: x\nuntil: { ms: 1 }\n', { constantsOf: () => [] }).points
if (template === undefined) throw new Error('bug: a scenario without points')

/** A point of this name with a run for each seed. */
function pointOf (name: string, runs: Record<number, Record<string, number>>): PointRuns {
  const digests = Object.entries(runs).map(([seed, values]): RunDigest => ({ seed: Number(seed), traceHash: '', ended: 'orders', values, creations: [], clones: [], views: [], faults: [], bids: [], stays: [] }))
  return { point: { ...template as PointRuns['point'], name, case: name }, runs: digests }
}

function rowsOf (figure: ScenarioFile['figures'][number], points: PointRuns[]): PaperRow[] {
  const file: Study['file'] = { name: 'x', title: '', description: '', figures: [figure], metrics: [], seed: 1, runs: 3, mode: 'cores' }
  return paperFigures({ file, points })[0]?.rows ?? []
}

const [T1, T2] = [studentT(0.95, 1), studentT(0.95, 2)]

test('what copying a disk takes is the difference of runs of one seed, whatever their order, and so is how many times a clone that is', () => {
  // Seeds differ by minutes; the difference of each is 200, 210 and 220 s, against clones of 50 s.
  const clone = pointOf('clone', { 1: { copyMs: 1_000, cloneMsMean: 50_000 }, 2: { copyMs: 301_000, cloneMsMean: 50_000 }, 3: { copyMs: 901_000, cloneMsMean: 50_000 }, 4: { copyMs: 5, cloneMsMean: 5 } })
  const copy = pointOf('copy', { 3: { copyMs: 1_121_000, cloneMsMean: 1 }, 2: { copyMs: 511_000, cloneMsMean: 1 }, 1: { copyMs: 201_000, cloneMsMean: 1 } })
  copy.runs.reverse()
  const [disk, times] = rowsOf('vmplants-copy', [clone, copy])
  const half = T2 * 10 / Math.sqrt(3)
  expect(disk?.ours).toBe(`210 ± ${half.toFixed(0)} s`)
  expect(times?.ours).toBe(`4.20 ± ${(half / 50).toFixed(2)}`)
})

test('rise, deviation, differences between sizes and what is off have intervals', () => {
  const run = (size: number, seed: number): Record<string, number> => ({
    orders: 128, running: 128 - seed, machinesMost: 16, creationMsMin: 1, creationMsMax: 9, creationMsMean: 30_000 * size + 1_000 * seed, cloneMsMean: 9, cloneMsDeviation: 2_000 * size + 500 * seed, cloneRise: size + 0.1 * seed
  })
  const points = ['32 MB', '64 MB', '256 MB'].map((name, i) => pointOf(name, { 1: run(i + 1, 1), 2: run(i + 1, 2) }))
  const ours = (figure: 'vmplants-4' | 'vmplants-5' | 'vmplants-6', row: number): PaperRow => rowsOf(figure, points)[row] ?? { what: '', paper: '', ours: '' }
  // Seeds 1 and 2 differ by d: mean in the middle, half an interval of T1 d / 2.
  expect(ours('vmplants-6', 0).ours).toContain(`32 MB: × ${(1.15).toFixed(2)} ± ${(T1 * 0.05).toFixed(2)}, 64 MB`)
  expect(ours('vmplants-5', 0).ours).toContain(`32 MB: 2.8 ± ${(T1 * 0.25).toFixed(1)} s, 64 MB`)
  expect(ours('vmplants-4', 0).differs).toMatch(new RegExp(`^26 ± ${(T1 * 0.5 / 0.25).toFixed(0)} % off: `))
  expect(ours('vmplants-4', 3).ours).toContain(`126.5 ± ${(T1 * 0.5).toFixed(1)} of 128`)
  expect(ours('vmplants-4', 4).ours).toBe('64 MB - 32 MB: 30 ± 0 s; 256 MB - 64 MB: 30 ± 0 s')
})

test('growth of a batch and the distance from the equation have intervals over seeds', () => {
  const five = pointOf('5', { 1: { orders: 5, makespanMs: 10_000, equationMs: 10_000 }, 2: { orders: 5, makespanMs: 20_000, equationMs: 20_000 } })
  const forty = pointOf('40', { 1: { orders: 40, makespanMs: 70_000, equationMs: 63_000 }, 2: { orders: 40, makespanMs: 180_000, equationMs: 144_000 } })
  const [equation, , , growth] = rowsOf('so-mvds-1', [five, forty])
  expect(equation?.ours).toBe(`off by 15 ± ${(T1 * 5).toFixed(0)} % where most, at 40`)
  expect(growth?.ours).toBe(`8 ± ${(T1 * 1).toFixed(0)} times`)
})

test('one run has no interval, and says its number', () => {
  const points = [pointOf('clone', { 1: { copyMs: 0, cloneMsMean: 50_000 } }), pointOf('copy', { 1: { copyMs: 210_000 } })]
  expect(rowsOf('vmplants-copy', points).map(({ ours }) => ours)).toEqual(['210 s', '4.2'])
})
