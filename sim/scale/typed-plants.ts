/** The ledgers of all plants in typed arrays: what node/plant/ledger.ts decides, 64 bytes a plant and one cache line to look at. */
import { PlantError } from '../../protocols/kit/index.ts'
import { kindsOf, NETWORKS_MAX, REASON_BITS, type Market, type NeedClass } from './bid-market.ts'

/** Words of a plant: what is used, what was used before the last change, when that was (ms), its kind, and its book of bids (typed-book.ts). */
export const PLANT_WORDS = 16
export const USED_CPUS = 0
export const USED_MEMORY = 1
export const USED_DISK = 2
export const USED_MACHINES = 3
export const USED_NETWORKS = 4
/** The same five before the last change lie this many words further. */
export const BEFORE = 5
export const CHANGED_MS = 10
export const KIND = 11
export const LAST_BID = 12
export const BID_WINDOW = 13
export const BIDS_NOW = 14
export const BIDS_BEFORE = 15

/** A domain's network on a plant: its domain plus one (0: none) and its machines. */
const NETWORK_WORDS = 2
/** Of a plant, in `capacities`. */
const CAPACITY_WORDS = 5

/** All plants; a plant is a number from 0. */
export class TypedPlants {
  /** By plant * PLANT_WORDS. */
  readonly words: Int32Array
  readonly #networks: Int32Array
  readonly #capacities: Float64Array
  /** Words of one plant's networks. */
  readonly #networkWords: number

  /** Throws CONFIG_INVALID for more networks than NETWORKS_MAX where machines are put on any. */
  constructor (market: Market, withNetworks: boolean) {
    const { plants, capacities } = market
    const networksMax = withNetworks ? Math.max(...capacities.map(({ networks }) => networks)) : 0
    if (networksMax > NETWORKS_MAX) throw new PlantError('CONFIG_INVALID', { field: 'capacity.networks', found: networksMax, allowed: `at most ${NETWORKS_MAX} in a market at scale` })
    this.#networkWords = networksMax * NETWORK_WORDS
    this.words = new Int32Array(plants * PLANT_WORDS)
    this.#networks = new Int32Array(plants * this.#networkWords)
    this.#capacities = Float64Array.from(capacities.flatMap(({ cpus, memoryMiB, diskMiB, machines, networks }) => [cpus, memoryMiB, diskMiB, machines, networks]))
    for (const [plant, kind] of kindsOf(market).entries()) this.words[plant * PLANT_WORDS + KIND] = kind
  }

