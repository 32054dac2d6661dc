/**
 * Decides for a market with the daemon's own cores, as they are: whom to ask (protocols/capacity), the bidder and the cost model (node/plant),
 * the book and the auction (protocols/bid), the ledger (node/plant). For up to some 10^4 plants; above, typed-desk.ts decides the same.
 */
import { costModel, FIGURES_AT_FIRST, type CostModel } from '../../node/plant/cost/index.ts'
import { decideBid, type Bidder, type BidRequest } from '../../node/plant/bidder.ts'
import { Ledger } from '../../node/plant/ledger.ts'
import { roomOf } from '../../node/plant/plant-ad.ts'
import { Auction, type AuctionEffect, type Candidate } from '../../protocols/bid/auction.ts'
import { BidBook } from '../../protocols/bid/core.ts'
import type { AwardAnswer, CallAnswer, Refusal } from '../../protocols/bid/messages.ts'
import { candidates, type Need as Wanted } from '../../protocols/capacity/candidates.ts'
import type { PlantSeen } from '../../protocols/capacity/core.ts'
import type { PlantAd } from '../../protocols/capacity/messages.ts'
import { PlantError, type LeaseId, type PeerId, type Random, type VmId } from '../../protocols/kit/index.ts'
import type { Order } from '../../protocols/order/order.ts'
import type { NetworkId } from '../../protocols/tunnel/types.ts'
import type { StreamTable } from '../kernel/index.ts'
import { GRANTED, kindsOf, REASON_BITS, REFUSED, WAIT, type BidDesk, type Market, type OrderDrawn, type View } from './bid-market.ts'

interface Plant {
  number: number
  id: PeerId
  book: BidBook
  bidder: Bidder
  /** What its adverts say now, and said before the last change. */
  ad: PlantAd
  adBefore: PlantAd
  changedMs: number
}

interface Round {
  serial: number
  vmId: VmId
  shop: Plant
  asked: Plant[]
  auction: Auction
  answers: CallAnswer[]
  awardAnswer: AwardAnswer | undefined
  request: BidRequest
}

/** See BidDesk. */
export class CoreDesk implements BidDesk {
  readonly bytes = 0
  readonly #market: Market
  readonly #random: ShopRandom
  readonly #domains: number
  readonly #plants: Plant[]
  readonly #wanted: Wanted[]
  readonly #orders: Order[]
  /** What is asked for by each kind of machine and domain, as far as it is the same for every plant. */
  readonly #requests: BidRequest[]
  readonly #seen: PlantSeen[] = []
  readonly #seenPlants: Plant[] = []
  readonly #rounds: Array<Round | undefined> = []
  #serial = 0

  /** `ties`: a stream for each shop. */
  constructor (market: Market, ties: StreamTable) {
    this.#market = market
    this.#random = new ShopRandom(ties)
    this.#domains = domainsOf(market)
    const cost = costModel(market.cost)
    const names = new CountedBytes()
    this.#plants = Array.from(kindsOf(market), (kind, i) => plantOf(i, kind, market, cost, names))
    this.#orders = market.needs.map(({ cpus, memoryMiB, diskMiB, network }) => orderOf({ cpus, memoryMiB, diskMiB }, network))
    this.#requests = market.needs.flatMap((_, needClass) => Array.from({ length: this.#domains }, (_unused, domain) => ({ order: this.#orders[needClass] as Order, networkId: () => `domain${domain}` as NetworkId, plan: PLAN, requirements: () => [], rank: () => 0 })))
    this.#wanted = market.needs.map((need) => ({ cpus: need.cpus, memoryMiB: need.memoryMiB, diskMiB: need.diskMiB, network: need.network || cost.everyMachineOnNetwork }))
  }

