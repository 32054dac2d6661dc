import fc from 'fast-check'
import { expect, test } from 'vitest'
import { FluidSwarm, sizeOf, SLOTS, sourceOf, UPLINKS } from '../../../sim/scale/fluid-swarm.ts'
import { MaxMin } from '../../../sim/scale/max-min.ts'
import { HeapQueue } from '../../../sim/kernel/index.ts'
import { fullMaxMin } from './full-max-min.ts'

/** Of two programs that add the same doubles in another order. */
const CLOSE = 1e-9

function expectEqual (local: number[], full: number[]): void {
  for (const [i, rate] of local.entries()) expect(Math.abs(rate - (full[i] ?? NaN))).toBeLessThanOrEqual(CLOSE * (full[i] ?? NaN))
}

test('local rates are those of solving everything, after every change', () => {
  const links = 12
  const capacity = fc.oneof(fc.integer({ min: 1, max: 10 }), fc.constantFrom(1, 2, 4), fc.double({ min: 0.001, max: 1_000, noNaN: true }))
  const change = fc.record({ place: fc.nat(30), from: fc.nat(links - 1), over: fc.integer({ min: 1, max: links - 1 }), with: fc.boolean() })
  fc.assert(fc.property(fc.array(capacity, { minLength: links, maxLength: links }), fc.array(change, { minLength: 1, maxLength: 80 }), (capacities, changes) => {
    const rates = new MaxMin(Float64Array.from(capacities), 31)
    const flows = new Map<number, [number, number]>()
    rates.begin()
    for (const { place, from, over, with: together } of changes) {
      if (flows.delete(place)) rates.remove(place)
      else {
        const to = (from + over) % links
        flows.set(place, [from, to])
        rates.add(place, from, to)
      }
      // Several changes at once must come out as well.
      if (together) continue
      rates.solve()
      expectEqual([...flows.keys()].map((flow) => rates.rate(flow)), fullMaxMin(capacities, [...flows.values()]))
      rates.begin()
    }
    rates.solve()
    expectEqual([...flows.keys()].map((flow) => rates.rate(flow)), fullMaxMin(capacities, [...flows.values()]))
  }), { numRuns: 500 })
})

test('a flow that came and went before the rates were asked for leaves no trace', () => {
  const rates = new MaxMin(Float64Array.of(4, 4, 4), 3)
  rates.begin()
  rates.add(0, 0, 1)
  rates.add(1, 0, 2)
  rates.remove(1)
  rates.solve()
  expect(rates.rate(0)).toBe(4)
})

/** Rates of a swarm at this moment, from its flows alone. */
function fullRates (peers: number, flows: Array<{ source: number, slot: number }>): number[] {
  const up = (peer: number): number => UPLINKS[peer % UPLINKS.length] ?? 0
  const capacities = Array.from({ length: 2 * peers }, (_, link) => link % 2 === 0 ? up(link >> 1) : 4 * up(link >> 1))
  return fullMaxMin(capacities, flows.map(({ source, slot }) => [2 * source, 2 * Math.floor(slot / SLOTS) + 1]))
}

test('a swarm\'s rates stay those of the full solver while it runs', () => {
  const peers = 30
  const swarm = new FluidSwarm({ seed: 5, peers, flowsPerSlot: 8 })
  do {
    const flows = Array.from({ length: peers * SLOTS }, (_, slot) => ({ slot, ...swarm.flowOf(slot) })).flatMap(({ slot, source, rate }) => source === undefined || rate === undefined ? [] : [{ slot, source, rate }])
    expectEqual(flows.map(({ rate }) => rate), fullRates(peers, flows))
  } while (swarm.run(7))
  expect(swarm.flows).toBe(peers * SLOTS * 8)
})

test('a swarm ends when a plain simulation with the full solver does', () => {
  const init = { seed: 9, peers: 9, flowsPerSlot: 5 }
  const active = Array.from({ length: init.peers * SLOTS }, (_, slot) => ({ slot, flow: 1, source: sourceOf(init, slot, 1), left: sizeOf(init, slot, 1) }))
  let plainTicks = 0
  while (active.length > 0) {
    const rates = fullRates(init.peers, active)
    const waits = active.map(({ left }, i) => left / (rates[i] ?? 1))
    const wait = Math.min(...waits)
    plainTicks += wait
    for (const [i, one] of active.entries()) one.left -= wait * (rates[i] ?? 0)
    const first = active[waits.indexOf(wait)]
    if (first === undefined) break
    first.flow++
    if (first.flow > init.flowsPerSlot) active.splice(active.indexOf(first), 1)
    else Object.assign(first, { source: sourceOf(init, first.slot, first.flow), left: sizeOf(init, first.slot, first.flow) })
  }
  const swarm = new FluidSwarm(init)
  swarm.run()
  // Each end is rounded up to a tick, at most one for every flow on the way.
  expect(Math.abs(swarm.nowTicks - plainTicks)).toBeLessThan(init.peers * SLOTS * init.flowsPerSlot)
})

test('a swarm runs the same on either queue, and works on few flows a change', () => {
  const init = { seed: 3, peers: 200, flowsPerSlot: 6 }
  const [calendar, heap] = [new FluidSwarm(init), new FluidSwarm(init, new HeapQueue())]
  calendar.run()
  heap.run()
  expect([calendar.nowTicks, calendar.resolved]).toEqual([heap.nowTicks, heap.resolved])
  // Of 800 flows at once.
  expect(calendar.resolved / calendar.flows).toBeLessThan(20)
})
