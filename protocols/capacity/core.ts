/**
 * The view of the mesh, and when to advertise. Synchronous: an event and the (monotonic) time go in, effects come out; `wakeAtMs` says when it
 * wants to be called again. The simulator runs it as it is.
 *
 * A plant in the view:  unknown --advert--> seen --newer advert--> seen --goodbye or ADVERT_LIFE_MS of silence--> remembered
 *                       remembered --advert with a higher (epoch, seq), or by gossip from its author with a lower epoch--> seen
 */
import { publicKeyOf } from '../kit/index.ts'
import type { PeerId, Random } from '../kit/index.ts'
import {
  ADVERT_BYTES_MAX, ADVERT_DEBOUNCE_MS, ADVERT_EVERY_MS, ADVERT_JITTER_SHARE, ADVERT_LIFE_MS, AUTHORS_MAX, AUTHOR_BURST, AUTHOR_PER_S, NEIGHBOUR_TOLD_AGAIN_MS,
  OWN_ADVERTS_BURST, OWN_ADVERTS_PER_S, VIEW_PART_BYTES, VIEW_PLANTS_MAX
} from './constants.ts'
import { decodeAdvert, encodeAdvert, fitAd } from './messages.ts'
import type { Advert, AgedAdvert, PlantAd, SignedAdvert } from './messages.ts'

/** A plant as this one sees it. */
export interface PlantSeen {
  peer: PeerId
  ad: PlantAd
  /** Since its advert was heard; 0 for this plant itself. */
  ageMs: number
}

export type CapacityEffect =
  | { do: 'publish', message: Uint8Array }
  /** The view has changed: plants came, went, or said something else. */
  | { do: 'changed' }

export interface CapacityCoreInit {
  self: PeerId
  /** Higher than at any earlier start of this plant, as far as is known: the wall clock in ms will do. */
  epoch: number
  viewPlantsMax?: number
}

export interface CapacityCoreComponents {
  random: Random
  sign (bytes: Uint8Array): Uint8Array
  verify (publicKey: Uint8Array, bytes: Uint8Array, signature: Uint8Array): boolean
}

interface Seen { peer: PeerId, ad: PlantAd, heardMs: number, bytes: Uint8Array }
/** What is remembered of every author, also of those off the view. */
interface Author { epoch: number, seq: number, tokens: number, filledMs: number }

const BUCKET_MS = 1_000

/** The view of the mesh and this plant's own adverts: events in, effects out; knows no clock of its own. */
export class CapacityCore {
  readonly #c: CapacityCoreComponents
  readonly #self: PeerId
  readonly #plantsMax: number
  readonly #seen = new Map<PeerId, Seen>()
  /** In the order in which they were last heard of. */
  readonly #authors = new Map<PeerId, Author>()
  /** Whose advert may end in which second; an entry is moved on when it was refreshed meanwhile, so that each is looked at once a life. */
  readonly #endings = new Map<number, Seen[]>()
  #endedUpTo: number | undefined
  #epoch: number
  #seq = 0
  #own: { ad: PlantAd, bytes: Uint8Array | undefined, signedMs: number } | undefined
  /** When to advertise because something happened, soonest first. */
  #dueMs: number[] = []
  /** When to advertise because a period is over: counted from the last advert, whatever its reason. */
  #periodMs = Infinity
  #ownBucket: { tokens: number, filledMs: number } | undefined

  constructor (components: CapacityCoreComponents, init: CapacityCoreInit) {
    this.#c = components
    this.#self = init.self
    this.#epoch = init.epoch
    this.#plantsMax = init.viewPlantsMax ?? VIEW_PLANTS_MAX
  }

  /** When `onWake` is due; Infinity when nothing is. */
  get wakeAtMs (): number {
    const end = this.#endings.size === 0 || this.#endedUpTo === undefined ? Infinity : (this.#endedUpTo + 1) * BUCKET_MS
    return this.#own === undefined ? end : Math.min(end, this.#nextAdvertMs)
  }

  get #nextAdvertMs (): number { return Math.min(this.#periodMs, this.#dueMs[0] ?? Infinity) }

