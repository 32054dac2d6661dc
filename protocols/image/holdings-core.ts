/**
 * When to tell what this plant holds, and what the others hold. Synchronous: an event and the (monotonic) time go in, effects come out;
 * `wakeAtMs` says when it wants to be called again. The simulator runs it as it is.
 *
 * Another plant's holdings:  unknown --told--> known --told with a higher (epoch, seq)--> known --HOLDINGS_LIFE_MS of silence--> unknown
 */
import { publicKeyOf, type GoldenId, type PeerId, type Random } from '../kit/index.ts'
import { Catalogue } from './catalogue.ts'
import {
  HOLDERS_MAX, HOLDER_BURST, HOLDER_EVERY_MS, HOLDER_RATES_MAX, HOLDINGS_BYTES_MAX, HOLDINGS_DEBOUNCE_MS, HOLDINGS_EVERY_MS, HOLDINGS_JITTER_SHARE, HOLDINGS_LIFE_MS,
  OWN_HOLDINGS_BURST, OWN_HOLDINGS_EVERY_MS
} from './holdings-limits.ts'
import { HoldingsSummary } from './holdings-summary.ts'
import { decodeHoldings, encodeHoldings, fitHoldings, type Holding, type Holdings, type SignedHoldings } from './holdings.ts'

export type HoldingsEffect =
  | { do: 'publish', message: Uint8Array }
  /** The catalogue has changed. */
  | { do: 'changed' }

export interface HoldingsCoreInit {
  self: PeerId
  /** Higher than at any earlier start of this plant, as far as is known: the wall clock in ms will do. */
  epoch: number
}

export interface HoldingsCoreComponents {
  random: Random
  sign (bytes: Uint8Array): Uint8Array
  verify (publicKey: Uint8Array, bytes: Uint8Array, signature: Uint8Array): boolean
}

/** What another plant told, as it is handed on. */
export interface AgedHoldings { message: Uint8Array, ageMs: number }

interface Told { epoch: number, seq: number, heardMs: number, message: Uint8Array }
interface Bucket { tokens: number, filledMs: number }

/** What this plant tells and what it was told: events in, effects out; knows no clock of its own. */
export class HoldingsCore {
  readonly catalogue = new Catalogue()
  readonly #c: HoldingsCoreComponents
  readonly #self: PeerId
  /** In the order in which they were last heard of. */
  readonly #told = new Map<PeerId, Told>()
  readonly #summary = new HoldingsSummary()
  readonly #rates = new Map<PeerId, Bucket>()
  #epoch: number
  #seq = 0
  #own: { holdings: readonly Holding[], roomMiB: number, key: string, message: Uint8Array | undefined, signedMs: number } | undefined
  /** Uses an hour as this plant last told them. */
  #toldUses = new Map<GoldenId, number>()
  #dueMs = Infinity
  #ownRate: Bucket | undefined

  constructor (components: HoldingsCoreComponents, init: HoldingsCoreInit) {
    this.#c = components
    this.#self = init.self
    this.#epoch = init.epoch
  }

