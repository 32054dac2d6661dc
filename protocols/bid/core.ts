/**
 * The plant's side: which bids stand, and what became of each. Synchronous; knows ids, needs, costs and times, nothing of orders.
 *
 *   (call) ──offer──> standing ──award──> granting ──granted──> granted ──(forgotten, oldest first)──> gone
 *                        │                   └──refused / held──> gone
 *                        └──expiry, settle, cancel──> gone
 *
 * A bid that is gone is refused with BID_EXPIRED, so `void` is a promise that holds: ids are random and never come again.
 */
import { toHex, type LeaseId, type PeerId, type Random, type VmId } from '../kit/index.ts'
import type { NetworkId } from '../tunnel/types.ts'
import { BID_TTL_MS, BIDS_MAX, BIDS_PER_PEER_MAX, GRANTS_KEPT_MAX } from './constants.ts'
import { refusalOf, sumOf, type AwardAnswer, type Bid, type CallAnswer, type CostItem, type Held, type Refusal } from './messages.ts'

/** What a machine takes of its plant. */
export interface Need {
  cpus: number
  memoryMiB: number
  diskMiB: number
  /** The networks that it is on, each once. A plant can have so many; none is shared by two domains. */
  networks: readonly NetworkId[]
}

/** What the plant says to an order. */
export type Verdict =
  | { kind: 'offer', vmId: VmId, need: Need, items: CostItem[], rank?: number }
  | { kind: 'refusal', refusal: Refusal }
  | { kind: 'held', held: Held }

/** What the plant says to an award. */
export type Grant =
  | { kind: 'granted', leaseId: LeaseId, leasedAtMs: number, expiresInMs: number }
  | { kind: 'refused', refusal: Refusal }
  | { kind: 'held', held: Held }

/** An award that is to be granted now. */
export interface Award { bidId: string, vmId: VmId, need: Need, from: PeerId }

/** A grant that is remembered. */
export interface Granted { bidId: string, vmId: VmId, from: PeerId, leaseId: LeaseId, leasedAtMs: number, expiresAtMs: number }

export interface BidBookInit { bidTtlMs?: number, bidsMax?: number, bidsPerPeerMax?: number, grantsKeptMax?: number }

interface Standing extends Award { orderDigest: string, expiresAtMs: number, granting: boolean }

/** All times are monotonic. Expired bids are dropped as events come: what stands is bounded, so nothing needs a timer. */
export class BidBook {
  readonly #self: PeerId
  readonly #random: Random
  readonly #init: Required<BidBookInit>
  /** In the order in which they expire: all live equally long. */
  readonly #bids = new Map<string, Standing>()
  readonly #perPeer = new Map<PeerId, number>()
  readonly #grants = new Map<string, Granted>()

  constructor (self: PeerId, random: Random, init: BidBookInit = {}) {
    this.#self = self
    this.#random = random
    this.#init = { bidTtlMs: BID_TTL_MS, bidsMax: BIDS_MAX, bidsPerPeerMax: BIDS_PER_PEER_MAX, grantsKeptMax: GRANTS_KEPT_MAX, ...init }
  }

  /** Bids that stand or are being granted. */
  standing (nowMs: number): number {
    this.#dropExpired(nowMs)
    return this.#bids.size
  }

