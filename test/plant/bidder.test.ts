import { expect, test } from 'vitest'
import { refusalOf, type Reason } from '../../protocols/bid/index.ts'
import type { LeaseId, VmId } from '../../protocols/kit/index.ts'
import type { NetworkId } from '../../protocols/tunnel/types.ts'
import { checkOrder } from '../../protocols/order/index.ts'
import { adOf, adReal } from '../../protocols/order/classad/index.ts'
import { decideBid, type BidDecision, type Bidder, type BidRequest } from '../../node/plant/bidder.ts'
import { computeNetworkCost, costModel, COST_MODELS, FIGURES_AT_FIRST, learner, memoryCost, timeToDoneCost, type CostInputs } from '../../node/plant/cost/index.ts'
import { Ledger } from '../../node/plant/ledger.ts'
import { rankNumberOf, requirementReasons } from '../../node/plant/requirements.ts'
import { orderOf, ROOMY } from '../bid/bidding-plant.ts'

const plantAd = adOf({ FreeMemoryMiB: 300, Load: adReal(0.5), Isa: 'x86_64' })
const request = (more: Partial<BidRequest> = {}): BidRequest => ({
  order: orderOf(),
  networkId: (name) => `a/${name}` as NetworkId,
  plan: { found: true, outline: { goldenId: 'g', actionsLeft: 2, fetchBytes: 0, resize: false } },
  requirements: (text) => requirementReasons(text, plantAd, adOf({})),
  rank: (text) => rankNumberOf(text, plantAd, adOf({})),
  ...more
})
const bidder = (more: Partial<Bidder> = {}): Bidder => ({ isa: 'x86_64', ledger: new Ledger(ROOMY), cost: timeToDoneCost(), load: 0, learned: FIGURES_AT_FIRST, ...more })
const codes = (decision: BidDecision): string[] => decision.kind === 'refusal' ? decision.refusal.reasons.map((reason) => reason.code) : []

test('bidder offers itemised costs that add up, and takes the plant\'s instruction set for an order that names none', () => {
  const decision = decideBid(request(), bidder({ load: 0.5 }))
  expect(decision).toMatchObject({ kind: 'offer', total: 3_000, need: { memoryMiB: 256, networks: [] } })
  if (decision.kind !== 'offer') return
  expect(decision.items.map((item) => [item.item, item.cost])).toEqual([['clone', 1_000], ['actions', 1_000], ['load', 1_000]])
  expect(decision).not.toHaveProperty('rank')
})

test('bidder names everything that fails at once', () => {
  const order = orderOf({ isa: 'riscv64', memoryMiB: 1_000_000 }, { requirements: 'FreeMemoryMiB >= 512 && Load < 1.0 && Isa == "arm64"' })
  const missing: Reason = { code: 'OS_UNKNOWN', clause: 'software.os', have: 'tiny', need: 'plan9' }
  const decision = decideBid(request({ order, plan: { found: false, reasons: [missing] } }), bidder())
  expect(codes(decision)).toEqual(['ISA_DIFFERS', 'RAM_SHORT', 'REQUIREMENTS_FAILED', 'REQUIREMENTS_FAILED', 'OS_UNKNOWN'])
})

test('bidder names the requirement that failed and the smallest change that would mend it', () => {
  const decision = decideBid(request({ order: orderOf({}, { requirements: 'FreeMemoryMiB >= 512 && Load < 1.0' }) }), bidder())
  expect(decision).toMatchObject({ kind: 'refusal', refusal: {
    reasons: [{ code: 'REQUIREMENTS_FAILED', clause: 'FreeMemoryMiB >= 512', have: 300, need: 512 }],
    smallestChange: [{ attribute: 'FreeMemoryMiB', from: 300, to: 512 }]
  } })
})

