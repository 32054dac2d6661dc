/**
 * The registrar: what a plant has promised about VMIDs that fall to it. Synchronous; messages in, answers and what to keep out. The entry of a VMID:
 *
 *            claim                 confirm (its claim)          collected
 *   none ───────────> claimed ───────────────────────> held ───────────────> collected ──(COLLECTED_KEPT_MS)──> none
 *     ^ └─confirm, hold──────────────────────────────>  │ ^
 *     └──lapsed, unclaim──┘                             │ └─hold of an earlier award (another holder)
 *     └────────────────────────gone, HELD_SILENT_MS─────┘
 *
 * A held entry is `settled` once its holder has told of it again after a majority confirmed; what is not may have been a confirmation
 * that failed elsewhere.
 */
import type { PeerId, VmId } from '../kit/index.ts'
import { CLAIM_TTL_MS, COLLECTED_KEPT_MS, COLLECTED_PER_PEER_MAX, ENTRIES_MAX, ENTRIES_PER_PEER_MAX, HELD_SILENT_MS } from './constants.ts'
import type { ClaimAsk, ConfirmAsk, Gone, HeldAnswer, HoldAsk, Holding, Kept, NotedAnswer, Rival, UnclaimAsk, Verdict } from './messages.ts'

/** A holder whose machine is to go for that of an earlier award, and has not said yet that it is gone. */
interface Displaced { holder: PeerId, awardedAtMs: number }
interface Claimed { kind: 'claimed', by: PeerId, claimId: string, orderDigest: string, round: number, untilMs: number }
interface Held { kind: 'held', by: PeerId, orderDigest: string, awardedAtMs: number, settled: boolean, order: number, heardMs: number, over?: Displaced }
interface Collected { kind: 'collected', by: PeerId, orderDigest: string, order: number, untilMs: number }
type Entry = Claimed | Held | Collected

/** What must be durable before the answer goes out; undefined: removed. */
export interface KeptChange { vmId: VmId, kept: Kept | undefined }

/** Monotonic time for what lapses, wall-clock time for what is kept over a restart. */
export interface Now { monotonicMs: number, wallMs: number }

/** The earlier award stays; at one instant the lower peer id (CONTRACT.md, Conventions). */
export function isEarlier (a: { holder: PeerId, awardedAtMs: number }, b: { holder: PeerId, awardedAtMs: number }): boolean {
  return a.awardedAtMs !== b.awardedAtMs ? a.awardedAtMs < b.awardedAtMs : a.holder < b.holder
}

/** The registrar's side: which VMID was promised to whom. Synchronous; entries are bounded. */
export class Registrar {
  readonly #entries = new Map<VmId, Entry>()
  readonly #perPeer = new Map<PeerId, number>()
  readonly #collectedPerPeer = new Map<PeerId, number>()
  #changes: KeptChange[] = []

