/**
 * Bid rounds: query - bid - award - timer - release. Shops order at exponential intervals; an order goes to the plants that the desk chooses from
 * the shop's view, which the aggregate gossip draws or gossip of messages has made; all messages take one constant latency and none is lost; a granted machine runs for
 * a time. Everything that is drawn comes from the shop's stream, so both desks see the same.
 */
import { PlantError } from '../../protocols/kit/index.ts'
import { DEADLINE_MS } from '../../protocols/bid/constants.ts'
import { CalendarQueue, NONE, StreamTable, ticksOfMs, type EventQueue } from '../kernel/index.ts'
import { AggregateGossip } from './aggregate-gossip.ts'
import { MessageGossip } from './message-gossip.ts'
import { GRANTED, REFUSED, WAIT, type BidDesk, type Life, type Market, type NeedClass, type OrderDrawn, type View } from './bid-market.ts'

const ORDER = 0
const CALLS = 1
const CALL = 2
const ANSWERS = 3
const ANSWER = 4
const AWARD = 5
const AWARD_ANSWER = 6
const RELEASE = 7

/** Words of a round under way: places asked, the lease, and the next free round. */
const ROUND_WORDS = 3
const LEASE = 1
const NEXT_FREE = 2

/** What a run came to. `messages` counts each call, answer, award and its answer, whatever the number of events. */
export interface RoundCounts { orders: number, granted: number, refused: number, released: number, messages: number, events: number, bids: number, refusals: number, awardsRefused: number }

/** Told of every decision: `what` is one of TAPE. For differential tests and traces. */
export type Tape = (what: number, nowTicks: number, round: number, plant: number, value: number) => void
export const TAPE = { ASKED: 0, SAID: 1, AWARDED: 2, ENDED: 3, RELEASED: 4 } as const

/** One market's run; `runUntil` goes on from where it stopped. */
export class BidRounds {
  readonly #market: Market
  readonly #desk: BidDesk
  readonly #queue: EventQueue
  readonly #draws: StreamTable
  readonly #gossip: AggregateGossip
  readonly #messageGossip: MessageGossip | undefined
  readonly #tape: Tape | undefined
  readonly #latencyTicks: number
  readonly #orderEveryTicks: number
  readonly #lives: readonly Life[]
  /** Where the share of each kind of machine ends in [0, 2^32]. */
  readonly #classEnds: Float64Array
  readonly #view: View
  readonly #order: OrderDrawn = { shop: 0, needClass: 0, domain: 0 }
  #rounds = new Int32Array(64 * ROUND_WORDS)
  /** How long the machine of a round will run. */
  #lifesTicks = new Float64Array(64)
  #roundsUsed = 0
  #freeRound = -1
  readonly #counts: RoundCounts = { orders: 0, granted: 0, refused: 0, released: 0, messages: 0, events: 0, bids: 0, refusals: 0, awardsRefused: 0 }

