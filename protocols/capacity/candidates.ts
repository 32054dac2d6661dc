/**
 * Whom to ask for bids: the best by view and a few at random (issue "Bids": at most 16). Pure, and one pass over the view: n log k for n
 * plants.
 */
import type { PeerId, Random } from '../kit/index.ts'
import { CANDIDATES_RANDOM_SHARE } from './constants.ts'
import type { PlantSeen } from './core.ts'
import type { PlantAd } from './messages.ts'

/** What of an order can be held against an advert. */
export interface Need {
  /** Undefined: whatever the plant has. */
  isa?: string
  cpus: number
  memoryMiB: number
  diskMiB: number
  /** Golden machine family or name. */
  os?: string
  /** A plant without it can fetch it: the mesh is known to have it. */
  fetchable?: boolean
  /** The order wants a network. */
  network?: boolean
}

/** What, by its advert, a plant is short of. */
export type Shortage = 'isa' | 'cpus' | 'memory' | 'disk' | 'machines' | 'networks' | 'golden'

export interface Candidate {
  peer: PeerId
  ad: PlantAd
  /** Undefined when by its advert it could do it. Others only fill up: adverts may be old, and their refusals say why. */
  short: Shortage | undefined
  /** Drawn at random rather than picked as one of the best. */
  drawn: boolean
}

/** What this ad is short of for this need, the hardest to mend first; undefined when it fits. */
export function shortageOf (ad: PlantAd, need: Need): Shortage | undefined {
  if (need.isa !== undefined && ad.isa !== need.isa) return 'isa'
  if (need.fetchable !== true && lacksGolden(ad, need)) return 'golden'
  if (ad.freeMachines < 1) return 'machines'
  if (ad.freeCpus < need.cpus) return 'cpus'
  if (ad.freeMemoryMiB < need.memoryMiB) return 'memory'
  if (ad.freeDiskMiB < need.diskMiB) return 'disk'
  if (need.network === true && ad.freeNetworks < 1) return 'networks'
  return undefined
}

/** Whether, by its ad, the plant has no such golden machine. */
function lacksGolden (ad: PlantAd, { os }: Need): boolean {
  return os !== undefined && !ad.goldenMore && !ad.goldenMachines.some((golden) => golden.name === os || golden.os === os)
}

/** A plant that would have to fetch comes behind one that has the golden machine, unless that one is busier by all its processors and half its memory. */
const FETCH_BUSYNESS = 1.5

/** Lower is better: how busy the plant is, by load and by what its leases hold. */
export function busyness (ad: PlantAd): number {
  return ad.load + used(ad.freeCpus, ad.cpus) + used(ad.freeMemoryMiB, ad.memoryMiB)
}

/**
 * At most `k` plants to ask. Those that fit come first: the least busy (ties at random), and, when more than k fit, a quarter of the places
 * drawn from the rest. Places left over go to plants drawn from those that do not fit.
 */
export function candidates (plants: Iterable<PlantSeen>, need: Need, k: number, random: Random): Candidate[] {
  const drawnPlaces = Math.floor(k * CANDIDATES_RANDOM_SHARE)
  const best = new Best(k, need, random)
  const rest = new Reservoir(drawnPlaces, random)
  const unfit = new Reservoir(k, random)
  for (const { peer, ad } of plants) {
    const short = shortageOf(ad, need)
    if (short !== undefined) {
      unfit.offer({ peer, ad, short, drawn: true })
      continue
    }
    const out = best.offer({ peer, ad, short, drawn: false })
    if (out !== undefined) rest.offer({ ...out, drawn: true })
  }
  const ranked = best.ranked()
  // With more than k that fit, the last quarter of the best and those beyond them are drawn from alike.
  if (rest.offered > 0) for (const candidate of ranked.splice(k - drawnPlaces)) rest.offer({ ...candidate, drawn: true })
  const chosen = [...ranked, ...rest.drawn()]
  return [...chosen, ...unfit.drawn().slice(0, k - chosen.length)]
}

function used (free: number, all: number): number { return all === 0 ? 1 : 1 - Math.min(1, free / all) }

/** The k least busy so far, by a heap with the busiest on top. */
class Best {
  readonly #k: number
  readonly #need: Need
  readonly #random: Random
  readonly #heap: Array<{ candidate: Candidate, score: number, tie: number }> = []

  constructor (k: number, need: Need, random: Random) {
    this.#k = k
    this.#need = need
    this.#random = random
  }

  /** Returns the one that has no place: a former one, or this. */
  offer (candidate: Candidate): Candidate | undefined {
    if (this.#k <= 0) return candidate
    const entry = { candidate, score: busyness(candidate.ad) + (lacksGolden(candidate.ad, this.#need) ? FETCH_BUSYNESS : 0), tie: this.#random.int(2 ** 30) }
    if (this.#heap.length < this.#k) {
      this.#heap.push(entry)
      this.#up(this.#heap.length - 1)
      return undefined
    }
    const top = this.#heap[0]
    if (top === undefined || !worse(top, entry)) return candidate
    this.#heap[0] = entry
    this.#down(0)
    return top.candidate
  }

  ranked (): Candidate[] {
    return this.#heap.toSorted((a, b) => a.score - b.score || a.tie - b.tie).map((entry) => entry.candidate)
  }

  #up (start: number): void {
    let at = start
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!this.#worseAt(at, parent)) return
      this.#swap(at, parent)
      at = parent
    }
  }

  #down (start: number): void {
    let at = start
    for (;;) {
      let worst = at
      for (const child of [2 * at + 1, 2 * at + 2]) if (child < this.#heap.length && this.#worseAt(child, worst)) worst = child
      if (worst === at) return
      this.#swap(at, worst)
      at = worst
    }
  }

  #worseAt (a: number, b: number): boolean {
    const left = this.#heap[a]
    const right = this.#heap[b]
    return left !== undefined && right !== undefined && worse(left, right)
  }

  #swap (a: number, b: number): void {
    const left = this.#heap[a]
    const right = this.#heap[b]
    if (left === undefined || right === undefined) return
    this.#heap[a] = right
    this.#heap[b] = left
  }
}

function worse (a: { score: number, tie: number }, b: { score: number, tie: number }): boolean {
  return a.score > b.score || (a.score === b.score && a.tie > b.tie)
}

/** So many of all that were offered, each with the same chance (Vitter's algorithm R). */
class Reservoir {
  readonly #places: number
  readonly #random: Random
  readonly #kept: Candidate[] = []
  offered = 0

  constructor (places: number, random: Random) {
    this.#places = places
    this.#random = random
  }

  offer (candidate: Candidate): void {
    this.offered++
    if (this.#places <= 0) return
    if (this.#kept.length < this.#places) {
      this.#kept.push(candidate)
      return
    }
    const at = this.#random.int(this.offered)
    if (at < this.#places) this.#kept[at] = candidate
  }

  drawn (): Candidate[] { return this.#kept }
}