test('bidder names each way out where one of several would do, the smallest first', () => {
  const decision = decideBid(request({ order: orderOf({}, { requirements: 'Load < 1.0 && Isa == "arm64" || FreeMemoryMiB > 300' }) }), bidder())
  const memory = { attribute: 'FreeMemoryMiB', from: 300, to: 301 }
  const isa = { attribute: 'Isa', from: 'x86_64', to: 'arm64' }
  expect(decision).toMatchObject({ kind: 'refusal', refusal: { reasons: [{ smallestChange: memory, alternatives: [[memory], [isa]] }], smallestChange: [memory] } })
  const both = decideBid(request({ order: orderOf({}, { requirements: '!(Load < 1.0 || Isa == "x86_64")' }) }), bidder())
  expect(both).toMatchObject({ refusal: { reasons: [{ alternatives: [[{ attribute: 'Load' }, { attribute: 'Isa' }]] }], smallestChange: [{ attribute: 'Load' }, { attribute: 'Isa' }] } })
})

test('the smallest change of a refusal makes the order fit', () => {
  const ledger = new Ledger({ ...ROOMY, cpus: 1, memoryMiB: 2_048, diskMiB: 1_000 })
  const order = orderOf({ cpus: 9, memoryMiB: 8_192, diskMiB: 2_000, isa: 'arm64' })
  const decision = decideBid(request({ order }), bidder({ ledger }))
  if (decision.kind !== 'refusal') throw new Error('not refused')
  expect(decision.refusal.smallestChange).toHaveLength(4)
  const hardware = { ...order.hardware, ...Object.fromEntries(decision.refusal.smallestChange.map(({ attribute, to }) => [attribute.replace('hardware.', ''), to])) }
  expect(decideBid(request({ order: { ...order, hardware } }), bidder({ ledger })).kind).toBe('offer')
})

test('disks that actions attach are part of what a machine needs, and a refusal names the one to make smaller', () => {
  const ledger = new Ledger({ ...ROOMY, diskMiB: 1_000 })
  const disk = (sizeMiB: number, more: Record<string, unknown> = {}) => ({ id: `d${sizeMiB}`, run: 'host', use: 'attach-disk', with: { sizeMiB: String(sizeMiB) }, ...more })
  const asked = (actions: unknown[]) => decideBid(request({ order: checkOrder({ apiVersion: 'plantmesh/v1', kind: 'Machine', hardware: { diskMiB: 512 }, software: { os: 'tiny', actions } }) }), bidder({ ledger }))
  expect(asked([disk(200), disk(288)])).toMatchObject({ kind: 'offer', need: { diskMiB: 1_000 } })
  // Of an error sub-graph too: it may run.
  const refused = asked([disk(100, { onError: { actions: [disk(700)] } })])
  const attribute = 'software.actions[0].onError.actions[0].with.sizeMiB'
  expect(refused).toMatchObject({ refusal: { reasons: [{ code: 'DISK_SHORT', clause: attribute, have: 1_000, need: 1_312 }], smallestChange: [{ attribute, from: '700', to: '388' }] } })
  expect(asked([disk(100, { onError: { actions: [disk(388)] } })]).kind).toBe('offer')
  // No one disk makes up for it: then none is named.
  expect(asked([disk(700), disk(701)])).toMatchObject({ refusal: { reasons: [{ code: 'DISK_SHORT', need: 1_913 }], smallestChange: [] } })
})

test('a full set of networks is mended by ordering without one, unless the cost model puts every machine on one', () => {
  const order = orderOf({}, { network: { name: 'lan', addressing: 'mesh' } })
  const none = { ledger: new Ledger({ ...ROOMY, networks: 0 }) }
  expect(decideBid(request({ order }), bidder(none))).toMatchObject({ refusal: { smallestChange: [{ attribute: 'network.name', from: 'lan', to: null }] } })
  expect(decideBid(request({ order: orderOf() }), bidder(none)).kind).toBe('offer')
  expect(decideBid(request({ order }), bidder({ ...none, cost: computeNetworkCost() }))).toMatchObject({ refusal: { smallestChange: [] } })
})

