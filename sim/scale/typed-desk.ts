/**
 * Decides for a market over typed arrays: the same decisions as the daemon's cores (core-desk.ts), which a property test holds it to. A round
 * under way takes 208 bytes, a running machine none but its event.
 */
import { CANDIDATES_RANDOM_SHARE } from '../../protocols/capacity/constants.ts'
import type { StreamTable } from '../kernel/index.ts'
import { GRANTED, NEED_CLASSES_MAX, REASON_BITS, REFUSED, WAIT, type BidDesk, type Market, type NeedClass, type OrderDrawn, type View } from './bid-market.ts'
import { Chooser } from './chooser.ts'
import { TypedBook } from './typed-book.ts'
import { TypedPlants, USED_MACHINES, USED_MEMORY, PLANT_WORDS } from './typed-plants.ts'

/** The paper's cost function; node/plant/cost/compute-network.ts has the same numbers. */
const COMPUTE_PER_MACHINE = 4
const NETWORK_ONCE = 50
/** node/plant/cost/learned.ts, `cloneMs`: with nothing to fetch, no actions and no load, all that time-to-done counts. */
const CLONE_MS = 1_000
/** node/plant/cost/memory.ts, `ceilingMiB`. */
const MEMORY_CEILING_MIB = 2 ** 24

/** Places of a round: CANDIDATES_MAX. */
const PLACES = 16
/** Words of a round: plants asked, costs (or minus bits), bids; then shop, need, domain, places asked, places silent, offers as bits. */
const ROUND_WORDS = 54
const COSTS = PLACES
const BIDS = 2 * PLACES
const SHOP = 3 * PLACES
const NEED = SHOP + 1
const DOMAIN = SHOP + 2
const ASKED = SHOP + 3
const SILENT = SHOP + 4
const OFFERS = SHOP + 5

/** See BidDesk. All answers to a round come at one time. */
export class TypedDesk implements BidDesk {
  readonly #market: Market
  readonly #plants: TypedPlants
  readonly #book: TypedBook
  readonly #ties: StreamTable
  readonly #chooser: Chooser
  readonly #everyMachineOnNetwork: boolean
  readonly #from: Int32Array
  #rounds = new Int32Array(64 * ROUND_WORDS)
  /** When the bids of a round's offers end, by the shop's count. */
  #offersEndMs = new Float64Array(64)

  /** `ties`: a stream for each shop. */
  constructor (market: Market, ties: StreamTable) {
    this.#market = market
    this.#everyMachineOnNetwork = market.cost === 'compute+network'
    this.#plants = new TypedPlants(market, this.#everyMachineOnNetwork || market.needs.some(({ network }) => network))
    this.#book = new TypedBook(this.#plants.words, market.book)
    this.#ties = ties
    this.#from = new Int32Array(market.viewEntries)
    this.#chooser = new Chooser(market.asked, Math.floor(market.asked * CANDIDATES_RANDOM_SHARE), ties)
  }