  get size (): number { return this.#seen.size + (this.#own === undefined ? 0 : 1) }

  /** This plant's own ad has changed (or is said for the first time). */
  onOwnAd (nowMs: number, ad: PlantAd): CapacityEffect[] {
    const fitted = fitAd(ad)
    const same = this.#own !== undefined && JSON.stringify(this.#own.ad) === JSON.stringify(fitted)
    if (same) return []
    this.#own = { ad: fitted, bytes: undefined, signedMs: nowMs }
    this.#dueAt(nowMs + ADVERT_DEBOUNCE_MS)
    return [{ do: 'changed' }]
  }

  /** A peer has connected. */
  onNeighbour (nowMs: number): void {
    for (const ms of [ADVERT_DEBOUNCE_MS, ...NEIGHBOUR_TOLD_AGAIN_MS]) this.#dueAt(nowMs + ms)
  }

  /** A gossip message and its verified author. */
  onGossip (nowMs: number, from: PeerId, message: Uint8Array): { verdict: 'accept' | 'ignore' | 'reject', effects: CapacityEffect[] } {
    if (message.length > ADVERT_BYTES_MAX) return { verdict: 'reject', effects: [] }
    // Before decoding and verifying: rubbish, too, spends its author's quota.
    if (!this.#spend(nowMs, from)) return { verdict: 'ignore', effects: [] }
    const signed = this.#checked(message)
    if (signed === undefined || signed.advert.by !== from) return { verdict: 'reject', effects: [] }
    this.#forgiveClock(from, signed.advert)
    const effects = this.#take(nowMs, nowMs, signed.advert, message)
    return effects === undefined ? { verdict: 'ignore', effects: [] } : { verdict: 'accept', effects }
  }

  /** A part of a neighbour's view. `sound` is false when it held anything invalid: then the rest of that view is not worth reading. */
  onViewPart (nowMs: number, adverts: AgedAdvert[]): { sound: boolean, effects: CapacityEffect[] } {
    const effects: CapacityEffect[] = []
    for (const { advert: message, ageMs } of adverts) {
      const signed = message.length > ADVERT_BYTES_MAX ? undefined : this.#checked(message)
      if (signed === undefined) return { sound: false, effects }
      if (ageMs < ADVERT_LIFE_MS) effects.push(...this.#take(nowMs, nowMs - ageMs, signed.advert, message) ?? [])
    }
    return { sound: true, effects: effects.length === 0 ? [] : [{ do: 'changed' }] }
  }

  /** Advertises when that is due, and drops whom it has not heard of for too long. */
  onWake (nowMs: number): CapacityEffect[] {
    const effects: CapacityEffect[] = this.#dropSilent(nowMs) ? [{ do: 'changed' }] : []
    if (this.#own === undefined || this.#nextAdvertMs > nowMs) return effects
    this.#dueMs = this.#dueMs.filter((ms) => ms > nowMs)
    const waitMs = this.#spendOwn(nowMs)
    if (waitMs > 0) {
      this.#periodMs = nowMs + waitMs
      return effects
    }
    const jitter = 1 + ADVERT_JITTER_SHARE * (this.#c.random.int(2_001) / 1_000 - 1)
    this.#periodMs = nowMs + ADVERT_EVERY_MS * jitter
    return [...effects, { do: 'publish', message: this.#signOwn(nowMs) }]
  }

  /** The plant stops in order: the last thing it says. */
  onStop (): CapacityEffect[] {
    if (this.#own === undefined) return []
    this.#own = undefined
    return [{ do: 'publish', message: encodeAdvert({ by: this.#self, epoch: this.#epoch, seq: ++this.#seq, ad: undefined }, this.#c.sign) }]
  }

  /** All plants in view, this one first. */
  * plants (nowMs: number): Generator<PlantSeen> {
    if (this.#own !== undefined) yield { peer: this.#self, ad: this.#own.ad, ageMs: 0 }
    for (const seen of this.#seen.values()) {
      if (nowMs - seen.heardMs < ADVERT_LIFE_MS) yield { peer: seen.peer, ad: seen.ad, ageMs: Math.max(0, nowMs - seen.heardMs) }
    }
  }

  plant (nowMs: number, peer: PeerId): PlantSeen | undefined {
    if (peer === this.#self) return this.#own === undefined ? undefined : { peer, ad: this.#own.ad, ageMs: 0 }
    const seen = this.#seen.get(peer)
    return seen === undefined || nowMs - seen.heardMs >= ADVERT_LIFE_MS ? undefined : { peer, ad: seen.ad, ageMs: Math.max(0, nowMs - seen.heardMs) }
  }

  /** The view to hand on, in parts that fit a message. */
  * viewParts (nowMs: number): Generator<AgedAdvert[]> {
    let part: AgedAdvert[] = []
    let partBytes = 0
    for (const advert of this.#toHandOn(nowMs)) {
      part.push(advert)
      partBytes += advert.advert.length + 32
      if (partBytes < VIEW_PART_BYTES) continue
      yield part
      part = []
      partBytes = 0
    }
    if (part.length > 0) yield part
  }

  * #toHandOn (nowMs: number): Generator<AgedAdvert> {
    if (this.#own !== undefined) {
      const bytes = this.#own.bytes ?? this.#signOwn(nowMs)
      yield { advert: bytes, ageMs: Math.floor(nowMs - this.#own.signedMs) }
    }
    for (const seen of this.#seen.values()) {
      const ageMs = Math.max(0, Math.floor(nowMs - seen.heardMs))
      if (ageMs < ADVERT_LIFE_MS) yield { advert: seen.bytes, ageMs }
    }
  }

  /** Decoded and its signature verified, or undefined. */
  #checked (message: Uint8Array): SignedAdvert | undefined {
    let signed: SignedAdvert
    try {
      signed = decodeAdvert(message)
    } catch {
      return undefined // The verdict says all there is to say of it.
    }
    const publicKey = publicKeyOf(signed.advert.by)
    return publicKey !== undefined && this.#c.verify(publicKey, signed.signed, signed.signature) ? signed : undefined
  }

  /** Takes in a verified advert; undefined when it is stale, our own, or there is no room. */
  #take (nowMs: number, heardMs: number, advert: Advert, bytes: Uint8Array): CapacityEffect[] | undefined {
    if (advert.by === this.#self) return this.#onEcho(nowMs, advert)
    const author = this.#authors.get(advert.by)
    if (author !== undefined && !isAfter(advert, author)) return undefined
    const seen = this.#seen.get(advert.by)
    if (seen === undefined && advert.ad !== undefined && this.#seen.size >= this.#plantsMax) return undefined
    this.#remember(advert.by, { tokens: AUTHOR_BURST, filledMs: nowMs, ...author, epoch: advert.epoch, seq: advert.seq })
    if (advert.ad === undefined) {
      this.#seen.delete(advert.by)
    } else if (seen === undefined) {
      const added = { peer: advert.by, ad: advert.ad, heardMs, bytes }
      this.#seen.set(advert.by, added)
      this.#endsAt(heardMs + ADVERT_LIFE_MS, added, nowMs)
    } else {
      seen.ad = advert.ad
      seen.heardMs = Math.max(seen.heardMs, heardMs)
      seen.bytes = bytes
    }
    return [{ do: 'changed' }]
  }

  /**
   * Its author itself says so, now, and was silent for so long that it is off the view: it was started anew with a clock that went back, and nobody is left
   * to tell it of its higher epoch. Views are not believed so far: they hand on what others said.
   */
  #forgiveClock (from: PeerId, advert: Advert): void {
    const author = this.#authors.get(from)
    if (author !== undefined && advert.epoch < author.epoch && !this.#seen.has(from)) Object.assign(author, { epoch: advert.epoch, seq: -1 })
  }

  /** Our own advert comes back. From before a restart with a clock that went back, it outranks us: take the next epoch. */
  #onEcho (nowMs: number, advert: Advert): CapacityEffect[] | undefined {
    if (!isAfter(advert, { epoch: this.#epoch, seq: this.#seq })) return undefined
    this.#epoch = advert.epoch + 1
    this.#seq = 0
    if (this.#own !== undefined) this.#own.bytes = undefined
    this.#dueAt(nowMs + ADVERT_DEBOUNCE_MS)
    return undefined
  }

  #signOwn (nowMs: number): Uint8Array {
    if (this.#own === undefined) throw new Error('bug: no ad to sign')
    this.#own.bytes = encodeAdvert({ by: this.#self, epoch: this.#epoch, seq: ++this.#seq, ad: this.#own.ad }, this.#c.sign)
    this.#own.signedMs = nowMs
    return this.#own.bytes
  }

  /** Plans an advert; those planned within a debounce time of each other are one. Bounded by the few kinds of reasons there are. */
  #dueAt (ms: number): void {
    if (this.#dueMs.some((due) => Math.abs(due - ms) < ADVERT_DEBOUNCE_MS && due <= ms)) return
    this.#dueMs = [...this.#dueMs, ms].toSorted((a, b) => a - b).slice(0, 8)
  }

  /** 0 when an advert may go out now, else how long to wait. */
  #spendOwn (nowMs: number): number {
    const bucket = this.#ownBucket ?? { tokens: OWN_ADVERTS_BURST, filledMs: nowMs }
    this.#ownBucket = bucket
    refill(bucket, nowMs, OWN_ADVERTS_BURST, OWN_ADVERTS_PER_S)
    if (bucket.tokens < 1) return Math.ceil((1 - bucket.tokens) / OWN_ADVERTS_PER_S * 1_000)
    bucket.tokens--
    return 0
  }

  #spend (nowMs: number, peer: PeerId): boolean {
    const author = this.#authors.get(peer) ?? { epoch: -1, seq: -1, tokens: AUTHOR_BURST, filledMs: nowMs }
    this.#remember(peer, author)
    refill(author, nowMs, AUTHOR_BURST, AUTHOR_PER_S)
    if (author.tokens < 1) return false
    author.tokens--
    return true
  }

  #remember (peer: PeerId, author: Author): void {
    this.#authors.delete(peer)
    this.#authors.set(peer, author)
    const oldest = this.#authors.size > AUTHORS_MAX ? this.#authors.keys().next().value : undefined
    if (oldest !== undefined) this.#authors.delete(oldest)
  }

  #endsAt (ms: number, seen: Seen, nowMs: number): void {
    const second = Math.ceil(ms / BUCKET_MS)
    this.#endedUpTo ??= Math.floor(nowMs / BUCKET_MS)
    const at = Math.max(second, this.#endedUpTo + 1)
    const bucket = this.#endings.get(at)
    if (bucket === undefined) this.#endings.set(at, [seen])
    else bucket.push(seen)
  }

  #dropSilent (nowMs: number): boolean {
    const upTo = Math.floor(nowMs / BUCKET_MS)
    let dropped = false
    if (this.#endedUpTo === undefined || this.#endings.size === 0) {
      if (this.#endedUpTo !== undefined) this.#endedUpTo = Math.max(this.#endedUpTo, upTo)
      return false
    }
    const from = this.#endedUpTo + 1
    this.#endedUpTo = Math.max(this.#endedUpTo, upTo)
    // After a long sleep of the host there are fewer buckets than seconds.
    const due = upTo - from > this.#endings.size ? [...this.#endings.keys()].filter((second) => second <= upTo) : range(from, upTo)
    for (const second of due) {
      const bucket = this.#endings.get(second) ?? []
      this.#endings.delete(second)
      for (const seen of bucket) dropped = this.#dropIfSilent(seen, nowMs) || dropped
    }
    return dropped
  }

  #dropIfSilent (seen: Seen, nowMs: number): boolean {
    if (this.#seen.get(seen.peer) !== seen) return false // Gone by a goodbye; a later entry has a place of its own.
    if (nowMs - seen.heardMs < ADVERT_LIFE_MS) {
      this.#endsAt(seen.heardMs + ADVERT_LIFE_MS, seen, nowMs)
      return false
    }
    this.#seen.delete(seen.peer)
    return true
  }
}

function isAfter (a: { epoch: number, seq: number }, b: { epoch: number, seq: number }): boolean {
  return a.epoch > b.epoch || (a.epoch === b.epoch && a.seq > b.seq)
}

function refill (bucket: { tokens: number, filledMs: number }, nowMs: number, burst: number, perS: number): void {
  bucket.tokens = Math.min(burst, bucket.tokens + Math.max(0, nowMs - bucket.filledMs) / 1_000 * perS)
  bucket.filledMs = nowMs
}

function range (from: number, to: number): number[] {
  return Array.from({ length: Math.max(0, to - from + 1) }, (_, i) => from + i)
}
