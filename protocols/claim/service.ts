/** The claim protocol's streams and clock, bound to the registrar, the claimant and the holder. */
import { Lifetime, PlantError, type Cancel, type MessageStream, type PeerId, type VmId } from '../kit/index.ts'
import { Asking } from './asking.ts'
import { ClaimRun, type ClaimRequest } from './claim-run.ts'
import { BYES_MAX, CLAIM_LIMITS, CLAIM_PROTOCOL, HOLD_BATCH_MAX, KNOWN_LOOK_MS, KNOWN_SAVED_MS, MESSAGES_PER_STREAM_MAX, RECENT_MS, REFRESH_LOOK_MS, REFRESH_SOON_MS, YOUNG_LOOK_MS, YOUNG_MS, YOUNG_QUIET_MS } from './constants.ts'
import { Registrar, isEarlier, type Now } from './core.ts'
import { Confirmation, Holder, type Batch, type ConfirmEnd, type HolderNews } from './holder.ts'
import type { ClaimOutcome, Claiming, ClaimingComponents, ConfirmOutcome } from './index.ts'
import { Introduction } from './introduction.ts'
import { decodeAsk, decodeKept, encodeAnswer, encodeKept, type Answer, type Ask, type Holding, type Rival, type Verdict } from './messages.ts'
import { KnownPlants } from './registrars.ts'

export class ClaimService implements Claiming {
  readonly #c: ClaimingComponents
  readonly #self: PeerId
  readonly #lifetime = new Lifetime()
  readonly #asking: Asking
  readonly #known: KnownPlants
  readonly #introduction: Introduction
  #cancelUpdate: Cancel = () => {}
  readonly #registrar = new Registrar()
  readonly #holder: Holder
  readonly #lostFns = new Set<(vmId: VmId, holder: PeerId) => void>()
  readonly #settledFns = new Set<(vmId: VmId) => void>()
  readonly #contesting = new Set<VmId>()
  /** Registrars of what is held here, of one version of the known plants. */
  #places = { version: -1, of: new Map<VmId, PeerId[]>() }
  /** Orders what this plant tells a registrar, over restarts too: from the wall clock at the start, a thousand to the millisecond. */
  #order: number
  #looking = false
  #lookAgain = false
  #lookAtMs = Infinity
  #cancelLook: Cancel = () => {}
  #startedMs: number | undefined
  /** When the known plants last changed, as far as was seen. */
  #changed = { version: -1, atMs: 0 }
  /** Which known plants were written down, and when (monotonic). */
  #kept = { version: -1, atMs: -Infinity }

