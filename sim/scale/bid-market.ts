/** What bid rounds at scale are about: the market's plants, needs and rules, and the face of whoever decides in it. */
import { BID_TTL_MS, BIDS_MAX, BIDS_PER_PEER_MAX, CANDIDATES_MAX } from '../../protocols/bid/constants.ts'
import { ARRAYS_SOURCES_MAX } from '../scenario/index.ts'
import type { Capacity } from '../../node/plant/capacity.ts'
import type { Seed } from '../kernel/index.ts'

/** How long a machine runs. */
export type Life = { kind: 'exponential', meanMs: number } | { kind: 'fixed', ms: number } | { kind: 'forever' }

/** A kind of machine that is ordered. */
export interface NeedClass {
  cpus: number
  memoryMiB: number
  diskMiB: number
  network: boolean
  /** How often it is ordered, against the others; 1 unless told otherwise. */
  weight?: number
  /** The market's `lifeMs`, exponential, unless told otherwise. */
  life?: Life
  /** Whose it is; drawn for each order unless told. */
  domain?: number
}

/** The cost models whose costs are whole numbers here, and so equal in both forms to the last bit; `time-to-done` is the same at every idle plant. */
export type MarketCost = 'compute+network' | 'memory' | 'time-to-done'

/** Bounds of a plant's book of bids; the daemon's unless told otherwise. */
export interface BookBounds { bidTtlMs: number, bidsMax: number, bidsPerPeerMax: number }

/** A market: plants that are shops too. */
export interface MarketInit {
  seed: Seed
  plants: number
  /** Kinds of plants: dealt out in turn, or `counts[i]` of the i-th one after the other. */
  capacities?: readonly Capacity[]
  counts?: readonly number[]
  /** Kinds of machines, 256 at most. */
  needs?: readonly NeedClass[]
  /** How many domains order; each order is of a drawn one. */
  domains?: number
  cost?: MarketCost
  /** How many plants a shop asks, CANDIDATES_MAX at most. */
  asked?: number
  /** Entries of a shop's view, of which it picks whom to ask. */
  viewEntries?: number
  book?: Partial<BookBounds>
  /** Mean time between orders of one shop, exponential. */
  orderEveryMs?: number
  /** Mean time that a machine runs, exponential. */
  lifeMs?: number
  /** One way. A round trip must be below the shop's deadline for bids. */
  latencyMs?: number
  /** Of gossip: the mean age of a view's entry is as many periods as the view has entries (aggregate-gossip.ts). */
  periodMs?: number
  /** Views as the aggregate model draws them, or as gossip of messages makes them. */
  gossip?: 'aggregate' | 'message'
  /** Every message an event, or one event for all calls of an order and one for all answers: the same decisions (a test says so). */
  fanOut?: 'one event' | 'message'
}

/** A market with everything said. */
export interface Market extends Required<Omit<MarketInit, 'book' | 'counts'>> { book: BookBounds, counts: readonly number[] | undefined }

/** Kinds of machines: a lease's number names one of so many. */
export const NEED_CLASSES_MAX = ARRAYS_SOURCES_MAX

/** Networks of a plant: eight bytes each, of every plant. */
export const NETWORKS_MAX = 64

const PAPER_PLANT: Capacity = { cpus: 32, memoryMiB: 1_536, diskMiB: 65_536, machines: 32, networks: 4 }
const PAPER_NEEDS: readonly NeedClass[] = [32, 64, 256].map((memoryMiB) => ({ cpus: 1, memoryMiB, diskMiB: 2_048, network: false }))

/** Fills in what is not said: plants and machines of the paper (VMPlants 4.1), the daemon's bounds. */
export function marketOf (init: MarketInit): Market {
  return {
    capacities: [PAPER_PLANT],
    needs: PAPER_NEEDS,
    domains: 64,
    cost: 'memory',
    asked: CANDIDATES_MAX,
    viewEntries: 16,
    orderEveryMs: 600_000,
    lifeMs: 1_800_000,
    latencyMs: 50,
    periodMs: 10_000,
    gossip: 'aggregate',
    counts: undefined,
    fanOut: 'one event',
    ...init,
    book: { bidTtlMs: BID_TTL_MS, bidsMax: BIDS_MAX, bidsPerPeerMax: BIDS_PER_PEER_MAX, ...init.book }
  }
}

/** The kind of each plant, by its number. */
export function kindsOf ({ plants, capacities, counts }: Pick<Market, 'plants' | 'capacities' | 'counts'>): Int32Array {
  if (counts === undefined) return Int32Array.from({ length: plants }, (_, plant) => plant % capacities.length)
  const kinds = new Int32Array(plants)
  let next = 0
  for (const [kind, count] of counts.entries()) {
    kinds.fill(kind, next, next + count)
    next += count
  }
  return kinds
}

/** Reasons of a refusal as bits; each is a code of the daemon's refusals. */
export const REASON_BITS = { CPUS_SHORT: 1, RAM_SHORT: 2, DISK_SHORT: 4, MACHINES_FULL: 8, NETWORKS_FULL: 16, LIMIT: 32, BID_EXPIRED: 64 } as const

/** What a shop does after an answer, besides awarding the place that is named by a number from 0. */
export const WAIT = -1
export const REFUSED = -2
export const GRANTED = -3

/** A shop's view when it takes an order: the first `count` entries. */
export interface View { count: number, readonly plants: Int32Array, readonly agesMs: Int32Array }

/** An order as it is drawn. */
export interface OrderDrawn { shop: number, needClass: number, domain: number }

/**
 * Decides for all plants and shops of a market. The daemon's cores do so in one form (core-desk.ts), typed arrays in the other
 * (typed-desk.ts). Rounds under way are numbered places that are used again; the plants a round asks are its places 0 to `asked` - 1.
 */
export interface BidDesk {
  /** Bytes of arrays; 0 where the desk is made of objects. */
  readonly bytes: number
  /** A shop takes an order: how many plants it asks. */
  open (round: number, order: OrderDrawn, view: View, nowTicks: number): number
  plantAt (round: number, place: number): number
  /** A plant hears the call and judges: the cost, or minus the bits of why not. */
  call (round: number, place: number, nowTicks: number): number
  /** The shop hears a plant's answer: the place to award, WAIT, or REFUSED. */
  answer (round: number, place: number, nowTicks: number): number
  /** The plant hears the award: the lease (from 0), or minus the bits of why not. Its machine starts at once. */
  award (round: number, place: number, nowTicks: number): number
  /** The shop hears what came of the award: GRANTED, REFUSED, or the next place to award. */
  awardAnswer (round: number, place: number, lease: number, nowTicks: number): number
  /** The round is over: its number will be used again. */
  close (round: number): void
  /** The machine of a lease is gone. */
  release (plant: number, lease: number, nowTicks: number): void
}
