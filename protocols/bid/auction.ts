/**
 * The shop's side of one order: whom it asked, what they said, whom it awards. Synchronous: events in, effects out.
 *
 *   calling ──deadline / all answered──> awarding ──granted──> ended
 *      │                                  │   ^ └──no answer──> settling ──granted / held──> ended
 *      │                                  └───┴──refused, void, or of unknown fate: the next bid──┘
 *      └──held──> ended                   └──no bid left──> ended (refused)
 *
 * An award without an answer may have been granted. The plant is asked (`settle`): it names the lease or burns the bid. If that too goes
 * unanswered the award is `loose`: the next bid is tried, and the loose award is cancelled until its plant has answered. With `strict`
 * the auction ends instead (`unsettled`).
 */
import type { LeaseId, PeerId, Random, VmId } from '../kit/index.ts'
import { CANDIDATES_MAX, DEADLINE_MS, INSTEAD_MAX, LAST_DEADLINE_MS } from './constants.ts'
import type { AwardAnswer, Bid, CallAnswer, Held, Refusal } from './messages.ts'

/** A plant to ask, and why it was picked (`best by view`, `at random`): for `plantmesh why`. */
export interface Candidate { plant: PeerId, why: string }

/** The index of the offer to award, or undefined for none. Pure. */
export type ChooseOffer = (offers: readonly Bid[], random: Random) => number | undefined

export interface AuctionInit {
  /** CANDIDATES_MAX by default. */
  candidatesMax?: number
  /** Rank and cost by default (`pickOffer`). */
  choose?: ChooseOffer
  deadlineMs?: number
  lastDeadlineMs?: number
  /** End rather than try the next plant while an award's fate is unknown. */
  strict?: boolean
}

export type AuctionEffect =
  | { do: 'call', plant: PeerId }
  | { do: 'wake', atMs: number }
  | { do: 'award' | 'settle' | 'cancel', plant: PeerId, bidId: string }
  | { do: 'end', end: AuctionEnd }

export type AuctionEnd =
  /** `via` is the peer that was awarded: a broker, or the plant itself. */
  | { kind: 'awarded', plant: PeerId, via: PeerId, leaseId: LeaseId, leasedAtMs: number, bid: Bid }
  | { kind: 'held', plant: PeerId, via: PeerId, held: Held }
  | { kind: 'refused' }
  | { kind: 'unsettled', plant: PeerId, bidId: string }
  | { kind: 'aborted' }

/** What one candidate said; times are since the auction's start. */
export interface AnswerRecord {
  plant: PeerId
  /** The broker that answered for the plant. */
  via?: PeerId
  afterMs: number
  kind: 'bid' | 'refusal' | 'held' | 'none'
  late: boolean
  bid?: Bid
  refusal?: Refusal
  held?: Held
  /** Why there is no answer: an error code. */
  problem?: string
}

export type AwardOutcome = 'granted' | 'refused' | 'held' | 'void' | 'expired' | 'unreachable' | 'unknown' | 'aborted'

/** One award that was tried. `unknown`: neither the award nor the question what became of it was answered. */
export interface AttemptRecord {
  plant: PeerId
  /** The broker that was awarded for the plant. */
  via?: PeerId
  bidId: string
  fromMs: number
  toMs?: number
  settledFromMs?: number
  outcome?: AwardOutcome
  refusal?: Refusal
  problem?: string
}

/** All that was decided and why: kept for `plantmesh why`. JSON-safe, bounded by CANDIDATES_MAX and INSTEAD_MAX. */
export interface Decision {
  vmId: VmId
  /** Wall-clock time. */
  startedAtMs: number
  ranked: boolean
  deadlineMs: number
  candidates: Candidate[]
  answers: AnswerRecord[]
  attempts: AttemptRecord[]
  outcome?: AuctionEnd['kind']
  plant?: PeerId
  tookMs?: number
}

type State = 'calling' | 'awarding' | 'settling' | 'ended'
interface Offer { via: PeerId, bid: Bid, expiresAtMs: number }

/** All times handed in are monotonic, except `wallMs`. */
export class Auction {
  readonly decision: Decision
  readonly #random: Random
  readonly #strict: boolean
  readonly #choose: ChooseOffer | undefined
  readonly #startMs: number
  readonly #lastDeadlineMs: number
  readonly #silent: Set<PeerId>
  #offers: Offer[] = []
  /** Bids taken in place of refused ones. */
  #instead = 0
  #state: State = 'calling'
  #current: { offer: Offer, attempt: AttemptRecord } | undefined

