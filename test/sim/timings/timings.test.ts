/** The sets of timings against what their sources say. */
import { expect, test } from 'vitest'
import { constantsOf, FairShare, runSteps, vmTimings, type HostFill, type Step, type VmTimings } from '../../../sim/timings/index.ts'
import type { TimingsSpec } from '../../../sim/scenario/index.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { FakeRandom } from '../../support/fake-random.ts'

const spec = (of: Partial<TimingsSpec>): TimingsSpec => ({ set: 'paper', clone: 'link', vary: true, failureShare: 0, constants: {}, ...of })
const emptyHost: HostFill = { hostCpus: 2, hostMemoryMiB: 1_536, machines: 0, machinesMemoryMiB: 0 }
/** How long steps take for the only user of everything. */
const aloneMs = (timings: VmTimings, steps: Step[]): number => steps.reduce((sum, step) => sum + (step.on === 'store' ? step.bytes / (timings.store?.clientBytesPerMs ?? Infinity) : step.ms), 0)
const mean = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length

/** The experiment of VMPlants 4.2, one after the other over 8 plants in turn. */
function series (memoryMiB: number, count: number, seed: number): { creations: number[], clones: number[] } {
  const timings = vmTimings(spec({}))
  const random = new FakeRandom(seed)
  const creations: number[] = []
  const clones: number[] = []
  for (let i = 0; i < count; i++) {
    const machines = Math.floor(i / 8)
    const fill = { ...emptyHost, machines, machinesMemoryMiB: machines * memoryMiB }
    const clone = aloneMs(timings, timings.clone({ memoryMiB, diskMiB: 2_048 }, fill, random))
    clones.push(clone)
    creations.push(clone + aloneMs(timings, [...timings.identity(fill, random), ...timings.action(undefined, fill, random)]))
  }
  return { creations, clones }
}

test('the paper set meets the means and the range that VMPlants states', () => {
  const runs = Array.from({ length: 20 }, (_, seed) => ({ small: series(32, 128, seed), medium: series(64, 128, seed), large: series(256, 40, seed) }))
  const seconds = (of: (run: typeof runs[number]) => number[]): number => mean(runs.map((run) => mean(of(run)))) / 1_000
  expect(seconds(({ small }) => small.creations)).toBeCloseTo(25, 0)
  expect(seconds(({ large }) => large.creations)).toBeCloseTo(48, 0)
  expect(seconds(({ medium }) => medium.creations)).toBeGreaterThan(26)
  expect(seconds(({ medium }) => medium.creations)).toBeLessThan(40)
  expect(mean(runs.map(({ small }) => Math.min(...small.creations))) / 1_000).toBeCloseTo(17, 0)
  const slowest = mean(runs.map(({ large }) => Math.max(...large.creations))) / 1_000
  expect(slowest).toBeGreaterThan(70)
  expect(slowest).toBeLessThan(88)
})

test('cloning slows down as a plant fills, most where the guests have more than a gigabyte together', () => {
  const rise = (memoryMiB: number, count: number): number => {
    const of = Array.from({ length: 20 }, (_, seed) => series(memoryMiB, count, seed).clones)
    return mean(of.map((clones) => mean(clones.slice(-8)))) / mean(of.map((clones) => mean(clones.slice(0, 8))))
  }
  const [small, medium, large] = [rise(32, 128), rise(64, 128), rise(256, 40)]
  expect(small).toBeGreaterThan(1.2)
  expect(medium).toBeGreaterThan(1.9)
  expect(large).toBeGreaterThan(1.5)
  expect(medium).toBeGreaterThan(small)
})

test('copying a disk of 2 GB takes 210 s', () => {
  const timings = vmTimings(spec({ clone: 'copy', vary: false }))
  const linked = vmTimings(spec({ vary: false }))
  const work = { memoryMiB: 256, diskMiB: 2_048 }
  const copyMs = aloneMs(timings, timings.clone(work, emptyHost, new FakeRandom(1))) - aloneMs(linked, linked.clone(work, emptyHost, new FakeRandom(1)))
  expect(copyMs / 1_000).toBeCloseTo(210, 0)
})

