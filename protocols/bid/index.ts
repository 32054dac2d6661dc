/** Calls for bids, awards and leases: how an order finds its plant. The spec is in README.md. */
import type { Cancel, Clock, LeaseId, Log, PeerId, Random, Transport, VmId } from '../kit/index.ts'
import type { AuctionEnd, Candidate, ChooseOffer, Decision } from './auction.ts'
import type { Award, BidBookInit, Grant, Verdict } from './core.ts'
import type { Held } from './messages.ts'
import { BiddingService } from './service.ts'

export * from './auction.ts'
export * from './broker.ts'
export * from './constants.ts'
export * from './core.ts'
export * from './messages.ts'

/** Every field has its default in constants.ts. */
export interface BiddingInit {
  /** How long bids are taken, unless all have answered before. */
  deadlineMs?: number
  /** Until when the first bid is taken where there was none at the deadline. */
  lastDeadlineMs?: number
  awardTimeoutMs?: number
  settleTimeoutMs?: number
  waitingPerPeerMax?: number
  book?: BidBookInit
  /** How many plants an auction asks at most; CANDIDATES_MAX by default. */
  candidatesMax?: number
  /** Picks the offer to award instead of rank and cost; undefined: none of them. Called again, without those that were tried, when an award fails. */
  choose?: ChooseOffer
}

export interface BiddingComponents { transport: Transport, clock: Clock, random: Random, log: Log }

/** What the plant decides; its own part of the composition (node/plant). A thrown PlantError becomes a refusal with its code. */
export interface PlantSide {
  /** Judges an order that `from` asks about: signature, policy, whether the machine is here already, requirements, capacity, cost. */
  judge (signedOrder: Uint8Array, from: PeerId, signal: AbortSignal): Verdict | Promise<Verdict>
  /**
   * Turns a bid into a lease, if there still is room, and begins to make the machine. The order is the one that was judged; the hand-overs are
   * the plant's to check. Called at most once a bid. When it throws, nothing may have been reserved.
   */
  grant (award: Award & { signedOrder: Uint8Array, handOvers: readonly Uint8Array[] }, signal: AbortSignal): Grant | Promise<Grant>
  /** The machine of that VMID, in whatever state; undefined when this plant never had it, or its lease was undone. */
  standing (vmId: VmId): Held | undefined
  /** Undoes a lease whose machine was not started yet, leaving no record of it; false (and nothing done) when it was. */
  release (vmId: VmId, leaseId: LeaseId): boolean | Promise<boolean>
}

/** What a broker knows of its site; its own part of the composition. */
export interface BrokerSide {
  /**
   * The machine that the order is for, and the plants of the site to ask, at most BROKER_PLANTS_MAX; undefined for a peer that asks them itself.
   * Throws where the order is not sound.
   */
  passTo (signedOrder: Uint8Array, from: PeerId): { vmId: VmId, plants: PeerId[] } | undefined
  /** The hand-overs of an award with the one from this plant to that which makes the machine. Throws where they are not sound. */
  handOn (handOvers: readonly Uint8Array[], to: PeerId): Uint8Array[]
  /** The plants of the site as it is now, for a question of this peer; undefined for one that asks them itself. */
  plants (from: PeerId): PeerId[] | undefined
}

export interface AuctionRequest {
  signedOrder: Uint8Array
  vmId: VmId
  /** The order has a rank: the highest wins, cost breaks ties. */
  ranked: boolean
  /** What shows the peer that is awarded that the order was handed to it (`protocols/member`). */
  handOvers (to: PeerId): Uint8Array[]
  /** Whom to ask; at most CANDIDATES_MAX are. */
  candidates: readonly Candidate[]
  /** Plants that brokers are to leave out; the candidates are the caller's to choose. */
  without?: readonly PeerId[]
  /** Give up (`unsettled`) rather than risk a second machine when an award's fate cannot be learned. */
  strict?: boolean
}

export interface AuctionResult {
  /** Never `aborted`: then `auction` throws the signal's reason. */
  end: AuctionEnd
  decision: Decision
}

export interface Bidding {
  /** Answers calls and awards for this plant until stopped; with a broker's side for the plants of its site too. */
  serve (plant: PlantSide, broker?: BrokerSide): Promise<Cancel>
  /** Finds a plant for an order. Refusals are a result, not an error. */
  auction (request: AuctionRequest, signal?: AbortSignal): Promise<AuctionResult>
  /** Bids that stand or are being granted, calls passed on, and awards of unknown fate that are being cancelled: nothing where nobody orders. */
  underWay (): { bids: number, brokered: number, cancels: number }
  /** Stops serving, and gives up auctions and cancels under way. */
  stop (): Promise<void>
}

/** Bids and awards over the given components; every bound and time has its default in constants.ts. */
export function bidding (init: BiddingInit = {}): (components: BiddingComponents) => Bidding {
  return (components) => new BiddingService(components, init)
}