  /** A peer calls: the refusal when its share of standing bids, or everybody's, is used up. Asked before the order is looked at. */
  onCall (from: PeerId, nowMs: number): CallAnswer | undefined {
    this.#dropExpired(nowMs)
    const { bidsMax, bidsPerPeerMax } = this.#init
    if ((this.#perPeer.get(from) ?? 0) >= bidsPerPeerMax) return limitAnswer(this.#self, 'bids of one peer', bidsPerPeerMax)
    return this.#bids.size >= bidsMax ? limitAnswer(this.#self, 'bids', bidsMax) : undefined
  }

  /** The order was judged: the answer; an offer becomes a standing bid. */
  onVerdict (from: PeerId, orderDigest: string, verdict: Verdict, nowMs: number): CallAnswer {
    if (verdict.kind === 'refusal') return { t: 1, plant: this.#self, refusal: verdict.refusal }
    if (verdict.kind === 'held') return { t: 2, held: verdict.held }
    // Judging takes time: others may have filled the book meanwhile.
    const full = this.onCall(from, nowMs)
    if (full !== undefined) return full
    const { vmId, need, items, rank } = verdict
    const bidId = toHex(this.#random.bytes(16))
    this.#bids.set(bidId, { bidId, vmId, need, from, orderDigest, expiresAtMs: nowMs + this.#init.bidTtlMs, granting: false })
    this.#perPeer.set(from, (this.#perPeer.get(from) ?? 0) + 1)
    const bid: Bid = { bidId, vmId, plant: this.#self, items, total: sumOf(items), expiresInMs: this.#init.bidTtlMs }
    return { t: 0, bid: rank === undefined || !Number.isFinite(rank) ? bid : { ...bid, rank } }
  }

  /** An award came: what to grant, or the answer. A repeated award of what was granted gets the same lease. */
  onAward (from: PeerId, bidId: string, vmId: VmId, orderDigest: string, nowMs: number): { grant: Award } | { answer: AwardAnswer } {
    const granted = this.#granted(from, bidId, vmId)
    if (granted !== undefined) return { answer: this.#grantedAnswer(granted, nowMs) }
    this.#dropExpired(nowMs)
    const bid = this.#bids.get(bidId)
    // A bid belongs to the peer it was made to and to the order it was made for; to others it does not exist.
    if (bid === undefined || bid.granting || bid.from !== from || bid.vmId !== vmId || bid.orderDigest !== orderDigest) return { answer: this.#refused('BID_EXPIRED') }
    bid.granting = true
    return { grant: { bidId, vmId, need: bid.need, from } }
  }

  /** How the grant that `onAward` asked for went; the bid is gone either way. */
  onGrant (award: Award, grant: Grant, nowMs: number): AwardAnswer {
    this.#drop(award.bidId)
    if (grant.kind === 'held') return { t: 2, held: grant.held }
    if (grant.kind === 'refused') return { t: 1, plant: this.#self, refusal: grant.refusal }
    const { bidId, vmId, from } = award
    const { leaseId, leasedAtMs, expiresInMs } = grant
    this.#grants.set(bidId, { bidId, vmId, from, leaseId, leasedAtMs, expiresAtMs: nowMs + expiresInMs })
    for (const oldest of this.#grants.keys()) {
      if (this.#grants.size <= this.#init.grantsKeptMax) break
      this.#grants.delete(oldest)
    }
    return { t: 0, plant: this.#self, leaseId, leasedAtMs, expiresInMs }
  }

  /** The grant failed with an error: the bid is gone, nothing was granted. */
  onGrantFailed (award: Award): void { this.#drop(award.bidId) }

  /**
   * What became of an award? Its grant when there is one; otherwise the bid is dropped, so that a late award finds nothing. The service
   * asks only once a grant under way has ended.
   */
  onSettle (from: PeerId, bidId: string, vmId: VmId, nowMs: number): AwardAnswer | undefined {
    const granted = this.#granted(from, bidId, vmId)
    if (granted !== undefined) return this.#grantedAnswer(granted, nowMs)
    if (this.#bids.get(bidId)?.from === from) this.#drop(bidId)
    return undefined
  }

  /** The award is not wanted any more: the grant to undo, if there is one. The bid is gone. */
  onCancel (from: PeerId, bidId: string, vmId: VmId): Granted | undefined {
    if (this.#bids.get(bidId)?.from === from) this.#drop(bidId)
    return this.#granted(from, bidId, vmId)
  }

  /** The grant was undone. */
  onReleased (bidId: string): void { this.#grants.delete(bidId) }

  #granted (from: PeerId, bidId: string, vmId: VmId): Granted | undefined {
    const granted = this.#grants.get(bidId)
    return granted?.from === from && granted.vmId === vmId ? granted : undefined
  }

  #grantedAnswer (granted: Granted, nowMs: number): AwardAnswer {
    const { leaseId, leasedAtMs, expiresAtMs } = granted
    return { t: 0, plant: this.#self, leaseId, leasedAtMs, expiresInMs: Math.max(0, Math.round(expiresAtMs - nowMs)) }
  }

  #refused (code: 'BID_EXPIRED'): AwardAnswer {
    return { t: 1, plant: this.#self, refusal: refusalOf([{ code, clause: 'award' }]) }
  }

  #dropExpired (nowMs: number): void {
    for (const bid of this.#bids.values()) {
      if (bid.expiresAtMs > nowMs) break
      // One that is being granted is dropped when that ends.
      if (!bid.granting) this.#drop(bid.bidId)
    }
  }

  #drop (bidId: string): void {
    const bid = this.#bids.get(bidId)
    if (bid === undefined) return
    this.#bids.delete(bidId)
    const left = (this.#perPeer.get(bid.from) ?? 1) - 1
    if (left > 0) this.#perPeer.set(bid.from, left)
    else this.#perPeer.delete(bid.from)
  }
}

/** A bound of the plant is reached. Waiting helps. */
export function limitAnswer (plant: PeerId, bound: string, max: number): CallAnswer & { t: 1 } {
  return { t: 1, plant, refusal: refusalOf([{ code: 'LIMIT', clause: bound, have: max, waitHelps: true }]) }
}