test('a UML clone takes 76 s', () => {
  const timings = vmTimings(spec({ line: 'uml', vary: false }))
  expect(aloneMs(timings, timings.clone({ memoryMiB: 32, diskMiB: 2_048 }, emptyHost, new FakeRandom(1))) / 1_000).toBeCloseTo(76, 0)
})

test.each([[5, 11], [40, 88]])('%i machines on eight nodes that share one store take %i s', async (machines, seconds) => {
  const clock = new FakeClock()
  const timings = vmTimings(spec({ line: 'xen', vary: false }))
  const store = new FairShare(clock, { ratePerMs: timings.store?.bytesPerMs ?? 0, eachPerMs: timings.store?.clientBytesPerMs ?? 0 })
  const cpu = new FairShare(clock, { ratePerMs: 4, eachPerMs: 1 })
  const node = async (index: number): Promise<void> => {
    for (let i = index; i < machines; i += 8) await runSteps(timings.clone({ memoryMiB: 512, diskMiB: 1_536 }, emptyHost, new FakeRandom(1)), { clock, cpu, store })
  }
  await clock.settle(Promise.all(Array.from({ length: 8 }, async (_, index) => node(index))))
  expect(Math.abs(clock.monotonicMs() / 1_000 - seconds)).toBeLessThan(0.05 * seconds)
})

test('creations on one host share its processors: one in a quarter of a second, eight in about one', async () => {
  const timings = vmTimings(spec({ set: 'measured', vary: false }))
  const took = async (count: number): Promise<number> => {
    const clock = new FakeClock()
    const cpu = new FairShare(clock, { ratePerMs: 2, eachPerMs: 1 })
    const all = Array.from({ length: count }, async () => runSteps(timings.clone({ memoryMiB: 256, diskMiB: 512 }, emptyHost, new FakeRandom(1)), { clock, cpu }))
    await clock.settle(Promise.all(all))
    return clock.monotonicMs()
  }
  expect(await took(1)).toBeCloseTo(240, 0)
  expect(await took(8)).toBeGreaterThan(850)
  expect(await took(8)).toBeLessThan(1_050)
})

test('a fair share divides exactly when users come and go', async () => {
  const clock = new FakeClock()
  const share = new FairShare(clock, { ratePerMs: 10, eachPerMs: 8 })
  const ends: Array<[string, number]> = []
  share.use(160, () => { ends.push(['a', clock.monotonicMs()]) })
  clock.after(10, () => {
    share.use(100, () => { ends.push(['b', clock.monotonicMs()]) })
    const giveUp = share.use(1_000, () => { ends.push(['never', clock.monotonicMs()]) })
    clock.after(3, giveUp)
  })
  await clock.advance(1_000)
  // a: 80 alone at 8, then 10 in three shares, then 5 a ms; b: 10, then half until a has ended, then 8 a ms.
  expect(ends.map(([who, ms]) => [who, Math.round(ms * 1_000) / 1_000])).toEqual([['a', 27], ['b', 29.5]])
  expect(clock.pending).toBe(0)
})

test('a clone that is given up leaves nothing behind', async () => {
  const clock = new FakeClock()
  const cpu = new FairShare(clock, { ratePerMs: 2, eachPerMs: 1 })
  const stop = new AbortController()
  const steps = runSteps([{ phase: 'copy', on: 'time', ms: 5 }, { phase: 'resume', on: 'cpu', ms: 100 }], { clock, cpu }, stop.signal)
  const ended = expect(steps).rejects.toThrow('stopped')
  await clock.advance(50)
  stop.abort(new Error('stopped'))
  await ended
  expect([cpu.users, clock.pending]).toEqual([0, 0])
})

test('each number of a set has a unit and a source', () => {
  for (const set of ['paper', 'measured'] as const) {
    for (const [name, { unit, source }] of Object.entries(constantsOf(set))) expect([name, unit.length > 0, source.length > 10]).toEqual([name, true, true])
  }
})
