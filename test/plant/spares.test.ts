/** How many spares there should be, which there may be, and what becomes of them. */
import { describe, expect, test } from 'vitest'
import { PlantError, type GoldenId, type VmId } from '../../protocols/kit/index.ts'
import type { Golden } from '../../protocols/order/golden.ts'
import type { SpareMachine } from '../../node/lines/line.ts'
import { allot, fits, type Room, type Wish } from '../../node/plant/spares/allot.ts'
import { BURST_MS, EXPECTED_WITHIN_MS, ORDERS_REMEMBERED, SHORT_SHARE_MAX, SPARES_MAX, TURN_MS, forecast } from '../../node/plant/spares/forecast.ts'
import { Spares } from '../../node/plant/spares/spares.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { fakeLog, type FakeLog } from '../support/fake-log.ts'
import { FakeRandom } from '../support/fake-random.ts'

const MAKE_MS = 500
const goldenOf = (name: string, memoryMiB = 100): Golden => ({ goldenId: name as GoldenId, name, os: name, hardware: { isa: 'x86_64', cpus: 1, memoryMiB, diskMiB: 10 }, lineFingerprint: '', actionsDone: [], files: [], createdAtMs: 0 })

/** Times of orders that come at this rate, up to `untilMs`; the last ones, as they are remembered. */
function arrivals (ratePerMs: number, untilMs: number, random: FakeRandom): number[] {
  const times: number[] = []
  for (let atMs = 0; ;) {
    atMs -= Math.log(1 - random.fraction()) / ratePerMs
    if (atMs > untilMs) return times
    times.push(atMs)
  }
}

describe('the forecast', () => {
  test('expects nothing of what was ordered once, or long ago', () => {
    expect(forecast([], 0, MAKE_MS).target).toBe(0)
    expect(forecast([0], 1, MAKE_MS).target).toBe(0)
    expect(forecast([0, 1_000], 1_000, MAKE_MS).target).toBeGreaterThan(0)
    expect(forecast([0, 1_000], EXPECTED_WITHIN_MS - 1, MAKE_MS).target).toBe(1)
    expect(forecast([0, 1_000], EXPECTED_WITHIN_MS, MAKE_MS).target).toBe(0)
  })

  test('knows a burst while it lasts, and has a bound', () => {
    const burst = Array.from({ length: ORDERS_REMEMBERED }, (_, i) => i * 10)
    expect(forecast(burst, 640, MAKE_MS).target).toBe(SPARES_MAX)
    const ten = burst.slice(0, 10)
    expect(forecast(ten, 100, MAKE_MS).target).toBeGreaterThan(4)
    expect(forecast(ten, BURST_MS + 100, MAKE_MS).target).toBe(1)
    for (const { useful } of [forecast(burst, 640, MAKE_MS), forecast(ten, 100, MAKE_MS), forecast([], 0, MAKE_MS)]) {
      expect(useful).toHaveLength(SPARES_MAX)
      for (const [k, share] of useful.entries()) expect(share >= 0 && share <= (useful[k - 1] ?? 1), `${k}`).toBe(true)
    }
  })

  for (const [seed, everyMs] of [[1, 2_000], [2, 5_000], [3, 20_000], [4, 60_000]] as const) {
    test(`is short in few cases when orders come every ${everyMs / 1_000} s on average`, () => {
      const horizonMs = 2_000 * everyMs
      const times = arrivals(1 / everyMs, horizonMs, new FakeRandom(seed))
      let cases = 0
      let short = 0
      for (let nowMs = EXPECTED_WITHIN_MS; nowMs < horizonMs - TURN_MS - MAKE_MS; nowMs += TURN_MS) {
        const { target } = forecast(times.filter((atMs) => atMs <= nowMs).slice(-ORDERS_REMEMBERED), nowMs, MAKE_MS)
        cases++
        if (times.filter((atMs) => atMs > nowMs && atMs <= nowMs + TURN_MS + MAKE_MS).length > target) short++
      }
      expect(cases).toBeGreaterThan(100)
      // The rate is an estimate: twice as often short as with the true one is what it may cost.
      expect(short / cases).toBeLessThan(2 * SHORT_SHARE_MAX)
    })
  }
})

