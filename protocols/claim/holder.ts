/**
 * A plant's own machines, as its registrars are to know them. Synchronous.
 *
 *   none ──confirm──> confirming ──majority, or provisional──> held ──collect──> gone (told) ──all told──> none
 *                         └──refused──> gone (told)              └──a rival of an earlier award──> lost ──collect, drop──> none
 */
import type { PeerId, VmId } from '../kit/index.ts'
import { COLLECTED_KEPT_MS, GONE_MAX, HOLD_BATCH_MAX, HOLDINGS_MAX, REFRESH_MS } from './constants.ts'
import { isEarlier } from './core.ts'
import type { Gone, Holding, Rival, Verdict } from './messages.ts'
import { majorityOf } from './registrars.ts'

/** How a confirmation ended. `cut`: too few registrars answered, and that was not allowed. */
export type ConfirmEnd = { kind: 'confirmed', provisional: boolean } | { kind: 'refused', verdict: Verdict } | { kind: 'cut' }

/** One confirmation: which answers of the registrars let a machine be started. */
export class Confirmation {
  readonly #registrars: readonly PeerId[]
  readonly #provisionalAllowed: boolean
  readonly #answers = new Map<PeerId, Verdict | 'failed'>()

  constructor (registrars: readonly PeerId[], provisionalAllowed: boolean) {
    this.#registrars = registrars
    this.#provisionalAllowed = provisionalAllowed
  }

