/**
 * The other members of one network: who is known, who is dialled when, when the directory is asked. Pure: events in, what to do comes out of `due`.
 *
 *   (named by the directory, a member or an order) ──> waiting ──(its time has come)──> dialling ──(both proofs hold)──> up
 *   waiting <──(not reached, refused, busy)── dialling        waiting <──(lost)── up        (it came by itself) ──> up
 *   gone: it left, or was not reached by DIALS_MAX dials; whoever an order names stays
 *
 * Whoever learns of a member dials it. When two dial each other the lower peer id's stream stays (service.ts); after a loss the higher one waits a little.
 */
import type { PeerId, Random } from '../kit/index.ts'
import {
  DIALS_AT_ONCE_MAX, DIALS_MAX, DIAL_FIRST_MS, DIAL_MS_MAX, HIGHER_WAITS_MS, LINKS_MAX, LOOK_AGAIN_MS, LOOK_FACTOR, LOOK_FIRST_MS, LOOK_MS_MAX, MEMBERS_MAX, MEMBERS_TOLD_MAX,
  REFUSED_FIRST_MS, REFUSED_MS_MAX, UNPROVEN_PER_TELLER_MAX
} from './constants.ts'

export type MemberState = 'waiting' | 'dialling' | 'up'

/** Why a dial or a tunnel ended. */
export type Ending = 'lost' | 'left' | 'unreachable' | 'refused' | 'busy'

/** What to do now. */
export type Due = { t: 'dial', peer: PeerId } | { t: 'look' }

interface Member {
  state: MemberState
  /** When it is dialled next; for those that wait. */
  nextMs: number
  failures: number
  refusals: number
  /** An order names it: never forgotten. */
  named: boolean
  /** The member that told of it, until it has proved itself. */
  teller?: PeerId
}

/** One network's members, as one plant knows them. */
export class Members {
  readonly #self: PeerId
  readonly #random: Random
  readonly #members = new Map<PeerId, Member>()
  readonly #unproven = new Map<PeerId, number>()
  #dialling = 0
  #up = 0
  #looks = 0
  #lookMs: number
  #lookedMs = -Infinity

  constructor (self: PeerId, random: Random, nowMs: number) {
    this.#self = self
    this.#random = random
    this.#lookMs = nowMs
  }