  get bytes (): number { return this.#plants.bytes + this.#book.bytes + this.#rounds.byteLength + this.#offersEndMs.byteLength }

  open (round: number, { shop, needClass, domain }: OrderDrawn, view: View, nowTicks: number): number {
    while (round * ROUND_WORDS >= this.#rounds.length) this.#grow()
    const plants = this.#plants
    const need = this.#market.needs[needClass] as NeedClass
    const network = need.network || this.#everyMachineOnNetwork
    const nowMs = Math.floor(nowTicks / 1_000)
    const chooser = this.#chooser
    chooser.begin(shop)
    const froms = this.#from
    // Apart from what is done with them, so that the processor fetches all plants at once.
    for (let entry = 0; entry < view.count; entry++) froms[entry] = plants.usedFrom(view.plants[entry] as number, nowMs - (view.agesMs[entry] as number))
    for (let entry = 0; entry < view.count; entry++) {
      const plant = view.plants[entry] as number
      const from = froms[entry] as number
      if (plants.fits(plant, from, need, network)) chooser.fit(plant, plants.busyness(plant, from))
      else chooser.unfit(plant)
    }
    const at = round * ROUND_WORDS
    const rounds = this.#rounds
    const asked = chooser.end(rounds, at)
    rounds[at + SHOP] = shop
    rounds[at + NEED] = needClass
    rounds[at + DOMAIN] = domain
    rounds[at + ASKED] = asked
    rounds[at + SILENT] = asked
    rounds[at + OFFERS] = 0
    return asked
  }

  plantAt (round: number, place: number): number { return this.#rounds[round * ROUND_WORDS + place] as number }

  call (round: number, place: number, nowTicks: number): number {
    const at = round * ROUND_WORDS
    const rounds = this.#rounds
    const plant = rounds[at + place] as number
    const shop = rounds[at + SHOP] as number
    const domain = rounds[at + DOMAIN] as number
    const need = this.#market.needs[rounds[at + NEED] as number] as NeedClass
    const network = need.network || this.#everyMachineOnNetwork
    const nowMs = nowTicks / 1_000
    const bits = this.#book.onCall(plant, shop, nowMs) || this.#plants.check(plant, need, network, domain)
    if (bits === 0) rounds[at + BIDS + place] = this.#book.add(plant, shop, round * PLACES + place, nowMs)
    const said = bits === 0 ? this.#cost(plant, domain) : -bits
    rounds[at + COSTS + place] = said
    return said
  }

  answer (round: number, place: number, nowTicks: number): number {
    const at = round * ROUND_WORDS
    const rounds = this.#rounds
    if ((rounds[at + COSTS + place] as number) >= 0) {
      rounds[at + OFFERS] = (rounds[at + OFFERS] as number) | 1 << place
      this.#offersEndMs[round] = nowTicks / 1_000 + this.#market.book.bidTtlMs
    }
    const silent = (rounds[at + SILENT] as number) - 1
    rounds[at + SILENT] = silent
    return silent > 0 ? WAIT : this.#awardNext(round, nowTicks)
  }

  award (round: number, place: number, nowTicks: number): number {
    const at = round * ROUND_WORDS
    const rounds = this.#rounds
    const plant = rounds[at + place] as number
    if (!this.#book.onAward(rounds[at + BIDS + place] as number, round * PLACES + place, nowTicks / 1_000)) return -REASON_BITS.BID_EXPIRED
    const needClass = rounds[at + NEED] as number
    const domain = rounds[at + DOMAIN] as number
    const need = this.#market.needs[needClass] as NeedClass
    const network = need.network || this.#everyMachineOnNetwork
    const bits = this.#plants.check(plant, need, network, domain)
    if (bits !== 0) return -bits
    this.#plants.add(plant, need, network, domain, 1, Math.floor(nowTicks / 1_000))
    return domain * NEED_CLASSES_MAX + needClass
  }

  awardAnswer (round: number, _place: number, lease: number, nowTicks: number): number {
    return lease >= 0 ? GRANTED : this.#awardNext(round, nowTicks)
  }

  close (): void { /* What a round held is written over by the next. */ }

  release (plant: number, lease: number, nowTicks: number): void {
    const need = this.#market.needs[lease % NEED_CLASSES_MAX] as NeedClass
    const domain = Math.floor(lease / NEED_CLASSES_MAX)
    this.#plants.add(plant, need, need.network || this.#everyMachineOnNetwork, domain, -1, Math.floor(nowTicks / 1_000))
  }

  #cost (plant: number, domain: number): number {
    const { words } = this.#plants
    const at = plant * PLANT_WORDS
    if (this.#market.cost === 'time-to-done') return CLONE_MS
    if (!this.#everyMachineOnNetwork) return Math.max(0, MEMORY_CEILING_MIB - Math.max(0, this.#plants.capacity(plant, USED_MEMORY) - (words[at + USED_MEMORY] as number)))
    return COMPUTE_PER_MACHINE * (words[at + USED_MACHINES] as number) + (this.#plants.hasNetwork(plant, domain) ? 0 : NETWORK_ONCE)
  }

  /** The cheapest offer, equal ones drawn; protocols/bid/auction.ts passes over those that have ended. */
  #awardNext (round: number, nowTicks: number): number {
    const at = round * ROUND_WORDS
    const rounds = this.#rounds
    for (;;) {
      const offers = rounds[at + OFFERS] as number
      if (offers === 0) return REFUSED
      let least = Infinity
      let ties = 0
      for (let place = 0; place < PLACES; place++) {
        if ((offers & 1 << place) === 0) continue
        const cost = rounds[at + COSTS + place] as number
        if (cost < least) {
          least = cost
          ties = 1
        } else if (cost === least) ties++
      }
      let skip = ties > 1 ? this.#ties.int(rounds[at + SHOP] as number, ties) : 0
      let chosen = 0
      while ((offers & 1 << chosen) === 0 || rounds[at + COSTS + chosen] !== least || skip-- > 0) chosen++
      rounds[at + OFFERS] = offers & ~(1 << chosen)
      if ((this.#offersEndMs[round] as number) > nowTicks / 1_000) return chosen
    }
  }

  #grow (): void {
    const rounds = new Int32Array(this.#rounds.length * 2)
    rounds.set(this.#rounds)
    this.#rounds = rounds
    const offersEndMs = new Float64Array(this.#offersEndMs.length * 2)
    offersEndMs.set(this.#offersEndMs)
    this.#offersEndMs = offersEndMs
  }
}