  get size (): number { return this.#entries.size }

  /** Claims that have not lapsed. */
  claims (now: Now): number { return [...this.#entries.keys()].filter((vmId) => this.#live(vmId, now)?.kind === 'claimed').length }

  /** What was kept before a restart. */
  load (vmId: VmId, kept: Kept, now: Now): void {
    const { holder: by, orderDigest, order } = kept
    if (kept.kind === 'held') this.#put(vmId, { kind: 'held', by, orderDigest, order, awardedAtMs: kept.awardedAtMs, settled: kept.settled, heardMs: now.monotonicMs, ...(kept.over !== undefined && { over: kept.over }) })
    else {
      // However the wall clock has jumped, it is kept for no longer than it should be.
      const leftMs = Math.min(COLLECTED_KEPT_MS, Math.max(0, kept.untilWallMs - now.wallMs))
      this.#put(vmId, { kind: 'collected', by, orderDigest, order, untilMs: now.monotonicMs + leftMs })
    }
  }

  /** What has changed since the last call and must be durable before anything is answered. */
  takeChanges (): KeptChange[] {
    const changes = this.#changes
    this.#changes = []
    return changes
  }

  onClaim (from: PeerId, ask: ClaimAsk, now: Now): Verdict {
    const entry = this.#live(ask.vmId, now)
    const untilMs = now.monotonicMs + CLAIM_TTL_MS
    if (entry === undefined) {
      if (!this.#hasRoom(from)) return { t: 4 }
      this.#put(ask.vmId, { kind: 'claimed', by: from, claimId: ask.claimId, orderDigest: ask.orderDigest, round: ask.round, untilMs })
      return { t: 0 }
    }
    if (entry.kind !== 'claimed' || entry.by !== from || entry.claimId !== ask.claimId) return verdictOf(entry, now)
    entry.round = Math.max(entry.round, ask.round)
    entry.untilMs = untilMs
    return { t: 0 }
  }

  /** A round given up; a claim made anew since (a higher round) stays. */
  onUnclaim (from: PeerId, ask: UnclaimAsk): void {
    const entry = this.#entries.get(ask.vmId)
    if (entry?.kind === 'claimed' && entry.by === from && entry.claimId === ask.claimId && entry.round <= ask.round) this.#drop(ask.vmId)
  }

  onConfirm (from: PeerId, ask: ConfirmAsk, now: Now): Verdict {
    const entry = this.#live(ask.vmId, now)
    if (entry?.kind === 'held' && entry.by === from && entry.orderDigest === ask.orderDigest) {
      entry.order = Math.max(entry.order, ask.order)
      return { t: 0 }
    }
    if (entry !== undefined && !(entry.kind === 'claimed' && entry.claimId === ask.claimId)) return verdictOf(entry, now)
    if (!this.#hasRoom(from)) return { t: 4 }
    const { orderDigest, awardedAtMs, order } = ask
    this.#keep(ask.vmId, { kind: 'held', by: from, orderDigest, awardedAtMs, settled: false, order, heardMs: now.monotonicMs }, now)
    return { t: 0 }
  }

  onHold (from: PeerId, ask: HoldAsk, now: Now): NotedAnswer {
    const rivals: Rival[] = []
    const full: VmId[] = []
    for (const holding of ask.holdings) {
      const noted = this.#hold(from, holding, ask.order, now)
      if (noted === 'full') full.push(holding.vmId)
      else if (noted !== undefined) rivals.push(noted)
    }
    for (const gone of ask.gone) this.#gone(from, gone, ask.order, now)
    return { t: 6, rivals, full }
  }

  /** Forgets what has lapsed; to be called now and then, and `takeChanges` after it. */
  expire (now: Now): void {
    for (const vmId of this.#entries.keys()) this.#live(vmId, now)
  }

  #hold (from: PeerId, { vmId, orderDigest, awardedAtMs }: Holding, order: number, now: Now): Rival | 'full' | undefined {
    const entry = this.#live(vmId, now)
    const held: Held = { kind: 'held', by: from, orderDigest, awardedAtMs, settled: true, order, heardMs: now.monotonicMs }
    if (entry?.kind === 'held' && entry.by === from) {
      const same = entry.settled && entry.awardedAtMs === awardedAtMs && entry.orderDigest === orderDigest
      if (same) Object.assign(entry, { heardMs: now.monotonicMs, order: Math.max(entry.order, order) })
      else if (entry.order <= order) this.#keep(vmId, { ...held, ...(entry.over !== undefined && { over: entry.over }) }, now)
      // Until the machine that was displaced is gone, this one is not alone.
      return entry.over && { vmId, ...entry.over }
    }
    if (entry?.kind === 'held' && !isEarlier({ holder: from, awardedAtMs }, { holder: entry.by, awardedAtMs: entry.awardedAtMs })) {
      return { vmId, holder: entry.by, awardedAtMs: entry.awardedAtMs }
    }
    // Sent before the same plant's word that it was collected, arrived after it.
    if (entry?.kind === 'collected' && entry.by === from && entry.order > order) return undefined
    if (!this.#hasRoom(from)) return 'full'
    // A machine of a later award makes room, once its holder has heard of this one; what was never settled may never have been begun.
    const over: Displaced | undefined = entry?.kind === 'held' && entry.settled ? { holder: entry.by, awardedAtMs: entry.awardedAtMs } : undefined
    this.#keep(vmId, { ...held, ...(over !== undefined && { over }) }, now)
    return over && { vmId, ...over }
  }

  #gone (from: PeerId, { vmId, orderDigest, collected }: Gone, order: number, now: Now): void {
    const entry = this.#live(vmId, now)
    if (entry?.kind === 'collected') return
    if (entry?.kind === 'held' && entry.over?.holder === from) {
      const { over: _gone, ...alone } = entry
      this.#keep(vmId, alone, now)
      return
    }
    // Another's machine is not this plant's to end; a confirmation that came after this word stands.
    if (entry?.kind === 'held' && (entry.by !== from || entry.order > order)) return
    if (!collected) {
      if (entry?.kind === 'held') this.#unkeep(vmId)
      return
    }
    if (entry?.kind !== 'held' && !this.#hasRoom(from)) return
    this.#makeRoomForCollected(from)
    this.#keep(vmId, { kind: 'collected', by: from, orderDigest, order, untilMs: now.monotonicMs + COLLECTED_KEPT_MS }, now)
  }

  /** The entry as it stands now: what has lapsed is gone. */
  #live (vmId: VmId, now: Now): Entry | undefined {
    const entry = this.#entries.get(vmId)
    if (entry === undefined) return undefined
    const untilMs = entry.kind === 'held' ? entry.heardMs + HELD_SILENT_MS : entry.untilMs
    if (now.monotonicMs < untilMs) return entry
    if (entry.kind === 'claimed') this.#drop(vmId)
    else this.#unkeep(vmId)
    return undefined
  }

  /** Room for one more entry of a peer; the oldest collected machine goes for it where there is one. */
  #hasRoom (peer: PeerId): boolean {
    if ((this.#perPeer.get(peer) ?? 0) >= ENTRIES_PER_PEER_MAX) return false
    return this.#entries.size < ENTRIES_MAX || this.#forgetCollected(() => true)
  }

  #makeRoomForCollected (peer: PeerId): void {
    if ((this.#collectedPerPeer.get(peer) ?? 0) >= COLLECTED_PER_PEER_MAX) this.#forgetCollected((entry) => entry.by === peer)
  }

  #forgetCollected (which: (entry: Collected) => boolean): boolean {
    for (const [vmId, entry] of this.#entries) {
      if (entry.kind !== 'collected' || !which(entry)) continue
      this.#unkeep(vmId)
      return true
    }
    return false
  }

  #keep (vmId: VmId, entry: Held | Collected, now: Now): void {
    this.#put(vmId, entry)
    const { by: holder, orderDigest, order } = entry
    const kept: Kept = entry.kind === 'held'
      ? { kind: 'held', holder, orderDigest, order, awardedAtMs: entry.awardedAtMs, settled: entry.settled, ...(entry.over !== undefined && { over: entry.over }) }
      : { kind: 'collected', holder, orderDigest, order, untilWallMs: now.wallMs + COLLECTED_KEPT_MS }
    this.#changes.push({ vmId, kept })
  }

  #unkeep (vmId: VmId): void {
    this.#drop(vmId)
    this.#changes.push({ vmId, kept: undefined })
  }

  #put (vmId: VmId, entry: Entry): void {
    this.#drop(vmId)
    this.#entries.set(vmId, entry)
    this.#count(entry, 1)
  }

  #drop (vmId: VmId): void {
    const entry = this.#entries.get(vmId)
    if (entry === undefined) return
    this.#entries.delete(vmId)
    this.#count(entry, -1)
  }

  #count (entry: Entry, by: 1 | -1): void {
    add(this.#perPeer, entry.by, by)
    if (entry.kind === 'collected') add(this.#collectedPerPeer, entry.by, by)
  }
}

function add (counts: Map<PeerId, number>, peer: PeerId, by: number): void {
  const count = (counts.get(peer) ?? 0) + by
  if (count === 0) counts.delete(peer)
  else counts.set(peer, count)
}

function verdictOf (entry: Entry, now: Now): Verdict {
  switch (entry.kind) {
    case 'claimed': return { t: 1, shop: entry.by, leftMs: Math.ceil(entry.untilMs - now.monotonicMs) }
    case 'held': return { t: 2, holder: entry.by, orderDigest: entry.orderDigest, awardedAtMs: entry.awardedAtMs, settled: entry.settled } satisfies HeldAnswer
    case 'collected': return { t: 3, holder: entry.by, orderDigest: entry.orderDigest }
  }
}
