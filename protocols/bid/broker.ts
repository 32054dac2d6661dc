/**
 * A broker's side of bids: which bids of its site's plants it has told to whom, and which it has left. Synchronous; times are monotonic.
 *
 *   (answers of the site) ──best──> told ──award──> passed on ──(forgotten, oldest first)──> gone
 *             └──others──> left ──instead of a refused one──> told
 *
 * A bid keeps the id that its plant gave it: after a restart the broker remembers none, but can still ask its plants what became of one.
 */
import type { PeerId, Random, VmId } from '../kit/index.ts'
import { pickOffer } from './auction.ts'
import { BID_TTL_MS, BROKERED_MAX, BROKERED_PER_PEER_MAX, BROKER_MARGIN_MS, DEADLINE_MS, GRANTS_KEPT_MAX } from './constants.ts'
import { refusalOf, type AwardAnswer, type Bid, type Call, type CallAnswer, type Refusal } from './messages.ts'

/** What a plant of the site answered; `plant` is who was asked. */
export interface SiteAnswer { plant: PeerId, answer: CallAnswer }

/** A call that was passed on: who called, and for what. */
export interface BrokeredCall { from: PeerId, vmId: VmId, orderDigest: string }

export interface BrokerBookInit { callsMax?: number, callsPerPeerMax?: number, passedMax?: number }

interface Offer { plant: PeerId, bid: Bid, expiresAtMs: number }
interface Group extends BrokeredCall { left: Offer[], told: Map<string, Offer>, expiresAtMs: number }
interface Passed extends BrokeredCall { plant: PeerId }

/** When a broker answers: what is best at `bestByMs`, or with no bid by then the first that comes, or a refusal at `lastByMs`. */
export function brokerTimes ({ withinMs, deadlineMs = DEADLINE_MS }: Pick<Call, 'withinMs' | 'deadlineMs'>): { bestByMs: number, lastByMs: number } {
  const shortened = (ms: number): number => Math.floor(Math.max(ms / 2, ms - BROKER_MARGIN_MS))
  return { bestByMs: shortened(Math.min(deadlineMs, withinMs)), lastByMs: shortened(withinMs) }
}

/** What a broker has told, and to whom. */
export class BrokerBook {
  readonly #self: PeerId
  readonly #random: Random
  readonly #init: Required<BrokerBookInit>
  /** In the order in which they expire: all live equally long. */
  readonly #groups = new Set<Group>()
  readonly #perPeer = new Map<PeerId, number>()
  /** By the bids that were told. */
  readonly #byBid = new Map<string, Group>()
  readonly #passed = new Map<string, Passed>()

  constructor (self: PeerId, random: Random, init: BrokerBookInit = {}) {
    this.#self = self
    this.#random = random
    this.#init = { callsMax: BROKERED_MAX, callsPerPeerMax: BROKERED_PER_PEER_MAX, passedMax: GRANTS_KEPT_MAX, ...init }
  }

  /** Calls whose bids are remembered. */
  calls (nowMs: number): number {
    this.#dropExpired(nowMs)
    return this.#groups.size
  }

  /** Whether a call of this peer may be passed on. */
  hasRoom (from: PeerId, nowMs: number): boolean {
    return this.calls(nowMs) < this.#init.callsMax && (this.#perPeer.get(from) ?? 0) < this.#init.callsPerPeerMax
  }

  /** Whether the bid was told by this book. */
  knows (from: PeerId, bidId: string): boolean {
    return this.#byBid.get(bidId)?.from === from || this.#passed.get(bidId)?.from === from
  }

