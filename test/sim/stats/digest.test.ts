/** What a run is boiled down to: which numbers the warm-up is left out of, and what is kept for plots. */
import { expect, test } from 'vitest'
import type { JobResult, RunResult } from '../../../sim/scenario/index.ts'
import { AFTER_WARM_UP, digest, VALUES } from '../../../sim/stats/index.ts'

/** Forty jobs, each of which differs from the one before in all that is measured. */
const JOBS = Array.from({ length: 40 }, (_, i): JobResult => ({
  sequence: i + 1, source: 0, id: String(i), shop: 'a', plant: i < 25 ? 'a' : 'b', domain: 'd', os: 'linux', cpus: 1, memoryMiB: 64,
  submittedMs: 1_000 * i, awardedMs: 1_000 * i + 10, runningMs: 1_000 * i + 5_000 + i * i, endedMs: 90_000 + i, holdMs: 20_000 + 100 * i, end: i % 7 === 6 ? 'lost' : 'running', provisional: i === 3,
  phasesMs: { bid: 10 + i, wait: 2 * i, fetch: 3 * i, copy: 4 * i, boot: 5 * i, resume: 6 * i, identity: 7 * i, actions: 8 * i, reply: 9 * i }, asked: 1 + i, bids: 1 + i, cost: 100 * i
}))
const RESULT: RunResult = {
  traceHash: '', seed: 1, events: 9, endedMs: 100_000, ended: 'orders', jobs: JOBS, bids: [], faults: [], figures: { messages: 5 }, machinesByPlant: {},
  views: [{ atMs: 1, up: 2, machines: 1, viewShare: 1, viewShareLeast: 1, viewAgeMs: 3, messages: 5 }]
}

test('the warm-up is left out of all means and distributions over jobs, and of nothing else', () => {
  const [all, cut] = [digest(RESULT, { warmUpShare: 0 }), digest(RESULT, { warmUpShare: 0.25 })]
  const changed = Object.keys(all.values).filter((name) => all.values[name] !== cut.values[name])
  // The last are the largest here whether the first are left out or not.
  const largest = ['creationMsMax', 'creationMsP99', 'cloneMsMax']
  expect(new Set([...changed, ...largest.filter((name) => AFTER_WARM_UP.has(name))])).toEqual(AFTER_WARM_UP)
  expect(cut.creations.map(([sequence]) => sequence)).toEqual(JOBS.slice(10).map(({ sequence }) => sequence))
  expect([cut.values['orders'], cut.values['askedMean'], cut.values['firstPlantMachines'], cut.values['makespanMs']]).toEqual([40, 25.5, 25, 39_000 + 5_000 + 39 * 39])
  expect([...AFTER_WARM_UP].every((name) => name in VALUES)).toBe(true)
})

test('the rise of cloning times is that of the last eight against the first eight, and is not given for fewer', () => {
  // Copy, boot and resume take 15 i: of the first eight on average 15 x 3.5, of the last 15 x 35.5.
  expect(digest(RESULT, { warmUpShare: 0 }).values['cloneRise']).toBeCloseTo(35.5 / 3.5, 9)
  expect(digest({ ...RESULT, jobs: JOBS.slice(0, 15) }, { warmUpShare: 0 }).values).not.toHaveProperty('cloneRise')
})

test('a digest keeps as many samples as are asked for, from all of the run', () => {
  expect(digest(RESULT, { warmUpShare: 0 }, 10).creations.map(([sequence]) => sequence)).toEqual([1, 5, 9, 13, 17, 21, 25, 29, 33, 37])
  expect(digest(RESULT, { warmUpShare: 0 }, 0)).toMatchObject({ creations: [], clones: [], values: { orders: 40 } })
})

test('of faults the longest time is told, and none where views never agreed again: those are counted', () => {
  const fault = { atMs: 1, kind: 'partition', plants: 2, machinesLost: 0, overMs: 50 }
  const values = (faults: RunResult['faults']): Record<string, number> => digest({ ...RESULT, faults }, { warmUpShare: 0 }).values
  expect(values([{ ...fault, agreedAfterMs: 7 }, { ...fault, agreedAfterMs: 9 }])).toMatchObject({ agreedAfterMs: 9, notAgreed: 0 })
  expect(values([{ ...fault, agreedAfterMs: 7 }, fault])).toMatchObject({ notAgreed: 1 })
  expect(values([{ ...fault, agreedAfterMs: 7 }, fault])).not.toHaveProperty('agreedAfterMs')
  // One that is never over, or only after the run, is not waited for.
  const { overMs: _, ...lasting } = fault
  expect(values([{ ...fault, agreedAfterMs: 7 }, lasting, { ...fault, overMs: 200_000 }])).toMatchObject({ agreedAfterMs: 7, notAgreed: 0 })
})
