import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Need } from '../../protocols/bid/index.ts'
import type { KeyId, LeaseId, VmId } from '../../protocols/kit/index.ts'
import { networkIdOf, type NetworkId } from '../../protocols/tunnel/types.ts'
import { NodeCrypto } from '../../node/drivers/node-crypto.ts'
import { defaultCapacity, parseCapacity, type Capacity } from '../../node/plant/capacity.ts'
import { Ledger } from '../../node/plant/ledger.ts'

const CAPACITY: Capacity = { cpus: 4, memoryMiB: 1024, diskMiB: 4096, machines: 3, networks: 2 }
const need = (more: Partial<Need> = {}): Need => ({ cpus: 1, memoryMiB: 256, diskMiB: 512, networks: [], ...more })
const award = (ledger: Ledger, n: number, what: Partial<Need> = {}, nowMs = 0) =>
  ledger.award({ leaseId: `lease${n}` as LeaseId, vmId: `vm${n}` as VmId, need: need(what), nowMs, wallMs: 1_000 + n })

test('ledger names every shortage at once, with what there is, what is needed and the smallest change', () => {
  const ledger = new Ledger(CAPACITY)
  award(ledger, 1, { memoryMiB: 768 })
  expect(ledger.check(need({ cpus: 5, memoryMiB: 512, diskMiB: 9_999 }))).toEqual([
    { code: 'CPUS_SHORT', clause: 'hardware.cpus', have: 3, need: 5, waitHelps: false, smallestChange: { attribute: 'hardware.cpus', from: 5, to: 3 } },
    { code: 'RAM_SHORT', clause: 'hardware.memoryMiB', have: 256, need: 512, waitHelps: true, smallestChange: { attribute: 'hardware.memoryMiB', from: 512, to: 256 } },
    { code: 'DISK_SHORT', clause: 'hardware.diskMiB', have: 3_584, need: 9_999, waitHelps: false, smallestChange: { attribute: 'hardware.diskMiB', from: 9_999, to: 3_584 } }
  ])
})

test('ledger refuses by one MiB, and names no change when nothing at all is left', () => {
  const ledger = new Ledger(CAPACITY)
  expect(ledger.check(need({ memoryMiB: 1024 }))).toEqual([])
  expect(ledger.check(need({ memoryMiB: 1025 })).map((reason) => reason.code)).toEqual(['RAM_SHORT'])
  award(ledger, 1, { memoryMiB: 1024 })
  expect(ledger.check(need())[0]).not.toHaveProperty('smallestChange')
})

const [A, B, C] = ['a', 'b', 'c'] as NetworkId[] as [NetworkId, NetworkId, NetworkId]

test('ledger counts a network once for all its machines and gives it back with the last', () => {
  const ledger = new Ledger(CAPACITY)
  award(ledger, 1, { networks: [A] })
  award(ledger, 2, { networks: [A, A] })
  expect(ledger.free().networks).toBe(1)
  award(ledger, 3, { networks: [B] })
  ledger.release('lease1' as LeaseId)
  expect(ledger.check(need({ networks: [C] }))).toEqual([{ code: 'NETWORKS_FULL', clause: 'network', have: 0, need: 1, waitHelps: true }])
  expect(ledger.check(need({ networks: [A, B] }))).toEqual([])
  ledger.release('lease2' as LeaseId)
  expect(ledger.fresh([A, B])).toEqual([A])
  expect(ledger.check(need({ networks: [C] }))).toEqual([])
})

test('ledger refuses a machine of more networks than are left, and one of more than the plant has for good', () => {
  const ledger = new Ledger({ ...CAPACITY, networks: 2 })
  award(ledger, 1, { networks: [A] })
  expect(ledger.check(need({ networks: [A, B] }))).toEqual([])
  expect(ledger.check(need({ networks: [B, C] }))).toEqual([{ code: 'NETWORKS_FULL', clause: 'network', have: 1, need: 2, waitHelps: true }])
  expect(ledger.check(need({ networks: [A, B, C] }))).toMatchObject([{ waitHelps: false }])
})