describe('allotment', () => {
  const wish = (name: string, memoryMiB: number, useful: number[], have = 0): Wish => ({ goldenId: name as GoldenId, target: useful.length, have, useful, each: { memoryMiB, diskMiB: 1, machines: 1 } })
  const room = (memoryMiB: number): Room => ({ memoryMiB, diskMiB: 100, machines: 100 })

  test('gives room to the likeliest first, and passes over what does not fit', () => {
    expect([...allot([wish('a', 100, [0.9, 0.2]), wish('b', 100, [0.5, 0.4])], room(300))]).toEqual([['a' as GoldenId, 1], ['b' as GoldenId, 2]])
    expect([...allot([wish('big', 400, [0.9]), wish('b', 100, [0.5, 0.4])], room(300))]).toEqual([['b' as GoldenId, 2]])
    expect([...allot([wish('a', 1, [0.9, 0.8, 0.7])], { memoryMiB: 100, diskMiB: 100, machines: 2 })]).toEqual([['a' as GoldenId, 2]])
  })

  test('keeps what is one too many while there is room and any is wanted', () => {
    expect(allot([wish('a', 100, [0.9], 3)], room(1_000)).get('a' as GoldenId)).toBe(3)
    expect(allot([wish('a', 100, [0.9], 3), wish('b', 100, [0.1, 0.1])], room(300)).get('a' as GoldenId)).toBe(1)
    expect(allot([wish('a', 100, [], 3)], room(1_000)).get('a' as GoldenId)).toBeUndefined()
  })
})

interface FakeSpare extends SpareMachine { die (): void }

/** Spares over a line that makes them in 300 ms of 50 MiB each; `free` is what the ledger has. */
class Subject {
  readonly clock = new FakeClock()
  readonly log: FakeLog = fakeLog()
  readonly free = { cpus: 9, memoryMiB: 1_000, diskMiB: 1_000, machines: 32, networks: 4 }
  readonly there = new Map<VmId, FakeSpare>()
  readonly goldens = new Map([goldenOf('a'), goldenOf('b')].map((golden) => [golden.goldenId, golden]))
  readonly spares: Spares
  pins = 0
  creating = 0
  most = 0
  fails = false
  sticks = false
  #onChange: () => void = () => {}

  constructor (memoryMiB = 300) {
    const { clock, log } = this
    this.spares = new Spares({
      clock, log,
      random: new FakeRandom(1),
      line: { prepare: async ({ vmId, mac }, signal) => this.#prepare(vmId, mac, signal) },
      warehouse: {
        verified: async () => '/golden',
        pin: () => {
          this.pins++
          return () => { this.pins-- }
        },
        get: (goldenId) => this.goldens.get(goldenId),
        onChange: (fn) => {
          this.#onChange = fn
          return () => {}
        }
      },
      ledger: { free: () => this.free },
      creating: () => this.creating
    }, { memoryMiB, cpus: 2 })
    this.spares.start()
  }

  async order (name: string, times = 1): Promise<void> {
    for (let i = 0; i < times; i++) this.spares.ordered(this.golden(name))
    this.spares.changed()
    await this.clock.advance(5_000)
  }

  golden (name: string): Golden { return this.goldens.get(name as GoldenId) ?? goldenOf(name) }

  drop (name: string): void {
    this.goldens.delete(name as GoldenId)
    this.#onChange()
  }

  async #prepare (spareId: VmId, mac: string, signal?: AbortSignal): Promise<SpareMachine> {
    await new Promise<void>((resolve, reject) => {
      this.clock.after(300, resolve)
      signal?.addEventListener('abort', () => { reject(signal.reason) })
    })
    if (this.fails) throw new PlantError('VM_START_FAILED')
    const death = Promise.withResolvers<{ reason: string }>()
    const spare: FakeSpare = {
      spareId, mac,
      died: death.promise,
      die: () => { death.resolve({ reason: 'killed' }) },
      memoryBytes: async () => 50 * 2 ** 20,
      handOut: async () => { throw new PlantError('VM_STATE') },
      destroy: async () => {
        if (this.sticks) throw new PlantError('INTERNAL')
        this.there.delete(spareId)
      }
    }
    this.there.set(spareId, spare)
    this.most = Math.max(this.most, this.there.size)
    return spare
  }
}