  get known (): number { return this.#members.size }
  get up (): number { return this.#up }

  state (peer: PeerId): MemberState | undefined { return this.#members.get(peer)?.state }

  states (): Array<{ peer: PeerId, state: MemberState }> { return [...this.#members].map(([peer, { state }]) => ({ peer, state })) }

  /** Members with a tunnel, to be told to another: at most MEMBERS_TOLD_MAX, drawn by chance when there are more. */
  toTell (to: PeerId): PeerId[] {
    const peers = [...this.#members].filter(([peer, { state }]) => state === 'up' && peer !== to).map(([peer]) => peer)
    while (peers.length > MEMBERS_TOLD_MAX) peers.splice(this.#random.int(peers.length), 1)
    return peers
  }

  /** The directory named them, or an order (`named`), or a member (`teller`). */
  onNames (peers: readonly PeerId[], nowMs: number, by: { named?: true, teller?: PeerId } = {}): void {
    for (const peer of peers) {
      if (peer === this.#self) continue
      const known = this.#members.get(peer)
      if (known !== undefined) {
        known.named ||= by.named === true
        continue
      }
      const { teller } = by
      const ofTeller = teller === undefined ? 0 : this.#unproven.get(teller) ?? 0
      if (ofTeller >= UNPROVEN_PER_TELLER_MAX || (this.#members.size >= MEMBERS_MAX && !this.#forgetOne())) continue
      if (teller !== undefined) this.#unproven.set(teller, ofTeller + 1)
      this.#members.set(peer, { state: 'waiting', nextMs: nowMs, failures: 0, refusals: 0, named: by.named === true, ...(teller !== undefined && { teller }) })
    }
  }

  /**
   * A peer has become a neighbour: a cut was mended, or it was started anew. If it is a member that waits to be dialled it is dialled now, unless it refuses us; and others may have come
   * with it.
   */
  onNear (peer: PeerId, nowMs: number): void {
    const member = this.#members.get(peer)
    const soonMs = nowMs + this.#random.int(DIAL_FIRST_MS / 2)
    if (member?.state === 'waiting' && member.refusals === 0) member.nextMs = Math.min(member.nextMs, soonMs)
    if (nowMs - this.#lookedMs >= LOOK_AGAIN_MS) this.#lookMs = Math.min(this.#lookMs, nowMs + this.#jittered(LOOK_FIRST_MS))
  }

  /** Whether a tunnel to this peer would be one too many. */
  isFull (peer: PeerId): boolean { return this.#up >= LINKS_MAX && this.#members.get(peer)?.state !== 'up' }

  /** Both proofs hold: there is a tunnel, or another one. */
  onUp (peer: PeerId): void {
    const member = this.#members.get(peer) ?? { state: 'waiting', nextMs: 0, failures: 0, refusals: 0, named: false }
    // It is here: who is only a name makes room, and is named again.
    if (!this.#members.has(peer) && this.#members.size >= MEMBERS_MAX) this.#forgetOne()
    this.#members.set(peer, member)
    this.#proven(member)
    this.#enter(member, 'up')
    member.failures = 0
    member.refusals = 0
  }

  /** A dial failed, or a tunnel ended. */
  onEnd (peer: PeerId, why: Ending, nowMs: number): void {
    const member = this.#members.get(peer)
    // A dial that failed says nothing when the member has come by itself meanwhile.
    if (member === undefined || member.state !== (why === 'lost' || why === 'left' ? 'up' : 'dialling')) return
    this.#enter(member, 'waiting')
    if (why === 'unreachable') member.failures++
    if (why === 'refused') member.refusals++
    if (!member.named && (why === 'left' || member.failures >= DIALS_MAX || member.refusals >= DIALS_MAX)) {
      this.#forget(peer, member)
      return
    }
    member.nextMs = nowMs + this.#pauseMs(peer, member, why)
    if (why === 'lost') {
      // It may come back under another address, or others may have been lost with it.
      this.#looks = 0
      this.#lookMs = Math.min(this.#lookMs, nowMs + this.#jittered(LOOK_FIRST_MS))
    }
  }

  /** What is to be done by now; each is taken as begun. */
  due (nowMs: number): Due[] {
    const due: Due[] = []
    if (nowMs >= this.#lookMs) {
      due.push({ t: 'look' })
      this.#lookedMs = nowMs
      this.#lookMs = nowMs + this.#jittered(Math.min(LOOK_MS_MAX, LOOK_FIRST_MS * LOOK_FACTOR ** Math.min(this.#looks, 10)))
      this.#looks++
    }
    for (const [peer, member] of this.#members) {
      if (this.#dialling >= DIALS_AT_ONCE_MAX || this.#up + this.#dialling >= LINKS_MAX) break
      if (member.state !== 'waiting' || member.nextMs > nowMs) continue
      this.#enter(member, 'dialling')
      due.push({ t: 'dial', peer })
    }
    return due
  }

  /** When `due` has something next. */
  nextMs (): number {
    if (this.#dialling >= DIALS_AT_ONCE_MAX || this.#up + this.#dialling >= LINKS_MAX) return this.#lookMs
    let nextMs = this.#lookMs
    for (const member of this.#members.values()) if (member.state === 'waiting') nextMs = Math.min(nextMs, member.nextMs)
    return nextMs
  }

  #pauseMs (peer: PeerId, member: Member, why: Ending): number {
    const higher = this.#self > peer ? HIGHER_WAITS_MS : 0
    switch (why) {
      case 'lost': return higher + this.#random.int(DIAL_FIRST_MS / 4)
      case 'refused': return this.#jittered(Math.min(REFUSED_MS_MAX, REFUSED_FIRST_MS * 2 ** Math.min(member.refusals - 1, 10)))
      // The other end dials us; should that fail, we are here.
      case 'busy': return this.#jittered(DIAL_FIRST_MS) + higher
      default: return this.#jittered(Math.min(DIAL_MS_MAX, DIAL_FIRST_MS * 2 ** Math.min(member.failures, 10)))
    }
  }

  #jittered (ms: number): number { return ms + this.#random.int(Math.max(1, Math.round(ms / 2))) }

  /** The one place where a state is written. */
  #enter (member: Member, state: MemberState): void {
    if (member.state === 'dialling') this.#dialling--
    if (member.state === 'up') this.#up--
    if (state === 'dialling') this.#dialling++
    if (state === 'up') this.#up++
    member.state = state
  }

  #proven (member: Member): void {
    const { teller } = member
    if (teller === undefined) return
    delete member.teller
    const left = (this.#unproven.get(teller) ?? 1) - 1
    if (left === 0) this.#unproven.delete(teller)
    else this.#unproven.set(teller, left)
  }

  #forget (peer: PeerId, member: Member): void {
    this.#proven(member)
    this.#members.delete(peer)
  }

  /** Makes room by the one that waits and has failed most; false when there is none. */
  #forgetOne (): boolean {
    let worst: [PeerId, Member] | undefined
    for (const [peer, member] of this.#members) {
      if (member.state === 'waiting' && !member.named && (worst === undefined || member.failures + member.refusals > worst[1].failures + worst[1].refusals)) worst = [peer, member]
    }
    if (worst === undefined) return false
    this.#forget(...worst)
    return true
  }
}
