/**
 * A shop that claims a VMID. Synchronous: answers in, effects out; one object for each claim.
 *
 *   asking ──majority──> granted            asking ──others claim──> waiting ──wake──> asking
 *     │  └──held, to be checked──> checking ──its plant says so──> held
 *     └──too few answer, CUT_ROUNDS times──> provisional (or cut, when strict)
 */
import type { PeerId, Random } from '../kit/index.ts'
import { BACKOFF_MAX_MS, BACKOFF_MIN_MS, CUT_PAUSE_MS, CUT_ROUNDS, GRACE_MS } from './constants.ts'
import { isEarlier } from './core.ts'
import type { HeldAnswer, Verdict } from './messages.ts'
import { majorityOf } from './registrars.ts'

/** How a claim ended. `full`: too few registrars have room. */
export type ClaimEnd =
  | { kind: 'granted', provisional: boolean }
  | { kind: 'held', plant: PeerId, orderDigest: string, awardedAtMs: number }
  | { kind: 'collected', plant: PeerId, orderDigest: string }
  | { kind: 'cut' }
  | { kind: 'full' }

/** `again`: call `begin` with the registrars of that moment. Answers and failures come back with the round of the `ask`. */
export type ClaimEffect =
  | { do: 'ask', round: number, peers: PeerId[] }
  | { do: 'unclaim', round: number, peers: PeerId[] }
  | { do: 'check', holder: PeerId, orderDigest: string }
  | { do: 'grace', round: number, inMs: number }
  | { do: 'again', inMs: number }
  | { do: 'end', end: ClaimEnd }

/** What a holder said when it was asked whether it has the machine. */
export type CheckResult = 'mine' | 'not mine' | 'silent' | { collected: string }

type State = 'asking' | 'checking' | 'waiting' | 'ended'

/** The shop's side of one claim: answers in, effects out. */
export class Claimant {
  readonly #strict: boolean
  readonly #random: Random
  #state: State = 'waiting'
  #round = 0
  #registrars: PeerId[] = []
  #answers = new Map<PeerId, Verdict | 'failed'>()
  #graceOver = false
  #cutRounds = 0
  #lostRounds = 0
  #checked: HeldAnswer | undefined

  constructor (init: { strict: boolean, random: Random }) {
    this.#strict = init.strict
    this.#random = init.random
  }

  get round (): number { return this.#round }

  begin (registrars: PeerId[]): ClaimEffect[] {
    this.#state = 'asking'
    this.#round++
    this.#registrars = registrars
    this.#answers = new Map()
    this.#graceOver = false
    return [{ do: 'ask', round: this.#round, peers: registrars }]
  }

  onAnswer (round: number, peer: PeerId, answer: Verdict | 'failed'): ClaimEffect[] {
    if (this.#state !== 'asking' || round !== this.#round || this.#answers.has(peer)) return []
    this.#answers.set(peer, answer)
    return this.#judge()
  }

  onGrace (round: number): ClaimEffect[] {
    if (this.#state !== 'asking' || round !== this.#round) return []
    this.#graceOver = true
    return this.#judge()
  }

  onChecked (result: CheckResult): ClaimEffect[] {
    const held = this.#checked
    if (this.#state !== 'checking' || held === undefined) return []
    if (typeof result === 'object') return this.#end({ kind: 'collected', plant: held.holder, orderDigest: result.collected })
    // A holder that is silent may have the machine: its registrar's word stands. Unsettled minorities are asked about only without a majority.
    if (result !== 'not mine') return this.#end({ kind: 'held', plant: held.holder, orderDigest: held.orderDigest, awardedAtMs: held.awardedAtMs })
    // It withdraws its word at its registrars when asked.
    return this.#isGranted() ? this.#end({ kind: 'granted', provisional: false }) : this.#wait()
  }

  #of<T extends Verdict['t']> (t: T): Array<Extract<Verdict, { t: T }>> {
    return [...this.#answers.values()].filter((answer): answer is Extract<Verdict, { t: T }> => answer !== 'failed' && answer.t === t)
  }

  #isGranted (): boolean { return this.#of(0).length >= majorityOf(this.#registrars.length) }

  #judge (): ClaimEffect[] {
    const pending = this.#registrars.length - this.#answers.size
    const [collected] = this.#of(3)
    if (collected !== undefined) return this.#end({ kind: 'collected', plant: collected.holder, orderDigest: collected.orderDigest })
    if (this.#isGranted()) {
      if (pending > 0 && !this.#graceOver) return this.#of(0).length === majorityOf(this.#registrars.length) ? [{ do: 'grace', round: this.#round, inMs: GRACE_MS }] : []
      // A settled holder against a majority: registrars have changed since it confirmed.
      const settled = this.#of(2).find((held) => held.settled)
      return settled === undefined ? this.#end({ kind: 'granted', provisional: false }) : this.#check(settled)
    }
    const decided = Math.max(this.#of(1).length, this.#of(2).length) >= majorityOf(this.#registrars.length)
    return pending > 0 && !decided ? [] : this.#judgeWithoutMajority()
  }

  #judgeWithoutMajority (): ClaimEffect[] {
    const majority = majorityOf(this.#registrars.length)
    const held = this.#of(2)
    const first = held.reduce<HeldAnswer | undefined>((best, one) => best === undefined || isEarlier(one, best) ? one : best, undefined)
    if (first !== undefined) return this.#check(first)
    if (this.#of(1).length > 0) return this.#wait()
    const failed = [...this.#answers.values()].filter((answer) => answer === 'failed').length
    if (this.#registrars.length - failed >= majority) return this.#of(4).length > 0 ? this.#end({ kind: 'full' }) : this.#wait()
    if (++this.#cutRounds < CUT_ROUNDS) return this.#again(CUT_PAUSE_MS)
    return this.#end(this.#strict ? { kind: 'cut' } : { kind: 'granted', provisional: true })
  }

  #check (held: HeldAnswer): ClaimEffect[] {
    this.#state = 'checking'
    this.#checked = held
    return [{ do: 'check', holder: held.holder, orderDigest: held.orderDigest }]
  }

  /** Others have it, in whole or in part: gives up what was granted, and tries again at a moment of chance. */
  #wait (): ClaimEffect[] {
    const baseMs = Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** Math.min(this.#lostRounds++, 10))
    return [{ do: 'unclaim', round: this.#round, peers: this.#registrars }, ...this.#again(Math.round(baseMs * (0.5 + this.#random.int(1_024) / 1_024)))]
  }

  #again (inMs: number): ClaimEffect[] {
    this.#state = 'waiting'
    return [{ do: 'again', inMs }]
  }

  #end (end: ClaimEnd): ClaimEffect[] {
    this.#state = 'ended'
    const keeps = end.kind === 'granted'
    return [...(keeps ? [] : [{ do: 'unclaim' as const, round: this.#round, peers: this.#registrars }]), { do: 'end', end }]
  }
}