  constructor (components: ClaimingComponents) {
    this.#c = components
    this.#self = components.transport.self
    this.#asking = new Asking(components.transport, components.clock, this.#lifetime.signal)
    this.#known = new KnownPlants(this.#self, components.crypto)
    this.#introduction = new Introduction({
      connected: () => components.transport.connected(),
      ask: async (peer, ask) => this.#ask(peer, ask),
      onMissed: (missed) => { this.#known.introduce(missed, components.clock.monotonicMs()) }
    })
    this.#holder = new Holder(this.#self)
    this.#order = components.clock.nowMs() * 1_000
  }

  async start (): Promise<void> {
    for (const { vmId, entry } of this.#c.store.claims()) {
      try {
        this.#registrar.load(vmId, decodeKept(entry), this.#now())
      } catch (error) {
        this.#c.log.error({ vmId, error }, 'what was kept of a machine as its registrar cannot be read')
      }
    }
    this.#recall()
    this.#lifetime.own(await this.#c.transport.handle(CLAIM_PROTOCOL, CLAIM_LIMITS, async (stream) => this.#serve(stream)))
    this.#lifetime.own(this.#c.transport.onNeighbour((_peer, change) => { if (change === 'joined') this.#onJoined() }))
    this.#lifetime.own(() => { this.#cancelLook() })
    this.#lifetime.own(() => { this.#cancelUpdate() })
    this.#startedMs = this.#c.clock.monotonicMs()
    this.#updateLater()
    this.#lookIn(REFRESH_SOON_MS)
  }

  async stop (): Promise<void> {
    if (this.#lifetime.ended) return
    const neighbours = this.#c.transport.connected().slice(0, BYES_MAX)
    // Whoever does not hear it counts this plant among the registrars for a while longer.
    await Promise.allSettled(neighbours.map(async (peer) => this.#ask(peer, { t: 5 })))
    await this.#lifetime.end(new PlantError('INTERRUPTED'))
  }

  async claim (request: ClaimRequest, signal?: AbortSignal): Promise<ClaimOutcome> {
    const { clock, random } = this.#c
    const until = signal === undefined ? this.#lifetime.signal : AbortSignal.any([signal, this.#lifetime.signal])
    await this.#grown(until)
    const run = new ClaimRun({ clock, random, registrarsOf: (vmId) => this.#registrarsOf(vmId), ask: async (peer, ask) => this.#ask(peer, ask) }, request)
    return run.run(until)
  }

  async confirm (request: Holding & { claimId: string, provisional: boolean }, signal?: AbortSignal): Promise<ConfirmOutcome> {
    signal?.throwIfAborted()
    const { vmId, orderDigest, awardedAtMs, claimId, provisional } = request
    const holding = { vmId, orderDigest, awardedAtMs }
    if (!this.#holder.begin(holding)) return this.#holder.has(vmId) ? { kind: 'refused', code: 'CLAIM_LOST', holder: this.#self } : { kind: 'refused', code: 'LIMIT' }
    await this.#grown(this.#lifetime.signal)
    const end = await this.#confirmation(holding, claimId, provisional)
    if (end.kind === 'confirmed' && signal?.aborted !== true) {
      this.#holder.hold(holding, end.provisional)
      this.#lookIn(0)
      return end
    }
    // Some registrars may have noted it: they are told to forget.
    this.drop(vmId, orderDigest)
    signal?.throwIfAborted()
    if (end.kind === 'cut') return { kind: 'refused', code: 'MESH_CUT' }
    const verdict: Verdict | undefined = end.kind === 'refused' ? end.verdict : undefined
    if (verdict?.t === 4) return { kind: 'refused', code: 'LIMIT' }
    const holder = verdict?.t === 1 ? verdict.shop : verdict?.t === 2 || verdict?.t === 3 ? verdict.holder : undefined
    return { kind: 'refused', code: 'CLAIM_LOST', ...(holder !== undefined && { holder }) }
  }

  underWay (): { claims: number, confirmations: number } {
    return { claims: this.#registrar.claims(this.#now()), confirmations: this.#holder.confirming }
  }

  holds (holding: Holding, provisional = false): void {
    this.#holder.hold(holding, provisional)
    this.#lookIn(REFRESH_SOON_MS)
  }

  collected (vmId: VmId, orderDigest: string): void { this.#ended(vmId, orderDigest, true) }

  drop (vmId: VmId, orderDigest: string): void { this.#ended(vmId, orderDigest, false) }

  onLost (fn: (vmId: VmId, holder: PeerId) => void): Cancel {
    this.#lostFns.add(fn)
    return () => { this.#lostFns.delete(fn) }
  }

  onSettled (fn: (vmId: VmId) => void): Cancel {
    this.#settledFns.add(fn)
    return () => { this.#settledFns.delete(fn) }
  }

  #ended (vmId: VmId, orderDigest: string, collected: boolean): void {
    this.#holder.end(vmId, orderDigest, collected, this.#c.clock.monotonicMs())
    this.#lookIn(0)
  }

  /** Resolves once this plant knows the mesh, or has been here long enough to say that it is alone (YOUNG_MS). */
  async #grown (signal: AbortSignal): Promise<void> {
    for (;;) {
      signal.throwIfAborted()
      const nowMs = this.#c.clock.monotonicMs()
      if (nowMs - (this.#startedMs ?? nowMs) >= YOUNG_MS) return
      this.#update()
      const { version } = this.#known
      if (version !== this.#changed.version) this.#changed = { version, atMs: nowMs }
      // Those of before the start do not count: they may be gone, and new ones have come.
      const sees = [...this.#c.peers()].some((peer) => peer !== this.#self)
      if (sees && !this.#introduction.isAwaited && nowMs - this.#changed.atMs >= YOUNG_QUIET_MS) return
      await new Promise<void>((resolve) => { this.#c.clock.after(YOUNG_LOOK_MS, resolve) })
    }
  }

  #now (): Now { return { monotonicMs: this.#c.clock.monotonicMs(), wallMs: this.#c.clock.nowMs() } }

  #registrarsOf (vmId: VmId): PeerId[] {
    this.#update()
    return this.#known.registrarsOf(vmId)
  }

  /** Plants known before a restart are counted for as long as if they had been seen when they were written down: some may be beyond a cut. */
  #recall (): void {
    const { peers, atMs } = this.#c.store.knownPlants()
    if (this.#c.clock.nowMs() - atMs < RECENT_MS) this.#known.update(peers, this.#c.clock.monotonicMs())
    this.#kept = { version: this.#known.version, atMs: this.#c.clock.monotonicMs() }
  }

  #update (): void {
    const nowMs = this.#c.clock.monotonicMs()
    this.#known.update(this.#c.peers(), nowMs)
    const sinceMs = nowMs - this.#kept.atMs
    if (sinceMs < RECENT_MS / 4 && (this.#known.version === this.#kept.version || sinceMs < KNOWN_SAVED_MS)) return
    try {
      this.#c.store.saveKnownPlants({ peers: this.#known.others(), atMs: this.#c.clock.nowMs() })
      this.#kept = { version: this.#known.version, atMs: nowMs }
    } catch (error) {
      this.#c.log.warn({ error }, 'the plants of the mesh could not be written down; tried again')
    }
  }

  async #confirmation (holding: Holding, claimId: string, provisional: boolean): Promise<ConfirmEnd> {
    const registrars = this.#registrarsOf(holding.vmId)
    const confirmation = new Confirmation(registrars, provisional)
    const order = ++this.#order
    return new Promise((resolve) => {
      for (const peer of registrars) {
        void this.#ask(peer, { t: 2, ...holding, claimId, order })
          .then((answer): Verdict | 'failed' => answer.t <= 4 ? answer as Verdict : 'failed', () => 'failed' as const)
          .then((verdict) => {
            const end = confirmation.onAnswer(peer, verdict)
            if (end !== undefined) resolve(end)
          })
      }
    })
  }

  // What others ask

  async #ask (peer: PeerId, ask: Ask): Promise<Answer> {
    if (peer === this.#self) return this.#answer(this.#self, ask)
    return this.#asking.ask(peer, ask)
  }

  async #serve (stream: MessageStream): Promise<void> {
    for (let served = 0; served < MESSAGES_PER_STREAM_MAX; served++) {
      const bytes = await stream.receive()
      if (bytes === undefined) break
      await stream.send(encodeAnswer(this.#answer(stream.peer, decodeAsk(bytes))))
    }
    await stream.close()
  }

  /** Synchronous, so that two askers never meet half way; what must be durable is so before the answer goes out. */
  #answer (from: PeerId, ask: Ask): Answer {
    const answer = this.#judge(from, ask)
    this.#save()
    return answer
  }

  #judge (from: PeerId, ask: Ask): Answer {
    switch (ask.t) {
      case 0: return this.#registrar.onClaim(from, ask, this.#now())
      case 1: this.#registrar.onUnclaim(from, ask); return { t: 5 }
      case 2: return this.#registrar.onConfirm(from, ask, this.#now())
      case 3: return this.#registrar.onHold(from, ask, this.#now())
      case 4: return this.#standing(from, ask.vmId, ask.orderDigest)
      case 5: this.#onBye(from); return { t: 5 }
      case 6: this.#update(); return { t: 9, missed: this.#known.missed(this.#c.peers(), this.#c.clock.monotonicMs(), ask.after) }
    }
  }

  #onJoined (): void {
    this.#introduction.look()
    this.#lookIn(REFRESH_SOON_MS)
  }

  #onBye (from: PeerId): void {
    this.#update()
    this.#known.bye(from, this.#c.clock.monotonicMs())
    this.#updateLater()
  }

  /** Whoever comes is written down whether or not an order asks for registrars meanwhile: this plant may die at once, and start again beyond a cut. */
  #updateLater (): void {
    this.#cancelUpdate()
    if (this.#lifetime.ended) return
    const nowMs = this.#c.clock.monotonicMs()
    const everyMs = nowMs - (this.#startedMs ?? nowMs) < 2 * YOUNG_MS ? YOUNG_QUIET_MS : KNOWN_LOOK_MS
    this.#cancelUpdate = this.#c.clock.after(Math.max(0, Math.min(everyMs, this.#known.byesDueMs - nowMs)), () => {
      this.#update()
      this.#introduction.look()
      this.#updateLater()
    })
  }

  #save (): void {
    const changes = this.#registrar.takeChanges()
    if (changes.length > 0) this.#c.store.saveClaims(changes.map(({ vmId, kept }) => ({ vmId, entry: kept && encodeKept(kept) })))
  }

  #standing (from: PeerId, vmId: VmId, orderDigest: string): Answer {
    const standing = this.#holder.standing(vmId)
    if (standing === undefined) {
      this.#holder.disown(vmId, orderDigest, this.#c.clock.monotonicMs())
      this.#lookIn(REFRESH_SOON_MS)
      return { t: 8 }
    }
    if ('collected' in standing) return { t: 3, holder: this.#self, orderDigest: standing.collected }
    const rivals = standing.orderDigest === orderDigest || this.#c.ordersDiffer?.(vmId) === true
    const proof = rivals ? this.#proof(this.#self, from, vmId) : undefined
    return { t: 7, orderDigest: standing.orderDigest, awardedAtMs: standing.awardedAtMs, ...(proof !== undefined && { proof }) }
  }

  /** Shows, to one peer only, that the prover knows the order; says nothing of it to others. */
  #proof (prover: PeerId, to: PeerId, vmId: VmId): Uint8Array | undefined {
    const knowledge = this.#c.knowledge(vmId, prover)
    if (knowledge === undefined) return undefined
    const head = new TextEncoder().encode(`plantmesh/claim-proof/v1 ${prover} ${to} ${vmId} `)
    const bytes = new Uint8Array(head.length + knowledge.length)
    bytes.set(head)
    bytes.set(knowledge, head.length)
    return this.#c.crypto.sha256(bytes)
  }

  // What registrars are told

  /** Looks after so long at the latest. */
  #lookIn (ms: number): void {
    if (this.#lifetime.ended || this.#startedMs === undefined) return
    const atMs = this.#c.clock.monotonicMs() + ms
    if (atMs >= this.#lookAtMs) return
    this.#cancelLook()
    this.#lookAtMs = atMs
    this.#cancelLook = this.#c.clock.after(ms, () => {
      this.#lookAtMs = Infinity
      void this.#look()
    })
  }

  async #look (): Promise<void> {
    if (this.#looking) {
      this.#lookAgain = true
      return
    }
    this.#looking = true
    try {
      this.#registrar.expire(this.#now())
      this.#save()
      const places = this.#placesNow()
      await Promise.all(this.#holder.due(places, this.#c.clock.monotonicMs()).map(async (batch) => this.#tell(batch)))
    } catch (error) {
      this.#c.log.error({ error }, 'registrars could not be told')
    } finally {
      this.#looking = false
      this.#lookIn(this.#lookAgain ? REFRESH_SOON_MS : REFRESH_LOOK_MS)
      this.#lookAgain = false
    }
  }

  /** The registrars of held machines, computed once for each change of the known plants. */
  #placesNow (): (vmId: VmId) => PeerId[] {
    this.#update()
    const changed = this.#places.version !== this.#known.version
    if (changed || this.#places.of.size > 2 * this.#holder.size + 1_024) this.#places = { version: this.#known.version, of: new Map() }
    const { of } = this.#places
    const places = (vmId: VmId): PeerId[] => {
      const known = of.get(vmId)
      if (known !== undefined) return known
      const found = this.#known.registrarsOf(vmId)
      of.set(vmId, found)
      return found
    }
    if (changed) this.#holder.prune(places)
    return places
  }

  async #tell (batch: Batch): Promise<void> {
    const { peer, holdings, gone } = batch
    let answer: Answer
    try {
      answer = await this.#ask(peer, { t: 3, order: ++this.#order, holdings, gone })
    } catch (error) {
      this.#c.log.debug({ peer, error }, 'a registrar could not be told; tried again')
      return
    }
    if (answer.t !== 6) return
    for (const news of this.#holder.onTold(batch, answer.rivals, answer.full, this.#placesNow(), this.#c.clock.monotonicMs())) this.#onNews(news)
    // More than a batch holds: at once, as long as this registrar listens.
    if (Math.max(holdings.length, gone.length) >= HOLD_BATCH_MAX) this.#lookAgain = true
  }

  #onNews (news: HolderNews): void {
    if (news.kind === 'contest') void this.#contest(news.rival)
    else for (const fn of this.#settledFns) fn(news.vmId)
  }

  /** A machine goes only for a rival that itself says, and shows, that it has the same order of an earlier award. */
  async #contest (rival: Rival): Promise<void> {
    const { vmId, holder } = rival
    const own = this.#holder.standing(vmId)
    if (own === undefined || 'collected' in own || this.#contesting.has(vmId)) return
    this.#contesting.add(vmId)
    try {
      const answer = await this.#ask(holder, { t: 4, vmId, orderDigest: own.orderDigest })
      const expected = this.#proof(holder, this.#self, vmId)
      const shown = answer.t === 7 && answer.proof !== undefined && expected !== undefined && expected.every((byte, i) => byte === answer.proof?.[i])
      if (answer.t !== 7 || !shown || !isEarlier({ holder, awardedAtMs: answer.awardedAtMs }, { holder: this.#self, awardedAtMs: own.awardedAtMs })) {
        this.#c.log.warn({ vmId, holder }, 'a plant is said to hold a machine of ours but does not show that it has the order; both stay')
        return
      }
      if (this.#holder.lose(vmId)) for (const fn of this.#lostFns) fn(vmId, holder)
    } catch (error) {
      this.#c.log.debug({ vmId, holder, error }, 'a plant that holds a machine of ours could not be asked; tried again')
    } finally {
      this.#contesting.delete(vmId)
    }
  }
}
