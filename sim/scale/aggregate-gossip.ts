/**
 * Gossip in aggregate: what message-gossip.ts comes to when there are too many plants to follow each message.
 *   spread  a rumour's first START_UP hearers are followed one by one (how long that takes is chance); from there the share of plants that have heard
 *           is logistic, with the rate r that a period T and a latency L give: r T e^(r L) = 1
 *   view    an entry is any other plant, each equally likely; what it says is as old as an exponential with a mean of as many periods as a view has entries, and no
 *           older than the run: each hearing overwrites one entry, and a plant hears once a period on average
 * How far that is from message level is measured by gossip-check.ts.
 */
import { ADVERT_EVERY_MS, ADVERT_JITTER_SHARE } from '../../protocols/capacity/constants.ts'
import { exactExp, exactLn, HeapQueue, NONE, RandomStream, ticksOfMs, type StreamTable } from '../kernel/index.ts'
import { GOSSIP_LATENCY_MS, VIEW_ENTRIES, type GossipInit } from './message-gossip.ts'

/** Followed one by one: from here on chance moves the curve by a 32nd of a period or so. */
const START_UP = 1_024
/** ... but no more than this share of all, as the logistic must begin where it still is exponential. */
const START_UP_SHARE = 1 / 8

/** Ages are drawn from so many quantiles: a step of the distribution of 1/4,096. */
const QUANTILE_BITS = 12

/** How a rumour spreads, and how old views are. */
export class AggregateGossip {
  readonly periodMs: number
  /** Mean age of an entry, once the run is much older. */
  readonly meanAgeMs: number
  /** When the first `startUp` plants had heard the rumour, which one has at 0. */
  readonly startUpMs: number
  readonly startUp: number
  readonly #plants: number
  readonly #ratePerMs: number
  readonly #agesMs: Int32Array

  constructor (init: GossipInit) {
    const { plants } = init
    this.#plants = plants
    this.periodMs = init.periodMs ?? ADVERT_EVERY_MS
    this.meanAgeMs = this.periodMs * (init.viewEntries ?? VIEW_ENTRIES)
    const latencyMs = init.latencyMs ?? GOSSIP_LATENCY_MS
    this.startUp = startUpOf(plants)
    this.startUpMs = startUpMs(init, this.startUp)
    this.#ratePerMs = spreadRate(this.periodMs, latencyMs)
    const quantiles = 2 ** QUANTILE_BITS
    this.#agesMs = Int32Array.from({ length: quantiles }, (_, q) => Math.min(2 ** 31 - 1, Math.floor(-this.meanAgeMs * exactLn((q + 0.5) / quantiles) + 0.5)))
  }

  get bytes (): number { return this.#agesMs.byteLength }

  /** Share of the plants that have heard the rumour at this time. */
  informedShare (atMs: number): number { return this.shareSinceStartUp(atMs - this.startUpMs) }

  /** The same by the time since the start-up ended: the part that is not chance. */
  shareSinceStartUp (ms: number): number {
    const first = this.startUp / this.#plants
    return first / (first + (1 - first) * exactExp(-this.#ratePerMs * ms))
  }

  /** How long ago the plant of an entry was heard, in ms, in a view that was begun at 0. */
  ageMs (streams: StreamTable, shop: number, nowMs: number): number {
    const ageMs = this.#agesMs[streams.next(shop) >>> (32 - QUANTILE_BITS)] as number
    return ageMs < nowMs ? ageMs : nowMs
  }

  /** Share of entries that are at most so old at this time: what `ageMs` draws from. */
  ageShare (ageMs: number, nowMs: number): number {
    return ageMs >= nowMs ? 1 : 1 - exactExp(-ageMs / this.meanAgeMs)
  }
}

/** How many hearers are followed one by one. */
export function startUpOf (plants: number): number { return Math.max(1, Math.min(START_UP, Math.floor(plants * START_UP_SHARE))) }

/** Solves r T e^(r L) = 1 by Newton's method. */
function spreadRate (periodMs: number, latencyMs: number): number {
  let rate = 1 / periodMs
  for (let i = 0; i < 20; i++) {
    const grown = exactExp(rate * latencyMs)
    rate -= (rate * periodMs * grown - 1) / (periodMs * grown * (1 + rate * latencyMs))
  }
  return rate
}

const SEND = 0
const HEAR = 1

/** Follows the first hearers: each tells a drawn plant once a period, which may have heard already. */
function startUpMs (init: GossipInit, startUp: number): number {
  const periodTicks = ticksOfMs(init.periodMs ?? ADVERT_EVERY_MS)
  const jitterTicks = Math.floor(periodTicks * (init.jitterShare ?? ADVERT_JITTER_SHARE))
  const latencyTicks = ticksOfMs(init.latencyMs ?? GOSSIP_LATENCY_MS)
  const random = new RandomStream(init.seed, 'gossip', 'start-up')
  const queue = new HeapQueue()
  let informed = 1
  queue.push(random.int(periodTicks), SEND, 0, 0)
  while (informed < startUp) {
    const kind = queue.pop()
    if (kind === NONE) break
    const now = queue.nowTicks
    if (kind === SEND) {
      queue.push(now + latencyTicks, HEAR, 0, 0)
      queue.push(now + periodTicks - jitterTicks + random.int(2 * jitterTicks + 1), SEND, 0, 0)
    } else if (random.int(init.plants - 1) >= informed - 1) {
      informed++
      // Where in its own period the hearer is, is as good as uniform.
      queue.push(now + random.int(periodTicks), SEND, 0, 0)
    }
  }
  return queue.nowTicks / 1_000
}