describe('spares', () => {
  test('are made of what is ordered again, one after the other, and replaced when taken', async () => {
    const s = new Subject()
    await s.order('a')
    expect(s.there.size).toBe(0)
    await s.order('a')
    expect(s.spares.view('a' as GoldenId)).toMatchObject({ ready: 2, making: 0, target: 2, memoryMiB: 100, budgetMiB: 300 })
    const taken = s.spares.take('a' as GoldenId)
    expect([...s.there.values()]).toContain(taken?.machine)
    expect(s.spares.isReady('a' as GoldenId)).toBe(true)
    s.spares.changed()
    await s.clock.advance(1_000)
    expect(s.there.size).toBe(3) // The one that was taken too.
    expect(s.pins).toBe(3)
    taken?.unpin()
    await s.spares.stop()
    expect({ left: [...s.there.keys()], pins: s.pins, pending: s.clock.pending }).toEqual({ left: [taken?.machine.spareId], pins: 0, pending: 0 })
    expect(s.spares.take('a' as GoldenId)).toBeUndefined()
  })

  test('keep to the budget, whole before one was measured', async () => {
    const s = new Subject(150)
    await s.order('a', 30)
    await s.clock.advance(20_000)
    expect(s.spares.view('a' as GoldenId)).toMatchObject({ ready: 3, memoryMiB: 150, why: expect.stringContaining('room for 3') })
    const small = new Subject(99)
    await small.order('a', 30)
    expect(small.most).toBe(0)
    expect(small.spares.view('a' as GoldenId).why).toContain('room for 0')
  })

  test('of one golden machine are begun only when those of another that give way to them have gone', async () => {
    const s = new Subject()
    s.free.machines = 2
    await s.order('a', 2)
    expect(s.there.size).toBe(2)
    await s.order('b', 6)
    await s.clock.advance(20_000)
    expect(s.most).toBe(2)
    expect(s.spares.view('b' as GoldenId).ready).toBeGreaterThan(0)
    await s.spares.stop()
  })

  test('go when nothing is expected any more', async () => {
    const s = new Subject()
    await s.order('a', 3)
    expect(s.there.size).toBeGreaterThan(0)
    await s.clock.advance(EXPECTED_WITHIN_MS)
    expect({ left: s.there.size, pins: s.pins }).toEqual({ left: 0, pins: 0 })
    expect(s.spares.view('a' as GoldenId)).toMatchObject({ ready: 0, target: 0, memoryMiB: 0, why: 'not ordered twice within ten minutes' })
  })

  test('go at once when a lease needs their room, the least useful first', async () => {
    const s = new Subject()
    await s.order('b', 2)
    await s.order('a', 4)
    await s.clock.advance(20_000)
    const before = s.there.size
    expect(before).toBeGreaterThan(3)
    s.free.memoryMiB = 100
    await s.spares.room(new AbortController().signal)
    expect(s.there.size).toBe(2)
    expect(s.spares.isReady('a' as GoldenId)).toBe(true)
    s.free.memoryMiB = 0
    await s.spares.room(new AbortController().signal)
    expect({ left: s.there.size, pins: s.pins }).toEqual({ left: 0, pins: 0 })
    await s.clock.advance(60_000)
    expect(s.there.size).toBe(0)
  })

  test('one that is being made is called off for a lease', async () => {
    const s = new Subject()
    s.spares.ordered(s.golden('a'))
    s.spares.ordered(s.golden('a'))
    s.spares.changed()
    await s.clock.advance(100)
    expect(s.spares.view('a' as GoldenId).making).toBe(1)
    s.free.memoryMiB = 0
    await s.spares.room(new AbortController().signal)
    expect({ made: s.most, pins: s.pins, held: s.spares.view('a' as GoldenId).memoryMiB }).toEqual({ made: 0, pins: 0, held: 0 })
  })

  test('give up a golden machine that is taken off the shelf', async () => {
    const s = new Subject()
    await s.order('a', 3)
    s.drop('a')
    await s.clock.advance(0)
    expect({ left: s.there.size, pins: s.pins }).toEqual({ left: 0, pins: 0 })
    await s.clock.advance(60_000)
    expect(s.there.size).toBe(0)
  })

  test('are not begun while orders need the cores', async () => {
    const s = new Subject()
    s.creating = 2
    await s.order('a', 3)
    expect(s.most).toBe(0)
    s.creating = 1
    s.spares.changed()
    await s.clock.advance(1_000)
    expect(s.most).toBeGreaterThan(0)
  })

  test('that fail or die are made again ever later, until one is of use', async () => {
    const s = new Subject()
    s.fails = true
    await s.order('a', 3)
    await s.clock.advance(120_000)
    const tries = s.log.lines.filter(({ message }) => message.includes('could not be made')).length
    expect(tries).toBeGreaterThan(3)
    expect(tries).toBeLessThan(8)
    expect({ pins: s.pins, held: s.spares.view('a' as GoldenId).memoryMiB }).toEqual({ pins: 0, held: 0 })
    s.fails = false
    await s.clock.advance(300_000)
    expect(s.spares.isReady('a' as GoldenId)).toBe(true)
    const [one] = s.there.values()
    one?.die()
    await s.clock.advance(1_000)
    expect(s.there.has(one?.spareId as VmId)).toBe(false)
    expect(s.log.lines.at(-1)).toMatchObject({ message: 'a spare died' })
  })

  test('that cannot be ended are counted until they have gone, and tried again', async () => {
    const s = new Subject()
    await s.order('a', 2)
    s.sticks = true
    s.drop('a')
    await s.clock.advance(1_000)
    expect(s.spares.view('a' as GoldenId).memoryMiB).toBe(100)
    s.sticks = false
    await s.clock.advance(10_000)
    expect({ held: s.spares.view('a' as GoldenId).memoryMiB, pins: s.pins }).toEqual({ held: 0, pins: 0 })
  })

  test('fit where all of what they take is there', () => {
    const room = { memoryMiB: 1, diskMiB: 1, machines: 1 }
    expect(fits(room, room)).toBe(true)
    for (const name of ['memoryMiB', 'diskMiB', 'machines'] as const) expect(fits({ ...room, [name]: 2 }, room)).toBe(false)
  })
})
