/**
 * Claims: one order, one machine, through whichever shops and however often it is asked (README.md; CONTRACT.md, Conventions). A shop claims
 * a VMID before it calls for bids; the plant that is awarded confirms the claim before it starts the machine.
 */
import type { Cancel, Clock, Crypto, Log, PeerId, Random, Service, Transport, VmId } from '../kit/index.ts'
import type { Holding } from './messages.ts'
import { ClaimService } from './service.ts'

export * from './constants.ts'
export * from './core.ts'
export * from './claimant.ts'
export * from './holder.ts'
export * from './registrars.ts'
export { decodeAnswer, decodeAsk, decodeKept, encodeAnswer, encodeAsk, encodeKept, type Answer, type Ask, type Holding, type Kept, type Missed, type Rival, type Verdict } from './messages.ts'

/** What keeps a registrar's promises over a restart; `Records` does. Durable when the call returns. */
export interface ClaimStore {
  saveClaims (changes: Array<{ vmId: VmId, entry: Uint8Array | undefined }>): void
  claims (): Array<{ vmId: VmId, entry: Uint8Array }>
  /** Replaces what was kept of the plants that are counted among registrars, and when that was (wall-clock time). */
  saveKnownPlants (known: KnownPlantsKept): void
  knownPlants (): KnownPlantsKept
}

/** The plants of the mesh as this one knew them: one that starts again while it is cut off must not take itself for the whole of it. */
export interface KnownPlantsKept { peers: PeerId[], atMs: number }

export interface ClaimingComponents {
  /** May or may not reach this plant itself: what concerns it never goes through streams. */
  transport: Transport
  clock: Clock
  random: Random
  crypto: Crypto
  log: Log
  store: ClaimStore
  /** The plants in view now, this one among them or not. */
  peers (): Iterable<PeerId>
  /**
   * Bytes that only those know who were given the order of a machine held here (a digest of its checked document that is told to nobody): a rival
   * proves with them that it has the same order before its machine makes ours go. The same bytes on both sides. Undefined: not known, or `prover` (this plant
   * itself, or the rival) is not to be believed, and nothing is given up.
   */
  knowledge (vmId: VmId, prover: PeerId): Uint8Array | undefined
  /** Whether holders of this id are rivals whatever order they hold it under: an address is one machine's or another's, and each has an order of its own. */
  ordersDiffer? (vmId: VmId): boolean
}

/** A claim that was granted: the shop goes on. Renewed until it is ended. */
export interface GrantedClaim {
  kind: 'granted'
  /** Goes with the award: the plant confirms under it. */
  claimId: string
  /** The registrars could not be reached by majority. */
  provisional: boolean
  /** Aborted with CLAIM_LOST when most registrars have given the VMID to another shop. */
  lost: AbortSignal
  /** Gives the claim back, or leaves what was made of it. Never throws; may be called twice. */
  end (): Promise<void>
}

export type ClaimOutcome =
  | GrantedClaim
  | { kind: 'held', plant: PeerId, orderDigest: string, awardedAtMs: number }
  | { kind: 'collected', plant: PeerId, orderDigest: string }

/** `holder`: the plant that has the machine, or the shop that claims it. */
export type ConfirmOutcome =
  | { kind: 'confirmed', provisional: boolean }
  | { kind: 'refused', code: 'CLAIM_LOST' | 'MESH_CUT' | 'LIMIT', holder?: PeerId }

export interface Claiming extends Service {
  /**
   * For the shop. Waits while another shop works on the order. Throws MESH_CUT (strict only), LIMIT when the registrars are full, or the
   * signal's reason.
   */
  claim (request: { vmId: VmId, orderDigest: string, strict: boolean }, signal?: AbortSignal): Promise<ClaimOutcome>
  /**
   * For the plant: to be called with an award before the machine is started, and `drop` or `collected` after it is confirmed and ended.
   * `provisional` allows it without a majority, as the shop's claim was. A refused award leaves nothing to be dropped.
   */
  confirm (request: Holding & { claimId: string, provisional: boolean }, signal?: AbortSignal): Promise<ConfirmOutcome>
  /** A machine of the records after a restart. To be called before `start`, so that nobody is told it is not here. */
  holds (holding: Holding, provisional?: boolean): void
  /** The machine was collected: an order asked again is answered so. A machine lost to a rival goes silently. */
  collected (vmId: VmId, orderDigest: string): void
  /** The machine was never begun: an order asked again may be made. */
  drop (vmId: VmId, orderDigest: string): void
  /** Claims that stand at this registrar, and confirmations that this plant waits for: nothing where nobody orders. */
  underWay (): { claims: number, confirmations: number }
  /** A rival of an earlier award has the machine, and has shown that it has the order: this one is to be collected. */
  onLost (fn: (vmId: VmId, holder: PeerId) => void): Cancel
  /** A provisional machine is now known to a majority of its registrars, and no rival was found. */
  onSettled (fn: (vmId: VmId) => void): Cancel
}

/** Claims over the given components, for shop, plant and registrar alike. */
export function claiming (): (components: ClaimingComponents) => Claiming {
  return (components) => new ClaimService(components)
}