  open (round: number, { shop, needClass, domain }: OrderDrawn, view: View, nowTicks: number): number {
    const nowMs = Math.floor(nowTicks / 1_000)
    const seen = this.#seen
    const plants = this.#seenPlants
    seen.length = plants.length = view.count
    for (let entry = 0; entry < view.count; entry++) {
      const plant = this.#plant(view.plants[entry] as number)
      const ageMs = view.agesMs[entry] as number
      plants[entry] = plant
      seen[entry] = { peer: plant.id, ad: plant.changedMs > nowMs - ageMs ? plant.adBefore : plant.ad, ageMs }
    }
    this.#random.shop = shop
    const serial = this.#serial++
    const vmId = vmIdOf(serial)
    const chosen: Candidate[] = candidates(seen, this.#wanted[needClass] as Wanted, this.#market.asked, this.#random).map(({ peer, drawn }) => ({ plant: peer, why: drawn ? 'at random' : 'best by view' }))
    const auction = new Auction({ vmId, ranked: false }, chosen, this.#random, { monotonicMs: nowTicks / 1_000, wallMs: nowTicks / 1_000 })
    auction.start(nowTicks / 1_000)
    const asked = auction.decision.candidates.map(({ plant }) => plants.find(({ id }) => id === plant) as Plant)
    const request = this.#requests[needClass * this.#domains + domain] as BidRequest
    this.#rounds[round] = { serial, vmId, shop: this.#plant(shop), asked, auction, answers: [], awardAnswer: undefined, request }
    return asked.length
  }

  plantAt (round: number, place: number): number { return this.#asked(round, place).number }

  call (round: number, place: number, nowTicks: number): number {
    const { vmId, shop, request, answers } = this.#round(round)
    const { id, book, bidder } = this.#asked(round, place)
    const nowMs = nowTicks / 1_000
    let answer = book.onCall(shop.id, nowMs)
    if (answer === undefined) {
      const decision = decideBid(request, bidder)
      answer = book.onVerdict(shop.id, vmId, decision.kind === 'refusal' ? decision : { ...decision, vmId }, nowMs)
    }
    answers[place] = answer
    if (answer.t === 0) return answer.bid.total
    if (answer.t === 1) return -bitsOf(answer.refusal)
    throw new PlantError('INTERNAL', { problem: 'a machine that is new is held', plant: id })
  }

  answer (round: number, place: number, nowTicks: number): number {
    const { auction, answers, shop } = this.#round(round)
    this.#random.shop = shop.number
    return this.#next(round, auction.onAnswer(this.#asked(round, place).id, answers[place] as CallAnswer, nowTicks / 1_000))
  }

  award (round: number, place: number, nowTicks: number): number {
    const open = this.#round(round)
    const plant = this.#asked(round, place)
    const { vmId, shop, serial } = open
    const call = open.answers[place]
    if (call?.t !== 0) throw new PlantError('INTERNAL', { problem: 'awarded where no bid was made', plant: plant.id })
    const nowMs = nowTicks / 1_000
    const step = plant.book.onAward(shop.id, call.bid.bidId, vmId, vmId, nowMs)
    if ('answer' in step) open.awardAnswer = step.answer
    else {
      const { ledger } = plant.bidder
      const leaseId = leaseIdOf(serial)
      const result = ledger.award({ leaseId, vmId, need: step.grant.need, nowMs, wallMs: nowMs })
      if (result.kind === 'held') throw new PlantError('INTERNAL', { problem: 'a machine that is new is held', plant: plant.id })
      if (result.kind === 'granted') {
        ledger.start(leaseId, nowMs)
        changed(plant, nowTicks)
      }
      open.awardAnswer = plant.book.onGrant(step.grant, result.kind === 'granted'
        ? { kind: 'granted', leaseId, leasedAtMs: nowMs, expiresInMs: ledger.leaseTtlMs }
        : { kind: 'refused', refusal: { reasons: result.reasons, smallestChange: [] } }, nowMs)
    }
    return open.awardAnswer.t === 1 ? -bitsOf(open.awardAnswer.refusal) : serial
  }

  awardAnswer (round: number, _place: number, _lease: number, nowTicks: number): number {
    const { auction, awardAnswer, shop } = this.#round(round)
    this.#random.shop = shop.number
    return awardAnswer === undefined ? WAIT : this.#next(round, auction.onAwardAnswer(awardAnswer, nowTicks / 1_000))
  }

  close (round: number): void { this.#rounds[round] = undefined }

  release (plant: number, lease: number, nowTicks: number): void {
    const of = this.#plant(plant)
    if (of.bidder.ledger.release(leaseIdOf(lease)) === undefined) throw new PlantError('INTERNAL', { problem: 'no such lease', plant: of.id, lease })
    changed(of, nowTicks)
  }

  /** What the auction wants done, as the face has it. */
  #next (round: number, effects: AuctionEffect[]): number {
    for (const effect of effects) {
      if (effect.do === 'award') return this.#round(round).asked.findIndex(({ id }) => id === effect.plant)
      if (effect.do === 'end') return effect.end.kind === 'awarded' ? GRANTED : REFUSED
    }
    return WAIT
  }

  #plant (plant: number): Plant { return this.#plants[plant] as Plant }
  #round (round: number): Round { return this.#rounds[round] as Round }
  #asked (round: number, place: number): Plant { return this.#round(round).asked[place] as Plant }
}

/** The port, drawing from the stream of the shop that decides. */
class ShopRandom implements Random {
  readonly #table: StreamTable
  shop = 0

  constructor (table: StreamTable) { this.#table = table }

  bytes (): Uint8Array { throw new PlantError('INTERNAL', { problem: 'a shop draws no bytes' }) }
  int (below: number): number { return this.#table.int(this.shop, below) }
}

/** Names of bids: counted rather than drawn, as nobody in a market guesses. */
class CountedBytes implements Random {
  readonly #bytes = new Uint8Array(16)
  #count = 0

  bytes (count: number): Uint8Array {
    // The book makes text of them at once.
    const bytes = this.#bytes.length === count ? this.#bytes : new Uint8Array(count)
    let rest = this.#count++
    for (let i = 0; i < 8 && i < count; i++) {
      bytes[i] = rest % 256
      rest = Math.floor(rest / 256)
    }
    return bytes
  }

  int (): number { throw new PlantError('INTERNAL', { problem: 'a plant draws no numbers' }) }
}

const PLAN: BidRequest['plan'] = { found: true, outline: { goldenId: 'golden', actionsLeft: 0, fetchBytes: 0, resize: false } }

function plantOf (number: number, kind: number, market: Market, cost: CostModel, names: CountedBytes): Plant {
  const id = idOf(number)
  const ledger = new Ledger(market.capacities[kind] as Ledger['capacity'])
  const ad = adOf(ledger)
  return { number, id, book: new BidBook(id, names, market.book), bidder: { isa: ISA, ledger, cost, load: 0, learned: FIGURES_AT_FIRST }, ad, adBefore: ad, changedMs: 0 }
}

const ISA = 'x86_64'

/** Domains of a market: those that are drawn, and those that kinds of machines name. */
function domainsOf ({ domains, needs }: Market): number { return Math.max(domains, ...needs.map(({ domain }) => (domain ?? 0) + 1)) }

/** What a plant without a line or a warehouse says of itself. */
function adOf (ledger: Ledger): PlantAd {
  return { site: '', isa: ISA, accelerator: '', ...roomOf(ledger), load: 0, goldenMachines: [], goldenMore: true }
}

function changed (plant: Plant, nowTicks: number): void {
  plant.adBefore = plant.ad
  plant.ad = adOf(plant.bidder.ledger)
  plant.changedMs = Math.floor(nowTicks / 1_000)
}

function orderOf (hardware: Order['hardware'], network: boolean): Order {
  return {
    apiVersion: 'plantmesh/v1',
    kind: 'Machine',
    metadata: { labels: {} },
    domain: 'domain',
    hardware,
    ...(network ? { network: { name: 'lan', addressing: 'mesh' } } : {}),
    software: { os: 'golden', channel: 'agent', actions: [] },
    requirements: 'true'
  }
}

function bitsOf (refusal: Refusal): number {
  let bits = 0
  for (const { code } of refusal.reasons) {
    if (!Object.hasOwn(REASON_BITS, code)) throw new PlantError('INTERNAL', { problem: 'a reason that markets do not have', code })
    bits |= REASON_BITS[code as keyof typeof REASON_BITS]
  }
  return bits
}

function idOf (plant: number): PeerId { return `plant${plant}` as PeerId }
function vmIdOf (serial: number): VmId { return serial.toString(16).padStart(32, '0') as VmId }
function leaseIdOf (serial: number): LeaseId { return `lease${serial}` as LeaseId }
