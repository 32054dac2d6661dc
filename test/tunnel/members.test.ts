import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { PeerId } from '../../protocols/kit/index.ts'
import { DIALS_AT_ONCE_MAX, DIALS_MAX, DIAL_MS_MAX, HIGHER_WAITS_MS, LINKS_MAX, LOOK_MS_MAX, MEMBERS_MAX, MEMBERS_TOLD_MAX, UNPROVEN_PER_TELLER_MAX } from '../../protocols/tunnel/constants.ts'
import { Members, type Due, type Ending } from '../../protocols/tunnel/core.ts'
import { FakeRandom } from '../support/fake-random.ts'

const id = (n: number): PeerId => `p${String(n).padStart(5, '0')}` as PeerId
const made = (self = 0): Members => new Members(id(self), new FakeRandom(1), 0)
const dials = (due: Due[]): PeerId[] => due.flatMap((one) => one.t === 'dial' ? [one.peer] : [])
const looks = (due: Due[]): number => due.filter(({ t }) => t === 'look').length

describe('the members of a network', () => {
  test('are looked for at once, and then ever more rarely', () => {
    const members = made()
    const at: number[] = []
    for (let nowMs = 0; nowMs < 3_600_000; nowMs = members.nextMs()) if (looks(members.due(nowMs)) > 0) at.push(nowMs)
    expect(at[0]).toBe(0)
    expect(at[1]).toBeLessThan(2_000)
    expect(at.length).toBeLessThan(25)
    expect(Math.max(...at.slice(1).map((ms, i) => ms - (at[i] ?? 0)))).toBeLessThanOrEqual(LOOK_MS_MAX * 1.5)
  })

  test('are dialled as soon as they are named, a few at once, and never this plant itself', () => {
    const members = made()
    members.onNames([id(0), ...Array.from({ length: 9 }, (_, i) => id(i + 1))], 0)
    expect(dials(members.due(0))).toEqual([1, 2, 3, 4].map(id))
    expect(members.due(0)).toEqual([])
    members.onUp(id(1))
    expect(dials(members.due(0))).toHaveLength(1)
    expect(DIALS_AT_ONCE_MAX).toBe(4)
  })

  test('are dialled again with growing pauses, and forgotten when nobody answers', () => {
    const members = made()
    members.onNames([id(1)], 0)
    const at: number[] = []
    for (let nowMs = 0; members.known > 0; nowMs = members.nextMs()) {
      if (dials(members.due(nowMs)).length === 0) continue
      at.push(nowMs)
      members.onEnd(id(1), 'unreachable', nowMs)
    }
    expect(at).toHaveLength(DIALS_MAX)
    const pauses = at.slice(1).map((ms, i) => ms - (at[i] ?? 0))
    expect(pauses[0]).toBeLessThanOrEqual(1_500)
    expect(Math.max(...pauses)).toBeLessThanOrEqual(DIAL_MS_MAX * 1.5)
  })

  test('are dialled for ever when an order names them', () => {
    const members = made()
    members.onNames([id(1)], 0, { named: true })
    let nowMs = 0
    for (let dialled = 0; dialled < 50; nowMs = members.nextMs()) {
      if (dials(members.due(nowMs)).length === 0) continue
      dialled++
      members.onEnd(id(1), 'unreachable', nowMs)
    }
    expect(members.known).toBe(1)
  })

  test('are dialled at once after a loss by the lower end, a little later by the higher', () => {
    const soonest = (self: number): number => {
      const members = made(self)
      members.due(0)
      members.onUp(id(5))
      members.onEnd(id(5), 'lost', 10_000)
      let nowMs = 10_000
      while (dials(members.due(nowMs)).length === 0) nowMs = members.nextMs()
      return nowMs - 10_000
    }
    expect(soonest(1)).toBeLessThan(HIGHER_WAITS_MS / 2)
    expect(soonest(9)).toBeGreaterThanOrEqual(HIGHER_WAITS_MS)
    expect(soonest(9)).toBeLessThan(HIGHER_WAITS_MS * 2)
  })

  test('are looked for soon again when one was lost', () => {
    const members = made()
    for (let nowMs = 0; nowMs < 3_600_000; nowMs = members.nextMs()) members.due(nowMs)
    members.onUp(id(1))
    members.onEnd(id(1), 'lost', 3_600_000)
    members.onNames([], 0)
    let nowMs = 3_600_000
    while (looks(members.due(nowMs)) === 0) nowMs = members.nextMs()
    expect(nowMs - 3_600_000).toBeLessThanOrEqual(1_500)
  })

  test('are dialled as soon as they are neighbours again, but not when they refuse us', () => {
    const members = made()
    members.onNames([id(1), id(2)], 0)
    members.due(0)
    for (let i = 0; i < 7; i++) {
      members.onEnd(id(1), 'unreachable', i * 100_000)
      members.due((i + 1) * 100_000)
    }
    members.onEnd(id(2), 'refused', 700_000)
    members.due(700_000)
    members.onEnd(id(1), 'unreachable', 700_000)
    for (const n of [1, 2]) members.onNear(id(n), 700_100)
    expect(dials(members.due(701_000))).toEqual([id(1)])
  })

  test('are looked for when there are new neighbours, but not for each of them', () => {
    const members = made()
    for (let nowMs = 0; nowMs < 3_600_000; nowMs = members.nextMs()) members.due(nowMs)
    let count = 0
    for (let nowMs = 3_600_000; nowMs < 3_660_000; nowMs += 100) {
      members.onNear(id(900), nowMs)
      count += looks(members.due(nowMs))
    }
    expect(count).toBeGreaterThanOrEqual(1)
    expect(count).toBeLessThanOrEqual(3)
  })

  test('are gone when they left, and stay up when an old dial of ours fails after they came', () => {
    const members = made()
    members.onNames([id(1)], 0)
    expect(dials(members.due(0))).toEqual([id(1)])
    members.onUp(id(1))
    members.onEnd(id(1), 'unreachable', 5)
    expect(members.state(id(1))).toBe('up')
    members.onEnd(id(1), 'left', 10)
    expect(members.known).toBe(0)
  })

  test('are told by a member only so many, until they have proved themselves', () => {
    const members = made()
    members.onUp(id(1))
    const named = (from: number): PeerId[] => Array.from({ length: 1_000 }, (_, i) => id(from + i))
    members.onNames(named(1_000), 0, { teller: id(1) })
    expect(members.known).toBe(1 + UNPROVEN_PER_TELLER_MAX)
    members.onUp(id(1_000))
    members.onNames(named(2_000), 0, { teller: id(1) })
    expect(members.known).toBe(2 + UNPROVEN_PER_TELLER_MAX)
  })

  test('are told to others within a bound, without those whom nobody has seen', () => {
    const members = made()
    for (let i = 1; i <= 100; i++) members.onUp(id(i))
    members.onNames([id(500)], 0)
    const told = members.toTell(id(7))
    expect(told).toHaveLength(MEMBERS_TOLD_MAX)
    expect(told).not.toContain(id(7))
    expect(told).not.toContain(id(500))
  })

  test('never are more than may be, nor in two states, whatever happens', () => {
    const peers = fc.nat(700).map(id)
    const act = fc.oneof(
      fc.record({ t: fc.constant('names' as const), peers: fc.array(peers, { maxLength: 200 }), teller: fc.option(peers, { nil: undefined }) }),
      fc.record({ t: fc.constant('up' as const), peer: peers }),
      fc.record({ t: fc.constant('end' as const), peer: peers, why: fc.constantFrom<Ending>('lost', 'left', 'unreachable', 'refused', 'busy') }),
      fc.record({ t: fc.constant('due' as const) })
    )
    fc.assert(fc.property(fc.array(act, { maxLength: 60 }), (acts) => {
      const members = made(300)
      let nowMs = 0
      for (const doing of acts) {
        if (doing.t === 'names') members.onNames(doing.peers, nowMs, doing.teller === undefined ? {} : { teller: doing.teller })
        if (doing.t === 'up' && !members.isFull(doing.peer)) members.onUp(doing.peer)
        if (doing.t === 'end') members.onEnd(doing.peer, doing.why, nowMs)
        if (doing.t === 'due') members.due(nowMs = Math.max(nowMs, Math.min(members.nextMs(), nowMs + 60_000)))
        const states = members.states()
        expect(states.length).toBeLessThanOrEqual(MEMBERS_MAX)
        expect(states.filter(({ state }) => state === 'dialling').length).toBeLessThanOrEqual(DIALS_AT_ONCE_MAX)
        expect(states.filter(({ state }) => state === 'up').length).toBe(members.up)
        expect(members.up).toBeLessThanOrEqual(LINKS_MAX)
      }
    }))
  })
})