  /** The end, once it is decided. */
  onAnswer (peer: PeerId, answer: Verdict | 'failed'): ConfirmEnd | undefined {
    this.#answers.set(peer, answer)
    const given = [...this.#answers.values()].filter((one) => one !== 'failed')
    // A machine that runs or was collected is never made again, whatever the others say.
    const exists = given.find((one) => one.t === 3 || (one.t === 2 && one.settled))
    if (exists !== undefined) return { kind: 'refused', verdict: exists }
    const majority = majorityOf(this.#registrars.length)
    const granted = given.filter((one) => one.t === 0).length
    if (granted >= majority) return { kind: 'confirmed', provisional: false }
    if (this.#answers.size < this.#registrars.length) return undefined
    const refused = given.find((one) => one.t !== 0)
    if (refused !== undefined) return { kind: 'refused', verdict: refused }
    return this.#provisionalAllowed ? { kind: 'confirmed', provisional: true } : { kind: 'cut' }
  }
}

/** `told`: when each registrar heard of it last, and whether it knew of no rival then. */
interface Held extends Holding { state: 'confirming' | 'held' | 'lost', provisional: boolean, told: Map<PeerId, { atMs: number, agreed: boolean }> }
interface Left extends Gone { untilMs: number, told: Set<PeerId> }

/** What one registrar is to be told now. */
export interface Batch { peer: PeerId, holdings: Holding[], gone: Gone[] }

/** A rival of an earlier award to be asked for its proof; a provisional machine that a majority now knows. */
export type HolderNews = { kind: 'contest', rival: Rival } | { kind: 'settled', vmId: VmId }

/** The plant's side: which machines it holds and what its registrars were told of them. */
export class Holder {
  readonly #self: PeerId
  readonly #held = new Map<VmId, Held>()
  readonly #left = new Map<VmId, Left>()

  constructor (self: PeerId) { this.#self = self }

  get size (): number { return this.#held.size }
  get confirming (): number { return [...this.#held.values()].filter(({ state }) => state === 'confirming').length }

  /** False when the plant holds as many as it may, or this one already. */
  begin (holding: Holding): boolean {
    if (this.#held.has(holding.vmId) || this.#held.size >= HOLDINGS_MAX) return false
    this.#left.delete(holding.vmId)
    this.#held.set(holding.vmId, { ...holding, state: 'confirming', provisional: false, told: new Map() })
    return true
  }

  /** Confirmed, or known from the records after a restart. */
  hold (holding: Holding, provisional: boolean): void {
    const known = this.#held.get(holding.vmId)
    this.#left.delete(holding.vmId)
    if (known !== undefined) Object.assign(known, { state: 'held', provisional })
    else this.#held.set(holding.vmId, { ...holding, state: 'held', provisional, told: new Map() })
  }

  /**
   * Ends a holding; its registrars are told until all have heard. A machine lost to a rival is the rival's: that it was collected here says nothing
   * of the order, only that the rival has none any more.
   */
  end (vmId: VmId, orderDigest: string, collected: boolean, nowMs: number): void {
    const held = this.#held.get(vmId)
    this.#held.delete(vmId)
    const gone = collected && held?.state !== 'lost'
    if (this.#left.size >= GONE_MAX && !this.#forgetLeft(gone)) return
    this.#left.set(vmId, { vmId, orderDigest, collected: gone, untilMs: nowMs + COLLECTED_KEPT_MS, told: new Set() })
  }

  /** Someone was told that a machine is here which is not: whoever says so is to forget it. */
  disown (vmId: VmId, orderDigest: string, nowMs: number): void {
    if (!this.#held.has(vmId) && !this.#left.has(vmId)) this.end(vmId, orderDigest, false, nowMs)
  }

  /** Makes room: what was never begun goes before what was collected, which only another collected one replaces. */
  #forgetLeft (forCollected: boolean): boolean {
    const oldest = [...this.#left.values()].find(({ collected }) => !collected) ?? (forCollected ? this.#left.values().next().value : undefined)
    return oldest !== undefined && this.#left.delete(oldest.vmId)
  }

  lose (vmId: VmId): boolean {
    const held = this.#held.get(vmId)
    if (held?.state !== 'held') return false
    held.state = 'lost'
    return true
  }

  /** Whether a machine is confirmed or being confirmed here, or was lost and is being collected. */
  has (vmId: VmId): boolean { return this.#held.has(vmId) }

  /** What this plant says of a machine when it is asked. One that is being confirmed may never be: nobody is to give up theirs for it. */
  standing (vmId: VmId): Holding | { collected: string } | undefined {
    const held = this.#held.get(vmId)
    if (held !== undefined) return held.state === 'held' ? held : undefined
    const left = this.#left.get(vmId)
    return left?.collected === true ? { collected: left.orderDigest } : undefined
  }

  /** What is to be told now, and to whom: holdings not told for REFRESH_MS, or never; ends not heard yet. At most one batch a registrar. */
  due (registrarsOf: (vmId: VmId) => readonly PeerId[], nowMs: number): Batch[] {
    const batches = new Map<PeerId, Batch>()
    const batchOf = (peer: PeerId): Batch => {
      const known = batches.get(peer)
      if (known !== undefined) return known
      const made = { peer, holdings: [], gone: [] }
      batches.set(peer, made)
      return made
    }
    for (const { state, told, vmId, orderDigest, awardedAtMs } of this.#held.values()) {
      if (state !== 'held') continue
      for (const peer of registrarsOf(vmId)) {
        const { holdings } = batchOf(peer)
        const toldMs = told.get(peer)?.atMs
        if ((toldMs === undefined || nowMs - toldMs >= REFRESH_MS) && holdings.length < HOLD_BATCH_MAX) holdings.push({ vmId, orderDigest, awardedAtMs })
      }
    }
    for (const [vmId, { orderDigest, collected, untilMs, told }] of this.#left) {
      if (nowMs >= untilMs) {
        this.#left.delete(vmId)
        continue
      }
      const untold = registrarsOf(vmId).filter((peer) => !told.has(peer))
      // Collected ones are kept to answer whoever asks.
      if (untold.length === 0 && !collected) this.#left.delete(vmId)
      for (const peer of untold) {
        const { gone } = batchOf(peer)
        if (gone.length < HOLD_BATCH_MAX) gone.push({ vmId, orderDigest, collected })
      }
    }
    return [...batches.values()].filter(({ holdings, gone }) => holdings.length + gone.length > 0)
  }

  /** A registrar has heard a batch; `rivals` are plants that it takes for the holders, `full` what it had no room for. */
  onTold (batch: Batch, rivals: readonly Rival[], full: readonly VmId[], registrarsOf: (vmId: VmId) => readonly PeerId[], nowMs: number): HolderNews[] {
    const news: HolderNews[] = []
    for (const { vmId } of batch.gone) this.#left.get(vmId)?.told.add(batch.peer)
    for (const { vmId } of batch.holdings) {
      const held = this.#held.get(vmId)
      if (held?.state !== 'held' || full.includes(vmId)) continue
      const rival = rivals.find((one) => one.vmId === vmId)
      held.told.set(batch.peer, { atMs: nowMs, agreed: rival === undefined })
      if (rival !== undefined) {
        // Told of, but not acknowledged: it stays as provisional as it is. A rival of a later award hears of us, and goes first.
        if (rival.holder !== this.#self && isEarlier(rival, { holder: this.#self, awardedAtMs: held.awardedAtMs })) news.push({ kind: 'contest', rival })
        continue
      }
      if (held.provisional && this.#isSettled(held, registrarsOf(vmId), nowMs)) {
        held.provisional = false
        news.push({ kind: 'settled', vmId })
      }
    }
    return news
  }

  /** Registrars have changed: forgets what peers that are none any more were told, so that `told` stays as small as they are few. */
  prune (registrarsOf: (vmId: VmId) => readonly PeerId[]): void {
    for (const held of this.#held.values()) {
      const registrars = registrarsOf(held.vmId)
      for (const peer of held.told.keys()) if (!registrars.includes(peer)) held.told.delete(peer)
    }
  }

  #isSettled (held: Held, registrars: readonly PeerId[], nowMs: number): boolean {
    const heard = registrars.filter((peer) => {
      const told = held.told.get(peer)
      return told?.agreed === true && nowMs - told.atMs < 2 * REFRESH_MS
    }).length
    return heard >= majorityOf(registrars.length)
  }
}
