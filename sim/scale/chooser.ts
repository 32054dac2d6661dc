/** Whom a shop asks, over typed arrays: the choice of protocols/capacity/candidates.ts with the same draws in the same order. */
import type { StreamTable } from '../kernel/index.ts'

const TIES = 2 ** 30

/** `begin`, then every plant of the view as `fit` or `unfit`, then `end`. */
export class Chooser {
  readonly #places: number
  readonly #drawnPlaces: number
  readonly #random: StreamTable
  readonly #best: Int32Array
  readonly #scores: Float64Array
  readonly #ties: Float64Array
  readonly #rest: Int32Array
  readonly #others: Int32Array
  #shop = 0
  #bestCount = 0
  #restOffered = 0
  #othersOffered = 0

  /** At most `places` are chosen; `drawnPlaces` of them by chance when more than that fit. */
  constructor (places: number, drawnPlaces: number, random: StreamTable) {
    this.#places = places
    this.#drawnPlaces = drawnPlaces
    this.#random = random
    this.#best = new Int32Array(places + 1)
    this.#scores = new Float64Array(places + 1)
    this.#ties = new Float64Array(places + 1)
    this.#rest = new Int32Array(drawnPlaces)
    this.#others = new Int32Array(places)
  }

  begin (shop: number): void {
    this.#shop = shop
    this.#bestCount = 0
    this.#restOffered = 0
    this.#othersOffered = 0
  }

  /** By its advert it could do it; the lower the score the better. */
  fit (plant: number, score: number): void {
    const best = this.#best
    const scores = this.#scores
    const ties = this.#ties
    const tie = this.#random.int(this.#shop, TIES)
    let at = this.#bestCount
    // Sorted, the best first; the one that falls off the end goes to the rest.
    while (at > 0 && ((scores[at - 1] as number) > score || (scores[at - 1] === score && (ties[at - 1] as number) > tie))) {
      best[at] = best[at - 1] as number
      scores[at] = scores[at - 1] as number
      ties[at] = ties[at - 1] as number
      at--
    }
    best[at] = plant
    scores[at] = score
    ties[at] = tie
    if (this.#bestCount < this.#places) this.#bestCount++
    else this.#offerRest(best[this.#places] as number)
  }

  /** By its advert it is short of something. */
  unfit (plant: number): void {
    this.#othersOffered++
    if (this.#othersOffered <= this.#places) this.#others[this.#othersOffered - 1] = plant
    else {
      const at = this.#random.int(this.#shop, this.#othersOffered)
      if (at < this.#places) this.#others[at] = plant
    }
  }

  /** Writes the chosen plants from `out[at]` on and says how many there are. */
  end (out: Int32Array, at: number): number {
    let count = this.#bestCount
    if (this.#restOffered > 0) {
      count = this.#places - this.#drawnPlaces
      for (let place = count; place < this.#bestCount; place++) this.#offerRest(this.#best[place] as number)
    }
    for (let place = 0; place < count; place++) out[at + place] = this.#best[place] as number
    const drawn = Math.min(this.#restOffered, this.#drawnPlaces)
    for (let place = 0; place < drawn; place++) out[at + count++] = this.#rest[place] as number
    const others = Math.min(this.#othersOffered, this.#places, this.#places - count)
    for (let place = 0; place < others; place++) out[at + count++] = this.#others[place] as number
    return count
  }

  #offerRest (plant: number): void {
    this.#restOffered++
    if (this.#drawnPlaces === 0) return
    if (this.#restOffered <= this.#drawnPlaces) {
      this.#rest[this.#restOffered - 1] = plant
      return
    }
    const at = this.#random.int(this.#shop, this.#restOffered)
    if (at < this.#drawnPlaces) this.#rest[at] = plant
  }
}