  /** `deskOf` makes the desk from the market and the shops' streams for ties. */
  constructor (market: Market, deskOf: (market: Market, ties: StreamTable) => BidDesk, tape?: Tape, queue: EventQueue = new CalendarQueue()) {
    if (2 * market.latencyMs >= DEADLINE_MS) throw new PlantError('CONFIG_INVALID', { field: 'latencyMs', found: market.latencyMs, allowed: `below ${DEADLINE_MS / 2}: answers must come before the shop's deadline` })
    this.#market = market
    this.#desk = deskOf(market, new StreamTable(market.seed, 'ties', market.plants))
    this.#queue = queue
    this.#draws = new StreamTable(market.seed, 'orders', market.plants)
    this.#gossip = new AggregateGossip(market)
    this.#messageGossip = market.gossip === 'message' ? new MessageGossip(market) : undefined
    this.#classEnds = classEnds(market.needs)
    this.#tape = tape
    this.#latencyTicks = ticksOfMs(market.latencyMs)
    this.#orderEveryTicks = ticksOfMs(market.orderEveryMs)
    this.#lives = market.needs.map(({ life }) => life ?? { kind: 'exponential', meanMs: market.lifeMs })
    this.#view = { count: 0, plants: new Int32Array(market.viewEntries), agesMs: new Int32Array(market.viewEntries) }
    for (let shop = 0; shop < market.plants; shop++) queue.push(this.#draws.exponential(shop, this.#orderEveryTicks), ORDER, shop, 0)
  }

  get counts (): RoundCounts { return { ...this.#counts, events: this.#counts.events + (this.#messageGossip?.events ?? 0) } }
  /** Messages of gossip; in aggregate none are sent. */
  get gossipMessages (): number { return this.#messageGossip?.messages ?? 0 }
  get nowMs (): number { return this.#queue.nowTicks / 1_000 }
  /** Bytes of all arrays, the desk's included. */
  get bytes (): number { return this.#queue.bytes + this.#draws.bytes * 2 + this.#gossip.bytes + (this.#messageGossip?.bytes ?? 0) + this.#rounds.byteLength + this.#lifesTicks.byteLength + this.#desk.bytes }

  /** Runs every event up to this time. */
  runUntil (untilMs: number): void {
    const untilTicks = ticksOfMs(untilMs)
    const queue = this.#queue
    for (;;) {
      const kind = queue.pop(untilTicks)
      if (kind === NONE) return
      this.#counts.events++
      const { a, b, nowTicks } = queue
      switch (kind) {
        case ORDER: this.#onOrder(a, nowTicks); break
        case CALLS: this.#onCalls(a, nowTicks); break
        case CALL:
          this.#onCall(a, b, nowTicks)
          queue.push(nowTicks + this.#latencyTicks, ANSWER, a, b)
          break
        case ANSWERS: this.#onAnswers(a, nowTicks); break
        case ANSWER: this.#onAnswer(a, b, nowTicks); break
        case AWARD: this.#onAward(a, b, nowTicks); break
        case AWARD_ANSWER: this.#onAwardAnswer(a, b, nowTicks); break
        case RELEASE:
          this.#counts.released++
          this.#desk.release(a, b, nowTicks)
          this.#tape?.(TAPE.RELEASED, nowTicks, -1, a, 0)
          break
      }
    }
  }

  #onOrder (shop: number, nowTicks: number): void {
    const draws = this.#draws
    const queue = this.#queue
    queue.push(nowTicks + draws.exponential(shop, this.#orderEveryTicks), ORDER, shop, 0)
    this.#counts.orders++
    const order = this.#order
    order.shop = shop
    const drawn = draws.next(shop)
    order.needClass = 0
    while (drawn >= (this.#classEnds[order.needClass] as number)) order.needClass++
    order.domain = (this.#market.needs[order.needClass] as NeedClass).domain ?? draws.int(shop, this.#market.domains)
    this.#look(shop, nowTicks)
    const round = this.#takeRound()
    const asked = this.#desk.open(round, order, this.#view, nowTicks)
    this.#rounds[round * ROUND_WORDS] = asked
    // Drawn with the order, so that an order is the same whatever is decided about others.
    this.#lifesTicks[round] = this.#lifeOf(order)
    if (this.#tape !== undefined) for (let place = 0; place < asked; place++) this.#tape(TAPE.ASKED, nowTicks, round, this.#desk.plantAt(round, place), place)
    if (asked === 0) {
      this.#end(round, REFUSED, nowTicks)
      return
    }
    this.#counts.messages += 2 * asked
    const atTicks = nowTicks + this.#latencyTicks
    if (this.#market.fanOut === 'one event') queue.push(atTicks, CALLS, round, 0)
    else for (let place = 0; place < asked; place++) queue.push(atTicks, CALL, round, place)
  }

  #onCalls (round: number, nowTicks: number): void {
    const asked = this.#rounds[round * ROUND_WORDS] as number
    for (let place = 0; place < asked; place++) this.#onCall(round, place, nowTicks)
    this.#queue.push(nowTicks + this.#latencyTicks, ANSWERS, round, 0)
  }

  #onCall (round: number, place: number, nowTicks: number): void {
    const said = this.#desk.call(round, place, nowTicks)
    if (said >= 0) this.#counts.bids++
    else this.#counts.refusals++
    this.#tape?.(TAPE.SAID, nowTicks, round, place, said)
  }

  #onAnswers (round: number, nowTicks: number): void {
    const asked = this.#rounds[round * ROUND_WORDS] as number
    for (let place = 0; place < asked; place++) this.#onAnswer(round, place, nowTicks)
  }

  #onAnswer (round: number, place: number, nowTicks: number): void {
    const next = this.#desk.answer(round, place, nowTicks)
    if (next !== WAIT) this.#next(round, next, nowTicks)
  }

  #onAward (round: number, place: number, nowTicks: number): void {
    const lease = this.#desk.award(round, place, nowTicks)
    const plant = this.#desk.plantAt(round, place)
    this.#rounds[round * ROUND_WORDS + LEASE] = lease
    this.#tape?.(TAPE.AWARDED, nowTicks, round, plant, Math.min(lease, 0))
    const queue = this.#queue
    queue.push(nowTicks + this.#latencyTicks, AWARD_ANSWER, round, place)
    if (lease < 0) this.#counts.awardsRefused++
    else if ((this.#lifesTicks[round] as number) < Infinity) queue.push(nowTicks + (this.#lifesTicks[round] as number), RELEASE, plant, lease)
  }

  #onAwardAnswer (round: number, place: number, nowTicks: number): void {
    this.#next(round, this.#desk.awardAnswer(round, place, this.#rounds[round * ROUND_WORDS + LEASE] as number, nowTicks), nowTicks)
  }

  #next (round: number, next: number, nowTicks: number): void {
    if (next < 0) {
      this.#end(round, next, nowTicks)
      return
    }
    this.#counts.messages += 2
    this.#queue.push(nowTicks + this.#latencyTicks, AWARD, round, next)
  }

  #end (round: number, how: number, nowTicks: number): void {
    if (how === GRANTED) this.#counts.granted++
    else this.#counts.refused++
    this.#tape?.(TAPE.ENDED, nowTicks, round, -1, how)
    this.#desk.close(round)
    this.#rounds[round * ROUND_WORDS + NEXT_FREE] = this.#freeRound
    this.#freeRound = round
  }

  /** How long the order's machine will run, in ticks; Infinity for ever. */
  #lifeOf ({ shop, needClass }: OrderDrawn): number {
    const life = this.#lives[needClass] as Life
    switch (life.kind) {
      case 'exponential': return 1 + this.#draws.exponential(shop, ticksOfMs(life.meanMs))
      case 'fixed': return Math.max(1, ticksOfMs(life.ms))
      case 'forever': return Infinity
    }
  }

  /** The shop's view at this moment, as gossip of messages has made it; of two entries that name one plant the first counts. */
  #lookAtMessages (gossip: MessageGossip, shop: number, nowTicks: number): void {
    gossip.runUntil(nowTicks / 1_000)
    const view = this.#view
    view.count = 0
    for (let entry = 0; entry < this.#market.viewEntries; entry++) {
      const plant = gossip.peerAt(shop, entry)
      if (this.#seen(plant, view.count)) continue
      view.plants[view.count] = plant
      view.agesMs[view.count] = Math.floor(nowTicks / 1_000) - gossip.heardMsAt(shop, entry)
      view.count++
    }
  }

  /** The shop's view at this moment: other plants, no two the same. */
  #look (shop: number, nowTicks: number): void {
    if (this.#messageGossip !== undefined) {
      this.#lookAtMessages(this.#messageGossip, shop, nowTicks)
      return
    }
    const { plants, viewEntries } = this.#market
    const draws = this.#draws
    const view = this.#view
    const nowMs = Math.floor(nowTicks / 1_000)
    const others = plants - 1
    view.count = Math.min(viewEntries, others)
    for (let entry = 0; entry < view.count; entry++) {
      let plant = draws.int(shop, others)
      if (plant >= shop) plant++
      // The next one not seen yet: with few plants a view is nearly all of them.
      while (this.#seen(plant, entry)) plant = (plant + 1) % plants === shop ? (plant + 2) % plants : (plant + 1) % plants
      view.plants[entry] = plant
      view.agesMs[entry] = this.#gossip.ageMs(draws, shop, nowMs)
    }
  }

  #seen (plant: number, entries: number): boolean {
    const { plants } = this.#view
    for (let entry = 0; entry < entries; entry++) if (plants[entry] === plant) return true
    return false
  }

  #takeRound (): number {
    if (this.#freeRound >= 0) {
      const round = this.#freeRound
      this.#freeRound = this.#rounds[round * ROUND_WORDS + NEXT_FREE] as number
      return round
    }
    if (this.#roundsUsed * ROUND_WORDS === this.#rounds.length) {
      const longer = new Int32Array(this.#rounds.length * 2)
      longer.set(this.#rounds)
      this.#rounds = longer
      const lifesTicks = new Float64Array(this.#lifesTicks.length * 2)
      lifesTicks.set(this.#lifesTicks)
      this.#lifesTicks = lifesTicks
    }
    return this.#roundsUsed++
  }
}

function classEnds (needs: readonly NeedClass[]): Float64Array {
  const weights = needs.map(({ weight }) => weight ?? 1)
  const all = weights.reduce((sum, weight) => sum + weight, 0)
  let sum = 0
  const ends = Float64Array.from(weights, (weight) => (sum += weight) / all * 4_294_967_296)
  // Whatever rounding has made of the sum: the last kind ends where the draws do.
  ends[ends.length - 1] = 4_294_967_296
  return ends
}
