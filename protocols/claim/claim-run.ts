/** One claim under way: timers and questions bound to the claimant (claimant.ts), and the renewal of what was granted. */
import { PlantError, toHex, type Cancel, type Clock, type PeerId, type Random, type VmId } from '../kit/index.ts'
import { Claimant, type CheckResult, type ClaimEffect, type ClaimEnd } from './claimant.ts'
import { CLAIM_RENEW_MS } from './constants.ts'
import type { ClaimOutcome, GrantedClaim } from './index.ts'
import type { Answer, Ask, Verdict } from './messages.ts'
import { majorityOf } from './registrars.ts'

export interface ClaimRunComponents {
  clock: Clock
  random: Random
  registrarsOf (vmId: VmId): PeerId[]
  ask (peer: PeerId, ask: Ask): Promise<Answer>
}

export interface ClaimRequest { vmId: VmId, orderDigest: string, strict: boolean }

/** One claim from its asking to its end, over streams and clock. */
export class ClaimRun {
  readonly #c: ClaimRunComponents
  readonly #request: ClaimRequest
  readonly #claimId: string
  readonly #claimant: Claimant
  readonly #timers = new Set<Cancel>()
  readonly #lost = new AbortController()
  #round = 0
  #asked = new Set<PeerId>()
  #over = false
  #settle: { resolve (outcome: ClaimOutcome): void, reject (error: unknown): void } | undefined

  constructor (components: ClaimRunComponents, request: ClaimRequest) {
    this.#c = components
    this.#request = request
    this.#claimId = toHex(components.random.bytes(16))
    this.#claimant = new Claimant({ strict: request.strict, random: components.random })
  }

  async run (signal: AbortSignal): Promise<ClaimOutcome> {
    signal.throwIfAborted()
    const onAbort = (): void => { this.#finish(() => { this.#settle?.reject(signal.reason) }, true) }
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      return await new Promise<ClaimOutcome>((resolve, reject) => {
        this.#settle = { resolve, reject }
        this.#begin()
      })
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }

  #begin (): void { this.#do(this.#claimant.begin(this.#c.registrarsOf(this.#request.vmId))) }

  #do (effects: ClaimEffect[]): void {
    for (const effect of effects) {
      if (this.#over) return
      switch (effect.do) {
        case 'ask': this.#askAll(effect.round, effect.peers); break
        case 'unclaim': this.#unclaim(effect.round, effect.peers); break
        case 'check': void this.#check(effect.holder, effect.orderDigest).then((result) => { this.#do(this.#claimant.onChecked(result)) }); break
        case 'grace': this.#after(effect.inMs, () => { this.#do(this.#claimant.onGrace(effect.round)) }); break
        case 'again': this.#after(effect.inMs, () => { this.#begin() }); break
        case 'end': this.#end(effect.end); break
      }
    }
  }

  #askAll (round: number, peers: PeerId[]): void {
    this.#round = round
    const { vmId, orderDigest } = this.#request
    for (const peer of peers) {
      this.#asked.add(peer)
      void this.#verdict(peer, { t: 0, vmId, orderDigest, claimId: this.#claimId, round })
        .then((verdict) => { if (!this.#over) this.#do(this.#claimant.onAnswer(round, peer, verdict)) })
    }
  }

  async #verdict (peer: PeerId, ask: Ask): Promise<Verdict | 'failed'> {
    try {
      const answer = await this.#c.ask(peer, ask)
      return answer.t <= 4 ? answer as Verdict : 'failed'
    } catch {
      return 'failed' // A registrar that cannot be asked is a fact to decide on, not an error.
    }
  }

  async #check (holder: PeerId, orderDigest: string): Promise<CheckResult> {
    try {
      const answer = await this.#c.ask(holder, { t: 4, vmId: this.#request.vmId, orderDigest })
      if (answer.t === 7) return 'mine'
      if (answer.t === 3) return { collected: answer.orderDigest }
      return answer.t === 8 ? 'not mine' : 'silent'
    } catch {
      return 'silent'
    }
  }

  /** Best effort: a claim that is not given back lapses. */
  #unclaim (round: number, peers: Iterable<PeerId>): void {
    for (const peer of peers) void this.#verdict(peer, { t: 1, vmId: this.#request.vmId, claimId: this.#claimId, round })
  }

  #after (ms: number, fn: () => void): void {
    const cancel = this.#c.clock.after(ms, () => {
      this.#timers.delete(cancel)
      if (!this.#over) fn()
    })
    this.#timers.add(cancel)
  }

  #end (end: ClaimEnd): void {
    if (end.kind === 'granted') {
      this.#renewLater()
      this.#settle?.resolve(this.#granted(end.provisional))
      return
    }
    this.#finish(() => {
      if (end.kind === 'cut') this.#settle?.reject(new PlantError('MESH_CUT', { vmId: this.#request.vmId }))
      else if (end.kind === 'full') this.#settle?.reject(new PlantError('LIMIT', { bound: 'claims at the registrars', vmId: this.#request.vmId }))
      else this.#settle?.resolve(end)
    }, false)
  }

  #granted (provisional: boolean): GrantedClaim {
    return { kind: 'granted', claimId: this.#claimId, provisional, lost: this.#lost.signal, end: async () => { this.#finish(() => {}, true) } }
  }

  #finish (then: () => void, unclaim: boolean): void {
    if (this.#over) return
    this.#over = true
    for (const cancel of this.#timers) cancel()
    this.#timers.clear()
    if (unclaim) this.#unclaim(this.#round, this.#asked)
    then()
  }

  #renewLater (): void { this.#after(CLAIM_RENEW_MS, () => { void this.#renew() }) }

  async #renew (): Promise<void> {
    const { vmId, orderDigest } = this.#request
    const registrars = this.#c.registrarsOf(vmId)
    const round = ++this.#round
    this.#renewLater()
    for (const peer of registrars) this.#asked.add(peer)
    const verdicts = await Promise.all(registrars.map(async (peer) => this.#verdict(peer, { t: 0, vmId, orderDigest, claimId: this.#claimId, round })))
    const others = verdicts.filter((verdict) => verdict !== 'failed' && verdict.t === 1).length
    if (!this.#over && others >= majorityOf(registrars.length)) this.#lost.abort(new PlantError('CLAIM_LOST', { vmId }))
  }
}