  constructor (order: { vmId: VmId, ranked: boolean }, candidates: readonly Candidate[], random: Random, now: { monotonicMs: number, wallMs: number }, init: AuctionInit = {}) {
    const distinct = [...new Map(candidates.map((candidate) => [candidate.plant, candidate])).values()].slice(0, init.candidatesMax ?? CANDIDATES_MAX)
    const deadlineMs = init.deadlineMs ?? DEADLINE_MS
    this.decision = { vmId: order.vmId, startedAtMs: now.wallMs, ranked: order.ranked, deadlineMs, candidates: distinct, answers: [], attempts: [] }
    this.#random = random
    this.#strict = init.strict ?? false
    this.#choose = init.choose
    this.#startMs = now.monotonicMs
    this.#lastDeadlineMs = Math.max(deadlineMs, init.lastDeadlineMs ?? LAST_DEADLINE_MS)
    this.#silent = new Set(distinct.map((candidate) => candidate.plant))
  }

  get ended (): boolean { return this.#state === 'ended' }

  start (nowMs: number): AuctionEffect[] {
    if (this.#silent.size === 0) return this.#end({ kind: 'refused' }, nowMs)
    const calls = this.decision.candidates.map(({ plant }) => ({ do: 'call' as const, plant }))
    return [...calls, { do: 'wake', atMs: this.#startMs + this.decision.deadlineMs }]
  }

  /** A plant answered the call. An answer for another machine is none. */
  onAnswer (via: PeerId, answer: CallAnswer, nowMs: number): AuctionEffect[] {
    const answered = answer.t === 0 ? answer.bid.vmId : answer.t === 2 ? answer.held.vmId : this.decision.vmId
    if (answered !== this.decision.vmId) return this.onNoAnswer(via, 'MESSAGE_INVALID', nowMs)
    if (this.ended || !this.#silent.delete(via)) return []
    const afterMs = nowMs - this.#startMs
    const late = this.#state !== 'calling' || afterMs > this.decision.deadlineMs
    if (answer.t === 1) {
      this.decision.answers.push({ plant: answer.plant, ...through(via, answer.plant), afterMs, kind: 'refusal', late, refusal: answer.refusal })
      return this.#progress(nowMs)
    }
    if (answer.t === 2) {
      this.decision.answers.push({ plant: answer.held.plant, ...through(via, answer.held.plant), afterMs, kind: 'held', late, held: answer.held })
      // While an award is under way its own answer decides: it says `held` or grants; the claim of the VMID tells two apart.
      return this.#state === 'calling' ? this.#end({ kind: 'held', plant: answer.held.plant, via, held: answer.held }, nowMs) : []
    }
    this.#offer(via, answer.bid, late, nowMs)
    return this.#progress(nowMs)
  }

  /** A plant cannot be reached, broke off or sent rubbish. */
  onNoAnswer (via: PeerId, problem: string, nowMs: number): AuctionEffect[] {
    if (this.ended || !this.#silent.delete(via)) return []
    this.decision.answers.push({ plant: via, afterMs: nowMs - this.#startMs, kind: 'none', late: false, problem })
    return this.#progress(nowMs)
  }

  onWake (nowMs: number): AuctionEffect[] {
    return this.#state === 'calling' ? this.#progress(nowMs) : []
  }

  /** The answer to the award, or to the question what became of it. */
  onAwardAnswer (answer: AwardAnswer, nowMs: number): AuctionEffect[] {
    if (this.#current === undefined) return []
    const { offer } = this.#current
    switch (answer.t) {
      case 0:
        this.#closeAttempt('granted', nowMs)
        return this.#end({ kind: 'awarded', plant: answer.plant, via: offer.via, leaseId: answer.leaseId, leasedAtMs: answer.leasedAtMs, bid: offer.bid }, nowMs)
      case 1:
        // Only an award is refused; the question what became of one can but hit a bound, and then nothing is known.
        if (this.#state === 'settling') return this.onAwardLost('LIMIT', true, nowMs)
        this.#closeAttempt('refused', nowMs, { refusal: answer.refusal })
        this.#takeInstead(offer.via, answer.instead, nowMs)
        return this.#awardNext(nowMs)
      case 2:
        // `held` for another machine answers nothing that was asked: the award's fate stays unknown.
        if (answer.held.vmId !== this.decision.vmId) return this.onAwardLost('MESSAGE_INVALID', true, nowMs)
        this.#closeAttempt('held', nowMs)
        return this.#end({ kind: 'held', plant: answer.held.plant, via: offer.via, held: answer.held }, nowMs)
      case 3:
        this.#closeAttempt('void', nowMs)
        this.#takeInstead(offer.via, answer.instead, nowMs)
        return this.#awardNext(nowMs)
    }
  }

  /** No answer to the award, or to the question. `sent`: the award may have arrived. */
  onAwardLost (problem: string, sent: boolean, nowMs: number): AuctionEffect[] {
    if (this.#current === undefined) return []
    const { offer: { via, bid }, attempt } = this.#current
    if (this.#state === 'awarding' && !sent) {
      this.#closeAttempt('unreachable', nowMs, { problem })
      return this.#awardNext(nowMs)
    }
    if (this.#state === 'awarding') {
      this.#state = 'settling'
      attempt.settledFromMs = nowMs - this.#startMs
      attempt.problem = problem
      return [{ do: 'settle', plant: via, bidId: bid.bidId }]
    }
    this.#closeAttempt('unknown', nowMs, { problem })
    const cancel = { do: 'cancel' as const, plant: via, bidId: bid.bidId }
    if (this.#strict) return [cancel, ...this.#end({ kind: 'unsettled', plant: bid.plant, bidId: bid.bidId }, nowMs)]
    return [cancel, ...this.#awardNext(nowMs)]
  }

  /** The client gave up: an award under way is cancelled. */
  onAbort (nowMs: number): AuctionEffect[] {
    if (this.ended) return []
    const cancels = this.#current === undefined ? [] : [{ do: 'cancel' as const, plant: this.#current.offer.via, bidId: this.#current.offer.bid.bidId }]
    this.#closeAttempt('aborted', nowMs)
    return [...cancels, ...this.#end({ kind: 'aborted' }, nowMs)]
  }

  #offer (via: PeerId, bid: Bid, late: boolean, nowMs: number): void {
    this.decision.answers.push({ plant: bid.plant, ...through(via, bid.plant), afterMs: nowMs - this.#startMs, kind: 'bid', late, bid })
    this.#offers.push({ via, bid, expiresAtMs: nowMs + bid.expiresInMs })
  }

  /** A broker has another plant in place of the one that did not take the award: a bid like any other. */
  #takeInstead (via: PeerId, bid: Bid | undefined, nowMs: number): void {
    if (bid === undefined || bid.vmId !== this.decision.vmId || this.#instead >= INSTEAD_MAX) return
    this.#instead++
    this.#offer(via, bid, true, nowMs)
  }

  /** Goes on from `calling` when it is time to. */
  #progress (nowMs: number): AuctionEffect[] {
    if (this.#state !== 'calling') return []
    const afterMs = nowMs - this.#startMs
    if (this.#silent.size > 0 && afterMs < this.decision.deadlineMs) return []
    if (this.#silent.size > 0 && this.#offers.length === 0 && afterMs < this.#lastDeadlineMs) {
      return [{ do: 'wake', atMs: this.#startMs + this.#lastDeadlineMs }]
    }
    return this.#awardNext(nowMs)
  }

  #pick (): Offer | undefined {
    if (this.#choose === undefined) return pickOffer(this.#offers, this.decision.ranked, this.#random)
    const at = this.#offers.length === 0 ? undefined : this.#choose(this.#offers.map(({ bid }) => bid), this.#random)
    return at === undefined ? undefined : this.#offers[at]
  }

  #awardNext (nowMs: number): AuctionEffect[] {
    for (;;) {
      const offer = this.#pick()
      if (offer === undefined) return this.#end({ kind: 'refused' }, nowMs)
      this.#offers = this.#offers.filter((other) => other !== offer)
      const attempt: AttemptRecord = { plant: offer.bid.plant, ...through(offer.via, offer.bid.plant), bidId: offer.bid.bidId, fromMs: nowMs - this.#startMs }
      this.decision.attempts.push(attempt)
      this.#current = { offer, attempt }
      if (offer.expiresAtMs <= nowMs) {
        this.#closeAttempt('expired', nowMs)
        continue
      }
      this.#state = 'awarding'
      return [{ do: 'award', plant: offer.via, bidId: offer.bid.bidId }]
    }
  }

  #closeAttempt (outcome: AwardOutcome, nowMs: number, more: { refusal?: Refusal, problem?: string } = {}): void {
    if (this.#current !== undefined) Object.assign(this.#current.attempt, { toMs: nowMs - this.#startMs, outcome, ...more })
    this.#current = undefined
  }

  #end (end: AuctionEnd, nowMs: number): AuctionEffect[] {
    this.#state = 'ended'
    const afterMs = nowMs - this.#startMs
    for (const plant of this.#silent) this.decision.answers.push({ plant, afterMs, kind: 'none', late: false, problem: 'STREAM_TIMEOUT' })
    this.#silent.clear()
    this.decision.outcome = end.kind
    this.decision.tookMs = afterMs
    if ('plant' in end) this.decision.plant = end.plant
    return [{ do: 'end', end }]
  }
}

/** The broker, where one stands between. */
function through (via: PeerId, plant: PeerId): { via?: PeerId } { return via === plant ? {} : { via } }

/** With a rank the highest wins and cost breaks ties; without one the cheapest wins; what is left equal is drawn. */
export function pickOffer<T extends { bid: Bid }> (offers: readonly T[], ranked: boolean, random: Random): T | undefined {
  // A rank that is not a number counts as 0 (the ClassAd language's rule for matching).
  const rankOf = (offer: T): number => ranked ? offer.bid.rank ?? 0 : 0
  let best: T[] = []
  for (const offer of offers) {
    const first = best[0]
    const order = first === undefined ? -1 : rankOf(first) - rankOf(offer) || offer.bid.total - first.bid.total
    if (order < 0) best = [offer]
    else if (order === 0) best.push(offer)
  }
  return best.length > 1 ? best[random.int(best.length)] : best[0]
}