  /** When `onWake` is due; Infinity when nothing is. */
  get wakeAtMs (): number {
    const first = this.#told.values().next().value
    return Math.min(this.#own === undefined ? Infinity : this.#dueMs, first === undefined ? Infinity : first.heardMs + HOLDINGS_LIFE_MS)
  }

  /**
   * What this plant holds has changed, or is said for the first time. That something was used again is told with the next telling, unless it is used twice
   * as often as was told, or half.
   */
  onOwn (nowMs: number, holdings: readonly Holding[], roomMiB = 0): HoldingsEffect[] {
    const key = JSON.stringify(holdings.map(({ goldenId, ownBytes, totalBytes }) => [goldenId, ownBytes, totalBytes]).toSorted()) + String(roomMiB > 0)
    const same = this.#own?.key === key && !holdings.some(({ goldenId, uses = 0 }) => isFarFrom(uses, this.#toldUses.get(goldenId) ?? 0))
    this.#own = { holdings, roomMiB, key, message: undefined, signedMs: nowMs }
    if (same) return []
    this.#dueMs = Math.min(this.#dueMs, nowMs + HOLDINGS_DEBOUNCE_MS)
    const { holdings: told, more } = fitHoldings(holdings)
    this.catalogue.set(this.#self, told, more, roomMiB)
    this.#summary.set(this.#self, told)
    return [{ do: 'changed' }]
  }

  /** A gossip message and its verified author. */
  onGossip (nowMs: number, from: PeerId, message: Uint8Array): { verdict: 'accept' | 'ignore' | 'reject', effects: HoldingsEffect[] } {
    if (message.length > HOLDINGS_BYTES_MAX) return { verdict: 'reject', effects: [] }
    // Before decoding and verifying: rubbish, too, spends its author's quota.
    if (!this.#spend(nowMs, from)) return { verdict: 'ignore', effects: [] }
    const signed = this.#checked(message)
    if (signed === undefined || signed.told.by !== from) return { verdict: 'reject', effects: [] }
    return this.#take(nowMs, nowMs, signed.told, message) ? { verdict: 'accept', effects: [{ do: 'changed' }] } : { verdict: 'ignore', effects: [] }
  }

  /** A part of what a neighbour was told. `sound` is false when it held anything invalid: then the rest is not worth reading. */
  onPart (nowMs: number, part: readonly AgedHoldings[]): { sound: boolean, effects: HoldingsEffect[] } {
    let changed = false
    for (const { message, ageMs } of part) {
      const signed = message.length > HOLDINGS_BYTES_MAX ? undefined : this.#checked(message)
      if (signed === undefined) return { sound: false, effects: changed ? [{ do: 'changed' }] : [] }
      if (ageMs < HOLDINGS_LIFE_MS) changed = this.#take(nowMs, nowMs - ageMs, signed.told, message) || changed
    }
    return { sound: true, effects: changed ? [{ do: 'changed' }] : [] }
  }

  /** Tells when that is due, and forgets whom it has not heard of for too long. */
  onWake (nowMs: number): HoldingsEffect[] {
    const effects: HoldingsEffect[] = this.#dropSilent(nowMs) ? [{ do: 'changed' }] : []
    if (this.#own === undefined || this.#dueMs > nowMs) return effects
    this.#ownRate ??= { tokens: OWN_HOLDINGS_BURST, filledMs: nowMs }
    if (!spend(this.#ownRate, nowMs, OWN_HOLDINGS_BURST, OWN_HOLDINGS_EVERY_MS)) {
      this.#dueMs = nowMs + Math.ceil((1 - this.#ownRate.tokens) * OWN_HOLDINGS_EVERY_MS)
      return effects
    }
    const jitter = 1 + HOLDINGS_JITTER_SHARE * (this.#c.random.int(2_001) / 1_000 - 1)
    this.#dueMs = nowMs + HOLDINGS_EVERY_MS * jitter
    return [...effects, { do: 'publish', message: this.#signOwn(nowMs) }]
  }

  /** Of what is known, for a neighbour to compare with its own. */
  summary (): Uint8Array { return this.#summary.bytes() }

  /** What is known, to hand on: this plant's own first. To one with a summary, only what it may lack. */
  * toHandOn (nowMs: number, have?: Uint8Array): Generator<AgedHoldings> {
    if (this.#own !== undefined && (have === undefined || this.#summary.differs(this.#self, have))) {
      const message = this.#own.message ?? this.#signOwn(nowMs)
      yield { message, ageMs: Math.max(0, Math.floor(nowMs - this.#own.signedMs)) }
    }
    for (const [peer, { message, heardMs }] of this.#told) {
      if (have !== undefined && !this.#summary.differs(peer, have)) continue
      const ageMs = Math.max(0, Math.floor(nowMs - heardMs))
      if (ageMs < HOLDINGS_LIFE_MS) yield { message, ageMs }
    }
  }

  #checked (message: Uint8Array): SignedHoldings | undefined {
    let signed: SignedHoldings
    try {
      signed = decodeHoldings(message)
    } catch {
      return undefined // The verdict says all there is to say of it.
    }
    const publicKey = publicKeyOf(signed.told.by)
    return publicKey !== undefined && this.#c.verify(publicKey, signed.signed, signed.signature) ? signed : undefined
  }

  /** False when it is stale, our own, or there is no room. */
  #take (nowMs: number, heardMs: number, told: Holdings, message: Uint8Array): boolean {
    if (told.by === this.#self) {
      this.#onEcho(nowMs, told)
      return false
    }
    const before = this.#told.get(told.by)
    if (before !== undefined && !isAfter(told, before)) return false
    if (before === undefined && this.#told.size >= HOLDERS_MAX) return false
    if (!this.catalogue.set(told.by, told.holdings, told.more, told.roomMiB)) {
      this.#told.delete(told.by)
      this.#summary.remove(told.by)
      return false
    }
    this.#summary.set(told.by, told.holdings)
    this.#told.delete(told.by)
    this.#told.set(told.by, { epoch: told.epoch, seq: told.seq, heardMs, message })
    return true
  }

  /** Our own word comes back. From before a restart with a clock that went back, it outranks us: take the next epoch. */
  #onEcho (nowMs: number, told: Holdings): void {
    if (!isAfter(told, { epoch: this.#epoch, seq: this.#seq })) return
    this.#epoch = told.epoch + 1
    this.#seq = 0
    if (this.#own === undefined) return
    this.#own.message = undefined
    this.#dueMs = Math.min(this.#dueMs, nowMs + HOLDINGS_DEBOUNCE_MS)
  }

  #signOwn (nowMs: number): Uint8Array {
    if (this.#own === undefined) throw new Error('bug: nothing to tell')
    this.#own.message = encodeHoldings({ by: this.#self, epoch: this.#epoch, seq: ++this.#seq, ...fitHoldings(this.#own.holdings), roomMiB: this.#own.roomMiB }, this.#c.sign)
    this.#toldUses = new Map(this.#own.holdings.map(({ goldenId, uses = 0 }) => [goldenId, uses]))
    this.#own.signedMs = nowMs
    return this.#own.message
  }

  #spend (nowMs: number, peer: PeerId): boolean {
    const bucket = this.#rates.get(peer) ?? { tokens: HOLDER_BURST, filledMs: nowMs }
    this.#rates.delete(peer)
    this.#rates.set(peer, bucket)
    const oldest = this.#rates.size > HOLDER_RATES_MAX ? this.#rates.keys().next().value : undefined
    if (oldest !== undefined) this.#rates.delete(oldest)
    return spend(bucket, nowMs, HOLDER_BURST, HOLDER_EVERY_MS)
  }

  /** Those heard of longest ago come first; what a neighbour handed on may be older than where it stands, and goes when its turn comes. */
  #dropSilent (nowMs: number): boolean {
    let dropped = false
    for (const [peer, { heardMs }] of this.#told) {
      if (nowMs - heardMs < HOLDINGS_LIFE_MS) break
      this.#told.delete(peer)
      this.catalogue.remove(peer)
      this.#summary.remove(peer)
      dropped = true
    }
    return dropped
  }
}

function isAfter (a: { epoch: number, seq: number }, b: { epoch: number, seq: number }): boolean {
  return a.epoch > b.epoch || (a.epoch === b.epoch && a.seq > b.seq)
}

/** Twice, or half; 0 and 1 are as near as 1 and 2. */
function isFarFrom (uses: number, told: number): boolean { return uses >= 2 * (told + 1) || told >= 2 * (uses + 1) }

/** Takes one from a bucket that fills by one in `everyMs`; false when it is empty. */
function spend (bucket: Bucket, nowMs: number, burst: number, everyMs: number): boolean {
  bucket.tokens = Math.min(burst, bucket.tokens + Math.max(0, nowMs - bucket.filledMs) / everyMs)
  bucket.filledMs = nowMs
  if (bucket.tokens < 1) return false
  bucket.tokens--
  return true
}
