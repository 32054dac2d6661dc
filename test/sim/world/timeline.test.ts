import { expect, test } from 'vitest'
import { microtaskQuiet } from '../../../sim/drivers/quiet.ts'
import { HostClock, SimClock, START_WALL_MS } from '../../../sim/world/clock.ts'
import { Life } from '../../../sim/world/life.ts'
import { Timeline } from '../../../sim/world/timeline.ts'

test('events happen in order of time, then of planning, with all promises quiet in between', async () => {
  const timeline = new Timeline()
  const seen: string[] = []
  const deep = async (name: string, left: number): Promise<void> => {
    if (left > 0) return deep(name, left - 1).then(async () => { await Promise.resolve() })
    seen.push(name)
  }
  timeline.at(20, () => { void deep('c', 50) })
  timeline.at(10, () => { void deep('a', 50) })
  timeline.at(10, () => { seen.push('b') })
  timeline.at(20, () => { seen.push('d') })
  timeline.at(40, () => { seen.push('late') })
  await timeline.run(30, microtaskQuiet())
  expect(seen).toEqual(['a', 'b', 'c', 'd'])
  expect({ nowUs: timeline.nowUs, pending: timeline.pending, handled: timeline.handled }).toEqual({ nowUs: 30, pending: 1, handled: 4 })
})

test('what is called off, or belongs to the dead, does not happen; what belongs to one that stands still waits', async () => {
  const timeline = new Timeline()
  const seen: string[] = []
  const [dead, still] = [new Life(0, () => {}), new Life(0, () => {})]
  timeline.at(5, () => { seen.push('dead') }, dead)
  timeline.at(5, () => { seen.push(`still at ${timeline.nowUs}`) }, still)
  timeline.at(6, () => { seen.push(`still too at ${timeline.nowUs}`) }, still)
  timeline.at(5, () => { seen.push('called off') }, still)()
  expect(still.events).toBe(2)
  dead.die()
  still.stillUntilUs = 50
  await timeline.run(100, microtaskQuiet())
  expect(seen).toEqual(['still at 50', 'still too at 50'])
  expect([dead.events, still.events]).toEqual([0, 0])
})

test('an error in an event ends the run with it', async () => {
  const timeline = new Timeline()
  timeline.at(1, () => { throw new Error('thrown by a timer') })
  await expect(timeline.run(10, microtaskQuiet())).rejects.toThrow('thrown by a timer')
})

test('a life ends in front of the effect that was named', () => {
  let told = ''
  const life = new Life(0, (_life, before) => { told = before ?? 'none' })
  life.dieAfterEffects(2)
  expect([life.may('send'), life.may('record'), life.may('line'), life.may('send')]).toEqual([true, true, false, false])
  expect(told).toBe('line')
})

test('a clock drifts in both its times, and steps in the wall\'s only', async () => {
  const timeline = new Timeline()
  const host = new HostClock(timeline, { offsetMs: 5_000, driftPpm: 100_000 })
  const clock = new SimClock(timeline, host, new Life(0, () => {}))
  let firedMs = 0
  clock.after(1_100, () => { firedMs = timeline.nowMs })
  await timeline.run(2_000_000, microtaskQuiet())
  expect(firedMs).toBe(1_000)
  expect(clock.monotonicMs()).toBe(2_200)
  expect(clock.nowMs()).toBe(START_WALL_MS + 5_000 + 2_200)
  host.step(-60_000)
  expect(clock.monotonicMs()).toBe(2_200)
  expect(clock.nowMs()).toBe(START_WALL_MS + 5_000 + 2_200 - 60_000)
  host.setRight()
  await timeline.run(3_000_000, microtaskQuiet())
  expect(clock.nowMs()).toBe(START_WALL_MS + 3_000)
  expect(clock.monotonicMs()).toBe(3_200)
})

test('timers never fire early, whatever the drift', async () => {
  for (const driftPpm of [-333, -7, 13, 999]) {
    const timeline = new Timeline()
    const clock = new SimClock(timeline, new HostClock(timeline, { offsetMs: 0, driftPpm }), new Life(0, () => {}))
    let atMs = 0
    clock.after(1_234.5, () => { atMs = clock.monotonicMs() })
    await timeline.run(5_000_000, microtaskQuiet())
    expect(atMs).toBeGreaterThanOrEqual(1_234.5)
  }
})
