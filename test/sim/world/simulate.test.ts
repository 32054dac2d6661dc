import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { microtaskQuiet } from '../../../sim/drivers/quiet.ts'
import type { RunResult, SimEvent, SimulateOptions } from '../../../sim/scenario/index.ts'
import { simulation } from '../../../sim/world/simulate.ts'
import { canonical } from '../../../sim/world/trace.ts'
import { scenarioOf } from './support.ts'

const scenario = scenarioOf({
  plants: [{ name: 'north', count: 3, site: 'north' }, { name: 'south', count: 3, site: 'south' }],
  golden: [{ name: 'linux', memoryMiB: 64, diskMiB: 128 }],
  orders: [
    { kind: 'poisson', fromMs: 10_000, meanIntervalMs: 3_000, count: 8, machine: { os: 'linux', memoryMiB: 64, diskMiB: 128, actions: [{ id: 'user', takesMs: 700 }] }, hold: { kind: 'fixed', ms: 15_000 } },
    { kind: 'series', fromMs: 12_000, count: 3, clients: 1, machine: { os: 'linux', memoryMiB: 64, diskMiB: 128, domain: 'b' } }
  ],
  faults: [
    { kind: 'partition', atMs: 20_000, untilMs: 75_000, from: { sites: ['north'] }, to: { sites: ['south'] } },
    { kind: 'crash', atMs: 25_000, target: { plants: ['north-2'] }, restartAfterMs: 3_000 }
  ],
  until: { ms: 300_000, settleMs: 60_000 }
})
const run = async (seed: number, options?: SimulateOptions): Promise<RunResult> => simulation(microtaskQuiet())(scenario, seed, options)

test('one seed gives one result; the hash is over the events as they are told', async () => {
  const digest = createHash('sha256')
  let last: SimEvent = { atMs: 0, id: -1, kind: '' }
  const once = await run(3, {
    onEvent: (event) => {
      expect(event.id).toBe(last.id + 1)
      expect(event.atMs).toBeGreaterThanOrEqual(last.atMs)
      last = event
      digest.update(canonical(event))
    }
  })
  expect(digest.update(`${once.events}\n`).digest('hex')).toBe(once.traceHash)
  expect(await run(3)).toEqual(once)
  expect((await run(4)).traceHash).not.toBe(once.traceHash)
})

test('jobs, bids, faults and views tell what happened', async () => {
  const { jobs, bids, faults, views, ended, machinesByPlant } = await run(3)
  expect(ended).toBe('orders')
  expect(jobs).toHaveLength(11)
  expect(jobs.every(({ end }) => end === 'running')).toBe(true)
  for (const job of jobs) {
    expect(job.runningMs).toBeGreaterThan(job.submittedMs)
    // Parts are told in whole milliseconds.
    const parts = Object.values(job.phasesMs).reduce((sum, ms) => sum + ms, 0)
    expect(Math.abs(parts - ((job.runningMs ?? 0) - job.submittedMs))).toBeLessThan(10)
    expect(bids.filter(({ sequence, won }) => sequence === job.sequence && won)).toHaveLength(1)
  }
  const first = jobs.find(({ source }) => source === 0)
  expect(first?.phasesMs.actions).toBeGreaterThan(600)
  expect((first?.endedMs ?? 0) - (first?.runningMs ?? 0)).toBeGreaterThanOrEqual(15_000)
  // Those of the first source were collected, those of the second stay.
  expect(Object.values(machinesByPlant).reduce((sum, count) => sum + count, 0)).toBe(3)
  expect(faults.map(({ kind, plants }) => ({ kind, plants }))).toEqual([{ kind: 'partition', plants: 6 }, { kind: 'crash', plants: 1 }])
  expect(faults[0]?.agreedAfterMs).toBeGreaterThan(0)
  expect(faults[0]?.agreedAfterMs).toBeLessThan(90_000)
  expect(views.at(-1)).toMatchObject({ up: 6, viewShareLeast: 1 })
  expect(Math.min(...views.filter(({ atMs }) => atMs > 10_000).map(({ viewShareLeast }) => viewShareLeast))).toBeLessThan(1)
})

test('a run that is called off says so and has what there was', async () => {
  const stop = new AbortController()
  const result = await run(3, { signal: stop.signal, onEvent: ({ kind }) => { if (kind === 'order.answered') stop.abort() } })
  expect(result.ended).toBe('stopped')
  expect(result.jobs.length).toBeGreaterThan(0)
})