  /** The answer to the call, from what the site's plants said, this one among them; undefined when there is none. What is not sound is passed over. */
  onAnswers (call: BrokeredCall, answers: readonly SiteAnswer[], nowMs: number): CallAnswer | undefined {
    const sound = answers.filter(({ plant, answer }) => isOf(plant, call.vmId, answer))
    const held = sound.map(({ answer }) => answer).find((answer) => answer.t === 2)
    if (held !== undefined) return held
    const offers = new Map<string, Offer>()
    for (const { plant, answer } of sound) {
      // Told already under that id: a plant that names another's bid gets nothing of it.
      if (answer.t !== 0 || offers.has(answer.bid.bidId) || this.#byBid.has(answer.bid.bidId) || this.#passed.has(answer.bid.bidId)) continue
      offers.set(answer.bid.bidId, { plant, bid: answer.bid, expiresAtMs: nowMs + Math.min(answer.bid.expiresInMs, BID_TTL_MS) })
    }
    if (offers.size > 0 && !this.hasRoom(call.from, nowMs)) return undefined // Filled up while they answered.
    if (offers.size === 0) return mostHopeful(sound.map(({ answer }) => answer), this.#self)
    const group: Group = { ...call, left: [...offers.values()], told: new Map(), expiresAtMs: nowMs + BID_TTL_MS }
    this.#groups.add(group)
    this.#perPeer.set(call.from, (this.#perPeer.get(call.from) ?? 0) + 1)
    const bid = this.#tellNext(group, nowMs)
    return bid === undefined ? undefined : { t: 0, bid }
  }

  /** An award came: the plant to pass it on to, the answer, or undefined when this book did not tell the bid. */
  onAward (from: PeerId, bidId: string, vmId: VmId, orderDigest: string, nowMs: number): { plant: PeerId } | { answer: AwardAnswer } | undefined {
    this.#dropExpired(nowMs)
    const passed = this.#passed.get(bidId)
    const offer = this.#byBid.get(bidId)?.told.get(bidId)
    const of = passed ?? this.#byBid.get(bidId)
    const plant = passed?.plant ?? offer?.plant
    if (of?.from !== from || plant === undefined || plant === this.#self) return undefined
    const expired = passed === undefined && (offer?.expiresAtMs ?? 0) <= nowMs
    if (of.vmId !== vmId || of.orderDigest !== orderDigest || expired) return { answer: { t: 1, plant, refusal: refusalOf([{ code: 'BID_EXPIRED', clause: 'award' }]) } }
    this.#passed.set(bidId, { from, vmId, orderDigest, plant })
    for (const oldest of this.#passed.keys()) {
      if (this.#passed.size <= this.#init.passedMax) break
      this.#passed.delete(oldest)
    }
    return { plant }
  }

  /** Whom to ask what became of an award, or to undo one; undefined when this book did not tell the bid, or it is this plant's own. */
  plantOf (from: PeerId, bidId: string): PeerId | undefined {
    const passed = this.#passed.get(bidId)
    const group = this.#byBid.get(bidId)
    const plant = passed?.from === from ? passed.plant : group?.from === from ? group.told.get(bidId)?.plant : undefined
    return plant === this.#self ? undefined : plant
  }

  /** The bid came to nothing: the site's next best for the same call, if there is one. */
  next (from: PeerId, bidId: string, nowMs: number): Bid | undefined {
    this.#dropExpired(nowMs)
    const group = this.#byBid.get(bidId)
    return group?.from === from ? this.#tellNext(group, nowMs) : undefined
  }

  #tellNext (group: Group, nowMs: number): Bid | undefined {
    group.left = group.left.filter(({ expiresAtMs }) => expiresAtMs > nowMs)
    const best = pickOffer(group.left, group.left.some(({ bid }) => bid.rank !== undefined), this.#random)
    if (best === undefined) return undefined
    group.left = group.left.filter((offer) => offer !== best)
    group.told.set(best.bid.bidId, best)
    this.#byBid.set(best.bid.bidId, group)
    return { ...best.bid, expiresInMs: Math.floor(best.expiresAtMs - nowMs) }
  }

  #dropExpired (nowMs: number): void {
    for (const group of this.#groups) {
      if (group.expiresAtMs > nowMs) break
      this.#groups.delete(group)
      for (const bidId of group.told.keys()) this.#byBid.delete(bidId)
      const left = (this.#perPeer.get(group.from) ?? 1) - 1
      if (left > 0) this.#perPeer.set(group.from, left)
      else this.#perPeer.delete(group.from)
    }
  }
}

/** Plants of a site speak for themselves, and of the machine that was asked for. */
function isOf (plant: PeerId, vmId: VmId, answer: CallAnswer): boolean {
  switch (answer.t) {
    case 0: return answer.bid.plant === plant && answer.bid.vmId === vmId
    case 1: return answer.plant === plant
    case 2: return answer.held.plant === plant && answer.held.vmId === vmId
  }
}

/** Of refusals the one that is easiest to mend: by the fewest changes, else by waiting; the broker's own last. */
function mostHopeful (answers: readonly CallAnswer[], self: PeerId): CallAnswer | undefined {
  const hardness = ({ smallestChange, reasons }: Refusal): number => {
    if (smallestChange.length > 0) return smallestChange.length
    return reasons.every(({ waitHelps }) => waitHelps === true) ? 1_000 : 2_000
  }
  return answers.filter((answer) => answer.t === 1).toSorted((a, b) => hardness(a.refusal) - hardness(b.refusal) || Number(a.plant === self) - Number(b.plant === self))[0]
}
