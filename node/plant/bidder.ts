/**
 * Whether this plant takes an order, and at what cost. Pure: the order and what the plant is at this moment go in, an offer or a refusal
 * that names everything that failed comes out. Nothing is held: the award is checked anew (ledger.ts).
 */
import { refusalOf, sumOf, type Change, type CostItem, type Need, type Reason, type Refusal } from '../../protocols/bid/index.ts'
import { attachedDisks, diskMiBOf } from '../../protocols/order/index.ts'
import { networksOf, type Order } from '../../protocols/order/order.ts'
import type { NetworkId } from '../../protocols/tunnel/types.ts'
import type { CostModel, Figures, PlanOutline } from './cost/index.ts'
import type { Ledger } from './ledger.ts'

/** What the planner said: how the order would be made here, or why no golden machine will do. */
export type PlanFinding = { found: true, outline: PlanOutline } | { found: false, reasons: Reason[] }

/** What of the plant matters for a bid, as it is now. */
export interface Bidder {
  isa: string
  ledger: Ledger
  cost: CostModel
  /** Runnable work per CPU of the host. */
  load: number
  learned: Figures
}

/** What of the order matters. */
export interface BidRequest {
  order: Order
  /** The domain's network of this name. */
  networkId: (name: string) => NetworkId
  plan: PlanFinding
  /** The clauses of the order's requirements that do not hold for this plant's ad; empty when they hold. */
  requirements: (requirements: string) => Reason[]
  /** The order's rank of this plant's ad, as a number. */
  rank: (rank: string) => number
}

export type BidDecision =
  | { kind: 'offer', need: Need, items: CostItem[], total: number, rank?: number }
  | { kind: 'refusal', refusal: Refusal }

/** What the machine of an order takes. */
export function needOf (order: Order, networkId: BidRequest['networkId'], cost: CostModel): Need {
  const { cpus, memoryMiB } = order.hardware
  return { cpus, memoryMiB, diskMiB: diskMiBOf(order), networks: networkNames(order, cost).map(networkId) }
}

/** The names of an order's networks; an order without one is, where the cost model puts every machine on one, on the domain's network without a name. */
export function networkNames (order: Order, cost: Pick<CostModel, 'everyMachineOnNetwork'>): string[] {
  const named = networksOf(order).map(({ name }) => name)
  return named.length === 0 && cost.everyMachineOnNetwork ? [''] : named
}

/** Decides on an order. All that fails is named, so that a client sees at once what would have to change. */
export function decideBid (request: BidRequest, bidder: Bidder): BidDecision {
  const { order, plan } = request
  const { ledger, cost } = bidder
  const need = needOf(order, request.networkId, cost)
  const reasons = [
    ...isaReasons(order, bidder.isa),
    ...ledger.check(need).map((reason) => diskChange(cost.everyMachineOnNetwork ? reason : networkChange(reason, order), order)),
    ...(order.requirements.trim() === 'true' ? [] : request.requirements(order.requirements)),
    ...(plan.found ? [] : plan.reasons)
  ]
  if (reasons.length > 0 || !plan.found) return { kind: 'refusal', refusal: refusalOf(mostTelling(reasons)) }
  const items = cost.price({
    need,
    capacity: ledger.capacity,
    used: ledger.used(),
    freshNetworks: ledger.fresh(need.networks).length,
    plan: plan.outline,
    load: bidder.load,
    learned: bidder.learned
  })
  const offer = { kind: 'offer' as const, need, items, total: sumOf(items) }
  return order.rank === undefined ? offer : { ...offer, rank: finite(request.rank(order.rank)) }
}

/** An order without an instruction set takes the plant's. */
function isaReasons (order: Order, isa: string): Reason[] {
  const asked = order.hardware.isa
  if (asked === undefined || asked === isa) return []
  const attribute = 'hardware.isa'
  return [{ code: 'ISA_DIFFERS', clause: attribute, have: isa, need: asked, waitHelps: false, smallestChange: { attribute, from: asked, to: isa } }]
}

/** Without its networks the order would fit. (Where the cost model puts every machine on one, no change of the order helps.) */
function networkChange (reason: Reason, order: Order): Reason {
  const names = networksOf(order).map(({ name }) => name)
  if (reason.code !== 'NETWORKS_FULL' || names.length === 0) return reason
  return { ...reason, smallestChange: { attribute: order.networks === undefined ? 'network.name' : 'networks', from: names.join(', '), to: null } }
}

/** Where disks are attached, one of them is what is too large, if it can make up for what is short; else the system's disk, with all of them in mind. */
function diskChange (reason: Reason, order: Order): Reason {
  const attached = attachedDisks(order)
  if (reason.code !== 'DISK_SHORT' || attached.length === 0) return reason
  const { have, need, waitHelps } = reason
  const excessMiB = Number(need) - Number(have)
  const largest = attached.reduce((a, b) => b.sizeMiB > a.sizeMiB ? b : a)
  if (largest.sizeMiB > excessMiB) return { ...reason, clause: largest.attribute, smallestChange: { attribute: largest.attribute, from: String(largest.sizeMiB), to: String(largest.sizeMiB - excessMiB) } }
  const { diskMiB } = order.hardware
  const attribute = 'hardware.diskMiB'
  return { code: reason.code, clause: attribute, have, need, waitHelps, ...(diskMiB > excessMiB && { smallestChange: { attribute, from: diskMiB, to: diskMiB - excessMiB } }) }
}

/** Of several reasons that ask to lower one field, the lowest stands: the smallest change must satisfy all of them. */
function mostTelling (reasons: Reason[]): Reason[] {
  const lowest = new Map<string, number>()
  for (const { smallestChange: change } of reasons) {
    if (change === undefined || !isLower(change)) continue
    lowest.set(change.attribute, Math.min(Number(change.to), lowest.get(change.attribute) ?? Infinity))
  }
  return reasons.map((reason) => {
    const change = reason.smallestChange
    const to = change === undefined ? undefined : lowest.get(change.attribute)
    return change === undefined || to === undefined || !isLower(change) || !change.attribute.startsWith('hardware.') ? reason : { ...reason, smallestChange: { ...change, to } }
  })
}

function isLower ({ from, to }: Change): boolean { return typeof from === 'number' && typeof to === 'number' && to < from }

function finite (value: number): number { return Number.isFinite(value) ? value : 0 }