test('no two domains ever share a network, whatever they call themselves and it', () => {
  const text = fc.oneof(fc.constantFrom('', 'a', 'b', 'a"', 'a","b', '[', 'lan'), fc.string({ maxLength: 4 }))
  const name = fc.record({ domainKey: text.map((key) => key as KeyId), domain: text, name: text })
  fc.assert(fc.property(fc.array(name, { minLength: 1, maxLength: 12 }), (names) => {
    const ledger = new Ledger({ ...CAPACITY, cpus: 100, memoryMiB: 100_000, diskMiB: 100_000, machines: 100, networks: 100 })
    for (const [n, of] of names.entries()) award(ledger, n, { networks: [networkIdOf(new NodeCrypto(), of)] })
    const ordered = new Set(names.map(({ domainKey, domain, name: network }) => JSON.stringify([domainKey, domain, network]))).size
    expect(ledger.used().networks).toBe(ordered)
  }))
})

test('ledger gives a machine one lease: a second award names the first', () => {
  const ledger = new Ledger(CAPACITY)
  award(ledger, 1)
  const again = ledger.award({ leaseId: 'other' as LeaseId, vmId: 'vm1' as VmId, need: need(), nowMs: 5, wallMs: 5 })
  expect(again).toMatchObject({ kind: 'held', lease: { leaseId: 'lease1', state: 'awarded' } })
  expect(ledger.used().machines).toBe(1)
})

test('ledger ends a lease whose machine did not start in time, and not one that did', () => {
  const ledger = new Ledger(CAPACITY, { leaseTtlMs: 100 })
  award(ledger, 1, {}, 0)
  award(ledger, 2, {}, 50)
  ledger.start('lease1' as LeaseId, 99)
  expect(ledger.expire(149)).toEqual([])
  expect(ledger.expire(150).map((lease) => lease.leaseId)).toEqual(['lease2'])
  expect(ledger.start('lease2' as LeaseId, 150)).toBe(false)
  expect(ledger.leases().map((lease) => lease.state)).toEqual(['active'])
})

test('ledger starts no machine whose time is over, also before anybody has looked', () => {
  const ledger = new Ledger(CAPACITY, { leaseTtlMs: 100 })
  award(ledger, 1, {}, 0)
  award(ledger, 2, {}, 0)
  expect(ledger.start('lease1' as LeaseId, 99)).toBe(true)
  expect(ledger.start('lease2' as LeaseId, 100)).toBe(false)
  expect(ledger.start('lease1' as LeaseId, 100)).toBe(true)
  expect(ledger.expire(100).map((lease) => lease.leaseId)).toEqual(['lease2'])
})

test('ledger restored above a lowered capacity awards nothing until there is room', () => {
  const ledger = new Ledger({ ...CAPACITY, machines: 1 })
  const of = (n: number) => ({ leaseId: `lease${n}` as LeaseId, vmId: `vm${n}` as VmId, need: need(), awardedAtMs: 1, started: n === 1 })
  ledger.restore([of(1), of(2)], 10)
  expect(ledger.free().machines).toBe(0)
  expect(award(ledger, 3).kind).toBe('refused')
  expect(ledger.expire(10 + ledger.leaseTtlMs).map((lease) => lease.vmId)).toEqual(['vm2'])
  ledger.release('lease1' as LeaseId)
  expect(award(ledger, 3).kind).toBe('granted')
})

test('ledger refuses a size that is no number', () => {
  expect(new Ledger(CAPACITY).check(need({ memoryMiB: Number.NaN })).map((reason) => reason.code)).toEqual(['RAM_SHORT'])
})

/** The model: leases as a plain list; everything that the ledger says is derived from it anew each time. */
type Step = { kind: 'award', vm: number, need: Need } | { kind: 'start' | 'release' | 'undo', vm: number } | { kind: 'pass', ms: number }
const anyStep: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('award' as const), vm: fc.nat(12), need: fc.record({ cpus: fc.integer({ min: 1, max: 5 }), memoryMiB: fc.integer({ min: 1, max: 1_100 }), diskMiB: fc.integer({ min: 1, max: 4_200 }), networks: fc.array(fc.constantFrom('a', 'b', 'c', 'd').map((id) => id as NetworkId), { maxLength: 3 }) }) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom('start' as const, 'release' as const, 'undo' as const), vm: fc.nat(12) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('pass' as const), ms: fc.nat(80) }) }
)

