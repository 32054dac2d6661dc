/**
 * A shop has most registrars' word before it calls for bids, and asks them again and again until it has awarded. Listens to what shops say and are told
 * (`overhear.ts`); a shop's own word as registrar is not heard there, and counts where the shop is one.
 */
import { AWARD_PROTOCOL, BID_PROTOCOL, decodeAwardAsk, decodeCall } from '../../protocols/bid/index.ts'
import { CLAIM_PROTOCOL, decodeAnswer, decodeAsk } from '../../protocols/claim/index.ts'
import { PlantError, type PeerId, type VmId } from '../../protocols/kit/index.ts'
import { decodeTicket } from '../../node/shop/ticket.ts'
import type { Goodbyes } from './goodbyes.ts'
import type { Said } from './overhear.ts'
import { registrarSets } from './registered.ts'
import { problem, type Checker, type Seen } from './seen.ts'

/** What is to be listened to. */
export const CLAIMS_HEARD = [CLAIM_PROTOCOL, BID_PROTOCOL, AWARD_PROTOCOL]

/** Claims are renewed every three seconds, by a clock that may be five in a hundred slow. */
const RENEWED_MS_MAX = 4_500

interface Claim { vmId: VmId, by: PeerId, granted: Set<PeerId>, askedMs: number, called: boolean }

/** Checks as shops speak; what it finds is told after the event. */
export class ClaimsHeld {
  readonly #goodbyes: Goodbyes
  readonly #claims = new Map<string, Claim>()
  readonly #farewells = new WeakSet<object>()
  readonly #asks = new WeakMap<object, { claim: Claim, to: PeerId }>()
  /** When each process last began to ask any registrar anything, whether or not it reached it. */
  readonly #openedMs = new Map<PeerId, number>()
  /** Until when each process stood still last. */
  readonly #stillMs = new Map<PeerId, number>()
  #found: { text: string, vmId: VmId } | undefined

  constructor (goodbyes: Goodbyes) { this.#goodbyes = goodbyes }

  checker (): Checker {
    const name = 'claims'
    return {
      name,
      afterEvent: (seen) => {
        this.#goodbyes.look(seen.world)
        for (const { peer, life } of seen.world.plants) if (life !== undefined && life.stillUntilUs > 0) this.#stillMs.set(peer, life.stillUntilUs / 1_000)
        return this.#found === undefined ? undefined : problem(name, seen, this.#found.text, this.#found.vmId)
      }
    }
  }

  onSaid (seen: Seen, said: Said): void {
    const { nowMs } = seen.world.timeline
    if (said.what === 'opening') {
      if (said.protocol === CLAIM_PROTOCOL) this.#openedMs.set(said.by, nowMs)
      return
    }
    if (said.bytes === undefined || said.stream === undefined) return
    try {
      if (said.protocol === CLAIM_PROTOCOL) this.#onClaim(said.stream, said, said.bytes, nowMs)
      else if (said.what === 'ask') this.#onTicket(seen, said, said.bytes, nowMs)
    } catch (error) {
      if (!(error instanceof PlantError)) throw error // Rubbish is no claim.
    }
  }

  #onClaim (stream: object, { by, to, what }: Said, bytes: Uint8Array, nowMs: number): void {
    if (what === 'answer') {
      const asked = this.#asks.get(stream)
      if (asked !== undefined && decodeAnswer(bytes).t === 0) asked.claim.granted.add(asked.to)
      if (this.#farewells.has(stream)) this.#goodbyes.onSaid(by, to, nowMs)
      return
    }
    const ask = decodeAsk(bytes)
    if (ask.t === 5) {
      this.#farewells.add(stream)
      this.#goodbyes.onSaid(by, to, nowMs)
    }
    if (ask.t !== 0) return
    const claim = this.#claims.get(ask.claimId) ?? { vmId: ask.vmId, by, granted: new Set(), askedMs: nowMs, called: false }
    claim.askedMs = nowMs
    this.#claims.set(ask.claimId, claim)
    this.#asks.set(stream, { claim, to })
  }

  #onTicket (seen: Seen, { by, protocol }: Said, bytes: Uint8Array, nowMs: number): void {
    const message = protocol === BID_PROTOCOL ? decodeCall(bytes) : decodeAwardAsk(bytes)
    if (message.t !== 0) return
    const { claimId, provisional } = decodeTicket(message.signedOrder)
    const claim = this.#claims.get(claimId)
    if (claim === undefined || claim.by !== by || provisional) return
    if (protocol === BID_PROTOCOL) this.#onCall(seen, claim)
    else this.#onAward(seen, claim, nowMs)
  }

  #onCall ({ world }: Seen, claim: Claim): void {
    if (claim.called) return
    claim.called = true
    const sets = registrarSets(world, claim.vmId, this.#goodbyes.openAt(claim.by))
    const grantedOf = (registrars: readonly PeerId[]): PeerId[] => registrars.filter((peer) => peer === claim.by || claim.granted.has(peer))
    if (sets.some((set) => 2 * grantedOf(set).length > set.length)) return
    const [registrars = []] = sets
    const granted = grantedOf(registrars)
    this.#find(claim, `${world.nameOf(claim.by)} calls for bids for ${claim.vmId}, and of its registrars ${registrars.map((peer) => world.nameOf(peer)).join(', ')} only [${granted.map((peer) => world.nameOf(peer)).join(', ')}] have granted it`)
  }

  #onAward ({ world }: Seen, claim: Claim, nowMs: number): void {
    // Asked for and not reached is not heard as a question; nor has a process that stood still missed anything by its own fault.
    const lastMs = Math.max(claim.askedMs, this.#openedMs.get(claim.by) ?? 0, this.#stillMs.get(claim.by) ?? 0)
    if (nowMs - lastMs > RENEWED_MS_MAX) this.#find(claim, `${world.nameOf(claim.by)} awards ${claim.vmId} under a claim that it last asked for ${Math.round((nowMs - lastMs) / 1_000)} s ago`)
  }

  #find (claim: Claim, text: string): void { this.#found ??= { text, vmId: claim.vmId } }
}
