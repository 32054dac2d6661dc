/** For tests: a plant that bids with the real ledger, bidder and service. Its orders are plain JSON instead of signed ones. */
import { bidding, type Award, type Bidding, type BiddingInit, type BrokerSide, type Grant, type Held, type PlantSide, type Verdict } from '../../protocols/bid/index.ts'
import { toHex, type Clock, type LeaseId, type PeerId, type Random, type Transport, type VmId } from '../../protocols/kit/index.ts'
import type { NetworkId } from '../../protocols/tunnel/types.ts'
import { FIGURES_AT_FIRST, timeToDoneCost, type CostModel } from '../../node/plant/cost/index.ts'
import { decideBid } from '../../node/plant/bidder.ts'
import type { Capacity } from '../../node/plant/capacity.ts'
import { Ledger } from '../../node/plant/ledger.ts'
import type { Order } from '../../protocols/order/order.ts'
import { fakeLog } from '../support/fake-log.ts'

export interface TestOrder { vmId: VmId, domainId: string, order: Order }

export function orderOf (hardware: Partial<Order['hardware']> = {}, more: Partial<Order> = {}): Order {
  return {
    apiVersion: 'plantmesh/v1',
    kind: 'Machine',
    metadata: { labels: {} },
    domain: 'ufl.example',
    hardware: { cpus: 1, memoryMiB: 256, diskMiB: 512, ...hardware },
    software: { os: 'tiny', channel: 'agent', actions: [] },
    requirements: 'true',
    ...more
  }
}

export function bytesOfOrder (order: TestOrder): Uint8Array { return new TextEncoder().encode(JSON.stringify(order)) }

/** The value, which the test knows to be there. */
export function there<T> (value: T | undefined): T {
  if (value === undefined) throw new Error('expected a value')
  return value
}

export function vmIdOf (n: number): VmId { return n.toString(16).padStart(32, '0') as VmId }

export const ROOMY: Capacity = { cpus: 64, memoryMiB: 65_536, diskMiB: 262_144, machines: 32, networks: 4 }

export interface TestPlant { id: PeerId, ledger: Ledger, side: PlantSide, bidding: Bidding, judged: () => number, grants: VmId[] }

export interface TestPlantInit {
  transport: Transport
  clock: Clock
  random: Random
  capacity?: Capacity
  cost?: CostModel
  load?: number
  rank?: number
  bidding?: BiddingInit
  /** It answers for the plants of a site, too. */
  broker?: BrokerSide
  /** Leases become active at once, as if the machine had started. */
  startAtOnce?: boolean
}

export async function biddingPlant (init: TestPlantInit): Promise<TestPlant> {
  const { transport, clock, random } = init
  const ledger = new Ledger(init.capacity ?? ROOMY)
  const grants: VmId[] = []
  let judged = 0
  const held = (vmId: VmId): Held | undefined => {
    const lease = ledger.leaseOf(vmId)
    return lease === undefined ? undefined : { vmId, plant: transport.self, state: lease.state === 'active' ? 'running' : 'creating', leasedAtMs: lease.awardedAtMs }
  }
  const side: PlantSide = {
    judge (signedOrder): Verdict {
      judged++
      const { vmId, domainId, order } = JSON.parse(new TextDecoder().decode(signedOrder)) as TestOrder
      const known = held(vmId)
      if (known !== undefined) return { kind: 'held', held: known }
      const plan = { found: true as const, outline: { goldenId: 'g', actionsLeft: order.software.actions.length, fetchBytes: 0, resize: false } }
      const decision = decideBid({ order, networkId: (name) => `${domainId}/${name}` as NetworkId, plan, requirements: () => [], rank: () => init.rank ?? 0 },
        { isa: 'x86_64', ledger, cost: init.cost ?? timeToDoneCost(), load: init.load ?? 0, learned: FIGURES_AT_FIRST })
      return decision.kind === 'refusal' ? decision : { ...decision, vmId }
    },
    grant ({ vmId, need }: Award): Grant {
      const leaseId = toHex(random.bytes(16)) as LeaseId
      const result = ledger.award({ leaseId, vmId, need, nowMs: clock.monotonicMs(), wallMs: clock.nowMs() })
      if (result.kind === 'refused') return { kind: 'refused', refusal: { reasons: result.reasons, smallestChange: [] } }
      if (result.kind === 'held') return { kind: 'held', held: there(held(vmId)) }
      grants.push(vmId)
      if (init.startAtOnce === true) ledger.start(leaseId, clock.monotonicMs())
      return { kind: 'granted', leaseId, leasedAtMs: clock.nowMs(), expiresInMs: ledger.leaseTtlMs }
    },
    standing: held,
    release: (_vmId, leaseId) => ledger.lease(leaseId) === undefined || (ledger.lease(leaseId)?.state === 'awarded' && ledger.release(leaseId) !== undefined)
  }
  const service = bidding(init.bidding)({ transport, clock, random, log: fakeLog() })
  await service.serve(side, init.broker)
  return { id: transport.self, ledger, side, bidding: service, judged: () => judged, grants }
}