test('ledger agrees with a plain model, never exceeds capacity, and every lease ends, whatever the order of events', () => {
  fc.assert(fc.property(fc.array(anyStep, { maxLength: 60 }), (steps) => {
    const ledger = new Ledger(CAPACITY, { leaseTtlMs: 100 })
    let model: Array<{ id: LeaseId, vm: VmId, need: Need, active: boolean, byMs: number }> = []
    let nowMs = 0
    let n = 0
    const total = (name: 'cpus' | 'memoryMiB' | 'diskMiB', list = model) => list.reduce((sum, lease) => sum + lease.need[name], 0)
    const networks = (list = model) => new Set(list.flatMap((lease) => lease.need.networks)).size
    const fits = (list: typeof model) => total('cpus', list) <= CAPACITY.cpus && total('memoryMiB', list) <= CAPACITY.memoryMiB && total('diskMiB', list) <= CAPACITY.diskMiB && list.length <= CAPACITY.machines && networks(list) <= CAPACITY.networks
    for (const step of steps) {
      if (step.kind === 'pass') {
        nowMs += step.ms
        const due = model.filter((lease) => !lease.active && lease.byMs <= nowMs)
        expect(ledger.expire(nowMs).map((lease) => lease.leaseId).sort()).toEqual(due.map((lease) => lease.id).sort())
        model = model.filter((lease) => !due.includes(lease))
        continue
      }
      const vm = `vm${step.vm}` as VmId
      const mine = model.find((lease) => lease.vm === vm)
      if (step.kind === 'award') {
        const lease = { id: `lease${n++}` as LeaseId, vm, need: step.need, active: false, byMs: nowMs + 100 }
        const expected = mine !== undefined ? 'held' : fits([...model, lease]) ? 'granted' : 'refused'
        expect(ledger.award({ leaseId: lease.id, vmId: vm, need: step.need, nowMs, wallMs: 0 }).kind).toBe(expected)
        if (expected === 'granted') model.push(lease)
      } else if (step.kind === 'start') {
        const starts = mine !== undefined && (mine.active || mine.byMs > nowMs)
        expect(ledger.start(mine?.id ?? 'none' as LeaseId, nowMs)).toBe(starts)
        if (mine !== undefined && starts) mine.active = true
      } else {
        const undone = ledger.release(mine?.id ?? 'none' as LeaseId)
        expect(undone !== undefined).toBe(mine !== undefined)
        if (undone !== undefined) model = model.filter((lease) => lease !== mine)
      }
      expect(ledger.used()).toEqual({ cpus: total('cpus'), memoryMiB: total('memoryMiB'), diskMiB: total('diskMiB'), machines: model.length, networks: networks() })
      expect(fits(model)).toBe(true)
    }
    for (const lease of model.filter((other) => other.active)) ledger.release(lease.id)
    ledger.expire(nowMs + 100)
    expect(ledger.free()).toEqual(CAPACITY)
  }), { numRuns: 300 })
})

test('capacity reads what is named and keeps the defaults of the rest', () => {
  const defaults = defaultCapacity({ cpus: 2, memoryMiB: 8_000, freeDiskMiB: 10_000 })
  expect(defaults).toEqual({ cpus: 8, memoryMiB: 6_000, diskMiB: 7_500, machines: 32, networks: 4 })
  expect(parseCapacity('cpus=2, memoryMiB=4096', defaults)).toEqual({ ...defaults, cpus: 2, memoryMiB: 4_096 })
  for (const bad of ['cpu=2', 'cpus', 'cpus=-1', 'cpus=1.5', 'cpus=1=2', 'cpus=99999999999', '__proto__=1', 'cpus=1e3']) expect(() => parseCapacity(bad, defaults)).toThrow('USAGE')
})