test('the rank is the order\'s view of the plant; what is no number counts as 0', () => {
  const ranked = (rank: string) => decideBid(request({ order: orderOf({}, { rank }) }), bidder())
  expect(ranked('-Load')).toMatchObject({ rank: -0.5 })
  expect(ranked('NoSuchThing * 3')).toMatchObject({ rank: 0 })
  expect(ranked('real("INF")')).toMatchObject({ rank: 0 })
})

const inputs = (more: Partial<CostInputs> = {}): CostInputs => ({
  need: { cpus: 1, memoryMiB: 256, diskMiB: 1, networks: ['lan'] }, capacity: ROOMY, used: { cpus: 0, memoryMiB: 0, diskMiB: 0, machines: 0, networks: 0 },
  freshNetworks: 1, plan: { goldenId: 'g', actionsLeft: 0, fetchBytes: 0, resize: false }, load: 0, learned: FIGURES_AT_FIRST, ...more
})
const total = (model: { price: (inputs: CostInputs) => Array<{ cost: number }> }, more: Partial<CostInputs> = {}): number => model.price(inputs(more)).reduce((sum, item) => sum + item.cost, 0)

test('compute+network costs 50 for a fresh network and 4 for each machine, or what it is told', () => {
  const used = { ...inputs().used, machines: 13 }
  expect([total(computeNetworkCost()), total(computeNetworkCost(), { used, freshNetworks: 0 })]).toEqual([50, 52])
  expect(total(computeNetworkCost({ computePerMachine: 1, networkOnce: 7 }), { used })).toBe(20)
})

test('memory is cheapest where most is free, whatever the sizes of the plants', () => {
  const big = { capacity: { ...ROOMY, memoryMiB: 65_536 }, used: { ...inputs().used, memoryMiB: 32_768 } }
  expect(total(memoryCost(), big)).toBeLessThan(total(memoryCost(), { capacity: { ...ROOMY, memoryMiB: 4_096 } }))
  expect(total(memoryCost({ ceilingMiB: 1 }), big)).toBe(0)
})

test('time-to-done grows with what is missing, to boot, to do and with the load', () => {
  const base = total(timeToDoneCost())
  for (const more of [{ fetchBytes: 1e6 }, { resize: true }, { actionsLeft: 1 }]) expect(total(timeToDoneCost(), { plan: { ...inputs().plan, ...more } })).toBeGreaterThan(base)
  expect(total(timeToDoneCost(), { load: 1 })).toBe(2 * base)
  expect(total(timeToDoneCost(), { load: Number.NaN })).toBe(base)
})

test('cost models are found by name, and an unknown name is an error that lists them', () => {
  expect(COST_MODELS.map((name) => costModel(name).name)).toEqual([...COST_MODELS])
  expect(() => costModel('cheap')).toThrow('CONFIG_INVALID')
})

test('learned figures move towards what is measured and leave out what is no measurement', () => {
  const learned = learner({ ...FIGURES_AT_FIRST, cloneMs: 1_000 })
  for (let i = 0; i < 30; i++) learned.observe('cloneMs', 100)
  learned.observe('cloneMs', Number.NaN)
  learned.observe('cloneMs', -5)
  expect(learned.figures().cloneMs).toBeGreaterThan(100)
  expect(learned.figures().cloneMs).toBeLessThan(105)
})

test('a bid holds nothing, and what it offered is refused at the award when others came first', () => {
  const ledger = new Ledger({ ...ROOMY, machines: 1 })
  const decisions = [1, 2].map(() => decideBid(request(), bidder({ ledger })))
  const awards = decisions.map((decision, n) => decision.kind === 'offer' ? ledger.award({ leaseId: `l${n}` as LeaseId, vmId: `v${n}` as VmId, need: decision.need, nowMs: 0, wallMs: 0 }) : undefined)
  expect(awards.map((award) => award?.kind)).toEqual(['granted', 'refused'])
  expect(awards[1]?.kind === 'refused' && refusalOf(awards[1].reasons).reasons[0]?.code).toBe('MACHINES_FULL')
})
