import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { CalendarQueue, HeapQueue, NONE, RandomStream, type EventQueue } from '../../../sim/kernel/index.ts'

type Step = { do: 'push', inTicks: number } | { do: 'cancel', pick: number } | { do: 'pop', count: number, withinTicks: number | undefined } | { do: 'next' }

/** Delays from ties to years, so that days, years and both heaps are used. */
const delay = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 5_000 }), fc.integer({ min: 0, max: 10 ** 7 }), fc.integer({ min: 10 ** 9, max: 10 ** 13 }))
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: delay.map((inTicks) => ({ do: 'push' as const, inTicks })) },
  { weight: 2, arbitrary: fc.nat().map((pick) => ({ do: 'cancel' as const, pick })) },
  { weight: 3, arbitrary: fc.record({ count: fc.integer({ min: 1, max: 8 }), withinTicks: fc.option(delay, { nil: undefined }) }).map((pop) => ({ do: 'pop' as const, ...pop })) },
  { weight: 1, arbitrary: fc.constant({ do: 'next' as const }) }
)

/** Everything that a queue answers to these steps. */
function answers (queue: EventQueue, steps: Step[]): unknown[] {
  const pushed: Array<{ slot: number, id: number }> = []
  const said: unknown[] = []
  const pop = (withinTicks: number | undefined): boolean => {
    const kind = queue.pop(withinTicks === undefined ? undefined : queue.nowTicks + withinTicks)
    said.push(kind === NONE ? 'none' : [kind, queue.nowTicks, queue.id, queue.a, queue.b])
    return kind !== NONE
  }
  for (const [n, one] of steps.entries()) {
    switch (one.do) {
      case 'push': pushed.push({ slot: queue.push(queue.nowTicks + one.inTicks, n % 5, n, -n), id: queue.lastId }); break
      case 'cancel': {
        const chosen = pushed[one.pick % Math.max(1, pushed.length)]
        if (chosen !== undefined) said.push(queue.cancel(chosen.slot, chosen.id))
        break
      }
      case 'pop': for (let i = 0; i < one.count && pop(one.withinTicks); i++); break
      case 'next': said.push(queue.nextTicks()); break
    }
    said.push(queue.size)
  }
  while (pop(undefined));
  return said
}

describe.each([['calendar', () => new CalendarQueue()], ['heap', () => new HeapQueue()]] as const)('%s queue', (_name, queueOf) => {
  test('gives events in the order of time, and of insertion where times are equal', () => {
    fc.assert(fc.property(fc.array(delay, { maxLength: 400 }), (times) => {
      const queue = queueOf()
      for (const [n, ticks] of times.entries()) queue.push(ticks, 0, n, 0)
      const order: number[] = []
      while (queue.pop() !== NONE) order.push(queue.a)
      const expected = times.map((ticks, n) => ({ ticks, n })).sort((a, b) => a.ticks - b.ticks || a.n - b.n).map(({ n }) => n)
      expect(order).toEqual(expected)
    }))
  })

  test('refuses the past, fractions of a tick and what is no number', () => {
    const queue = queueOf()
    queue.push(10, 0, 0, 0)
    queue.pop()
    for (const ticks of [9, 10.5, NaN, Infinity, -1, 2 ** 53]) expect(() => queue.push(ticks, 0, 0, 0)).toThrow()
    expect(() => queue.push(11, -1, 0, 0)).toThrow()
    expect(queue.size).toBe(0)
  })

  test('takes an event back once, and not one that has happened or whose slot another has', () => {
    const queue = queueOf()
    const slot = queue.push(5, 1, 0, 0)
    const id = queue.lastId
    expect(queue.cancel(slot, id)).toBe(true)
    expect(queue.cancel(slot, id)).toBe(false)
    expect(queue.size).toBe(0)
    expect(queue.pop()).toBe(NONE)
    const again = queue.push(6, 2, 0, 0)
    expect(again).toBe(slot)
    expect(queue.cancel(slot, id)).toBe(false)
    expect(queue.pop()).toBe(2)
    expect(queue.cancel(again, queue.lastId)).toBe(false)
  })

  test('does not grow when timers are set and taken back for ever', () => {
    const queue = queueOf()
    for (let n = 0; n < 20; n++) queue.push(n, 0, 0, 0)
    let bytes = 0
    for (let n = 0; n < 50_000; n++) {
      queue.cancel(queue.push(queue.nowTicks + 10 ** 9, 0, 0, 0), queue.lastId)
      if (n === 1_000) bytes = queue.bytes
    }
    expect(queue.bytes).toBe(bytes)
    expect(queue.size).toBe(20)
  })

  test('pops nothing beyond the time asked for, and lets earlier events in afterwards', () => {
    const queue = queueOf()
    queue.push(10 ** 9, 0, 1, 0)
    expect(queue.pop(10 ** 8)).toBe(NONE)
    expect(queue.nextTicks()).toBe(10 ** 9)
    queue.push(7, 0, 2, 0)
    expect([queue.pop(10 ** 8), queue.a]).toEqual([0, 2])
    expect([queue.pop(), queue.a]).toEqual([0, 1])
  })
})

test('the calendar answers as the heap does, whatever is pushed, cancelled and popped', () => {
  fc.assert(fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
    expect(answers(new CalendarQueue(), steps)).toEqual(answers(new HeapQueue(), steps))
  }), { numRuns: 300 })
})

const SHAPES: Array<[string, (random: RandomStream) => number]> = [
  ['exponential delays', (random) => Math.round(random.exponential(10_000))],
  ['one constant delay', () => 50_000],
  ['short messages and long timers', (random) => random.int(30) === 0 ? 120_000_000 : random.int(2_000)],
  ['everything at one tick', () => 0],
  ['bursts on whole seconds', (random) => random.int(3) * 1_000_000],
  ['heavy tails', (random) => Math.floor(100 / (random.fraction() ** 3 + 1e-12))]
]

test.each(SHAPES)('the calendar answers as the heap does over 60,000 events while it tunes itself: %s', (_name, delayOf) => {
  const run = (queue: EventQueue): number[] => {
    const random = new RandomStream(1, 'hold')
    const order: number[] = []
    for (let n = 0; n < 2_000; n++) queue.push(random.int(100_000), 0, n, 0)
    for (let n = 0; n < 60_000; n++) {
      queue.pop()
      order.push(queue.nowTicks, queue.a)
      // Grows to 12,000 and shrinks again, so that days and years are made anew on the way.
      const pushes = n < 10_000 ? 2 : n > 40_000 && n % 2 === 0 ? 0 : 1
      for (let i = 0; i < pushes; i++) queue.push(queue.nowTicks + delayOf(random), 0, n, i)
    }
    return order
  }
  expect(run(new CalendarQueue())).toEqual(run(new HeapQueue()))
})

test('the calendar tunes its day to hold a few events', () => {
  const queue = new CalendarQueue()
  const random = new RandomStream(3, 'tuning')
  for (let n = 0; n < 1_000; n++) queue.push(random.int(1_000_000), 0, 0, 0)
  for (let n = 0; n < 20_000; n++) {
    queue.pop()
    queue.push(queue.nowTicks + random.int(2_000_000), 0, 0, 0)
  }
  // 1,000 events that wait 1 s on average: one a millisecond.
  const { dayTicks, days } = queue.tuning
  expect(dayTicks).toBeGreaterThanOrEqual(1_000)
  expect(dayTicks).toBeLessThanOrEqual(32_000)
  expect(dayTicks * days).toBeGreaterThan(2_000_000)
})