  get bytes (): number { return this.words.byteLength + this.#networks.byteLength }

  /** What its advert of that time said: all that is free is as it is now, or as it was before the last change. The answer is where those words begin. */
  usedFrom (plant: number, advertMs: number): number {
    const at = plant * PLANT_WORDS
    return (this.words[at + CHANGED_MS] as number) > advertMs ? at + BEFORE : at
  }

  /** Capacity of the plant: `what` is one of USED_…. */
  capacity (plant: number, what: number): number {
    return this.#capacities[(this.words[plant * PLANT_WORDS + KIND] as number) * CAPACITY_WORDS + what] as number
  }

  /** Whether the machine would fit by these words of use (`usedFrom`): protocols/capacity/candidates.ts, shortageOf. */
  fits (plant: number, from: number, need: NeedClass, network: boolean): boolean {
    const { words } = this
    const kind = (words[plant * PLANT_WORDS + KIND] as number) * CAPACITY_WORDS
    const capacities = this.#capacities
    return (capacities[kind + USED_MACHINES] as number) - (words[from + USED_MACHINES] as number) >= 1 &&
      (capacities[kind] as number) - (words[from] as number) >= need.cpus &&
      (capacities[kind + USED_MEMORY] as number) - (words[from + USED_MEMORY] as number) >= need.memoryMiB &&
      (capacities[kind + USED_DISK] as number) - (words[from + USED_DISK] as number) >= need.diskMiB &&
      (!network || (capacities[kind + USED_NETWORKS] as number) - (words[from + USED_NETWORKS] as number) >= 1)
  }

  /** protocols/capacity/candidates.ts, busyness, at no load: the same operations in the same order, so that scores are equal to the last bit. */
  busyness (plant: number, from: number): number {
    const { words } = this
    const kind = (words[plant * PLANT_WORDS + KIND] as number) * CAPACITY_WORDS
    const cpus = this.#capacities[kind] as number
    const memory = this.#capacities[kind + USED_MEMORY] as number
    return 0 + share(cpus - (words[from] as number), cpus) + share(memory - (words[from + USED_MEMORY] as number), memory)
  }

  /** Bits of all that is short now; 0 when it fits. */
  check (plant: number, need: NeedClass, network: boolean, domain: number): number {
    const { words } = this
    const at = plant * PLANT_WORDS
    const kind = (words[at + KIND] as number) * CAPACITY_WORDS
    const capacities = this.#capacities
    let bits = 0
    if (need.cpus > (capacities[kind] as number) - (words[at] as number)) bits |= REASON_BITS.CPUS_SHORT
    if (need.memoryMiB > (capacities[kind + USED_MEMORY] as number) - (words[at + USED_MEMORY] as number)) bits |= REASON_BITS.RAM_SHORT
    if (need.diskMiB > (capacities[kind + USED_DISK] as number) - (words[at + USED_DISK] as number)) bits |= REASON_BITS.DISK_SHORT
    if ((words[at + USED_MACHINES] as number) >= (capacities[kind + USED_MACHINES] as number)) bits |= REASON_BITS.MACHINES_FULL
    if (network && (words[at + USED_NETWORKS] as number) >= (capacities[kind + USED_NETWORKS] as number) && !this.hasNetwork(plant, domain)) bits |= REASON_BITS.NETWORKS_FULL
    return bits
  }

  hasNetwork (plant: number, domain: number): boolean { return this.#network(plant, domain + 1) >= 0 }

  /** Books a machine that fits, or (sign -1) gives its room back. */
  add (plant: number, need: NeedClass, network: boolean, domain: number, sign: 1 | -1, nowMs: number): void {
    const { words } = this
    const at = plant * PLANT_WORDS
    for (let what = 0; what < BEFORE; what++) words[at + BEFORE + what] = words[at + what] as number
    words[at + CHANGED_MS] = nowMs
    words[at] = (words[at] as number) + sign * need.cpus
    words[at + USED_MEMORY] = (words[at + USED_MEMORY] as number) + sign * need.memoryMiB
    words[at + USED_DISK] = (words[at + USED_DISK] as number) + sign * need.diskMiB
    words[at + USED_MACHINES] = (words[at + USED_MACHINES] as number) + sign
    if (network) words[at + USED_NETWORKS] = (words[at + USED_NETWORKS] as number) + this.#join(plant, domain, sign)
  }

  /** What joining or leaving changes in the number of networks in use. */
  #join (plant: number, domain: number, sign: 1 | -1): number {
    const networks = this.#networks
    const member = this.#network(plant, domain + 1)
    const at = member >= 0 ? member : this.#network(plant, 0)
    const machines = (networks[at + 1] as number) + sign
    networks[at] = machines === 0 ? 0 : domain + 1
    networks[at + 1] = machines
    return member < 0 ? 1 : machines === 0 ? -1 : 0
  }

  /** Where the plant's network with this tag lies; -1 when it has none. */
  #network (plant: number, tag: number): number {
    const first = plant * this.#networkWords
    for (let at = first; at < first + this.#networkWords; at += NETWORK_WORDS) if (this.#networks[at] === tag) return at
    return -1
  }
}

function share (free: number, all: number): number { return all === 0 ? 1 : 1 - Math.min(1, free / all) }
