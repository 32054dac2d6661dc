/**
 * The information system's port (VMPlants 3.2, P7, P13): what a plant must not forget. Implemented over SQLite in `storage/drivers/`.
 * Every write is durable when the call returns: an acknowledged order survives kill -9.
 */
import type { GoldenId, KeyId, LeaseId, PeerId, VmId } from '../../protocols/kit/index.ts'
import type { Station } from '../../protocols/tunnel/types.ts'

/** `bidding` never reaches the records: a machine is recorded from its lease on. */
export type MachineState = 'creating' | 'running' | 'suspended' | 'migrating' | 'failed' | 'collected'

/** States in which a machine is over: kept for a while, in bounds, to be told of. */
export const ENDED_STATES: readonly MachineState[] = ['failed', 'collected']

/** Whose machines: the owner, and the domain with the key that speaks for it. */
export interface Whose { owner: KeyId, domain: string, domainKey: KeyId }

/** All that a plant keeps of one machine but its signed order. JSON-safe. */
export interface MachineRecord {
  vmId: VmId
  state: MachineState
  owner: KeyId
  /** The domain's name and the key that speaks for it (the owner's own, where the domain has none). */
  domain: string
  domainKey: KeyId
  orderId: string
  /** Digest of the order document: the same id with other content is an error. */
  orderDigest: string
  /** Another digest of the order, told to nobody: by it the plant shows that it was given the order (`protocols/claim`), also when it has ended. */
  orderSecret: string
  /** The hand-overs by which the order came from the shop that it was signed for to this plant (`protocols/member`), in hex. */
  handOvers: string[]
  name: string
  labels: Record<string, string>
  shop: PeerId
  provisional: boolean
  lease: { id: LeaseId, awardedAtMs: number, cpus: number, memoryMiB: number, diskMiB: number, /** Of disks that host actions attach, beside the system's. */ attachedMiB?: number, /** Names of the networks that it is on. */ networks?: string[] }
  /** The networks that it is on, with what it was given there for life. */
  networks?: Array<{ name: string, station: Station }>
  /** Set once planned. */
  plan?: { goldenId: string, goldenName: string, goldenVersion?: number, actionsDone: string[], actionsRun: string[], /** Failed, and their error sub-graphs went on. */ actionsMended?: string[] }
  attributes: Record<string, string | number | boolean>
  /** Outputs of its actions that were left out. */
  outputsDropped?: { count: number, some: string[] }
  phasesMs: Record<string, number>
  /** Why it failed, as an error report. */
  error?: { code: string, message: string, details: Record<string, unknown>, hint: string }
  createdAtMs: number
  changedAtMs: number
}

/** How an order was decided, kept by the shop that took it: `plantmesh why`. JSON-safe; bounded by ORDERS_KEPT_MAX. */
export interface DecisionRecord { orderId: string, owner: KeyId, atMs: number, decision: Record<string, unknown> }

export interface GrantRecord { domain: string, domainKey: KeyId, grantee: KeyId, signed: Uint8Array }

export interface ClaimChange { vmId: VmId, entry: Uint8Array | undefined }

/** The plants of the mesh as this one knew them, at a wall-clock time. */
export interface KnownPlantsRecord { peers: PeerId[], atMs: number }

/** How often machines were made from a golden machine here, and when last (wall clock). */
export interface TemplateUse { goldenId: GoldenId, uses: number, lastMs: number }

/** A golden machine that was fetched from other plants, and when that was begun (wall clock): what may be given up again. */
export interface CopyNote { goldenId: GoldenId, atMs: number }

export interface MarkChange { key: string, signed: Uint8Array | undefined }

export interface Records {
  /** Writes a machine down; a new one with its signed order. The order goes when the machine has ended: nothing needs it any more. */
  putMachine (record: MachineRecord, signedOrder?: Uint8Array): void
  machine (vmId: VmId): MachineRecord | undefined
  /** The signed order of a machine that has not ended, as it came: one half made is finished by it after a crash. */
  signedOrder (vmId: VmId): Uint8Array | undefined
  /** All machines, or those in one of the states. */
  machines (states?: readonly MachineState[]): MachineRecord[]
  /** Who has machines here, each once. */
  owners (): Whose[]
  /** Their machines in one of the states. */
  machinesOf (whose: Whose, states: readonly MachineState[]): MachineRecord[]
  /** Whether a domain has a machine here that has not ended. Cheap: asked for each grant that gossip brings. */
  hasLive (domain: string, domainKey: KeyId): boolean
  /** Forgets a machine that another plant turned out to hold. */
  dropMachine (vmId: VmId): void
  /** Removes machines that ended before this, and the oldest ended ones of an owner and in all beyond their bounds. Returns what it removed. */
  forget (endedBeforeMs: number): MachineRecord[]
  putDecision (record: DecisionRecord): void
  decision (owner: KeyId, orderId: string): DecisionRecord | undefined
  /** The signed grant (or revocation) of a triple; replaces the one before. */
  putGrant (grant: GrantRecord): void
  grants (): GrantRecord[]
  /** What this plant, as registrar, has promised about machines (`protocols/claim`): one transaction; an absent entry is removed. */
  saveClaims (changes: ClaimChange[]): void
  claims (): Array<{ vmId: VmId, entry: Uint8Array }>
  /** Replaces what is kept of the plants that this one knows, and when that was. */
  saveKnownPlants (known: KnownPlantsRecord): void
  /** None, and the time 0, when nothing was kept. */
  knownPlants (): KnownPlantsRecord
  /** Marks on templates (`protocols/template`), as they were signed: one transaction; an absent mark is removed. */
  saveMarks (changes: MarkChange[]): void
  marks (): Uint8Array[]
  /** A machine was made from this golden machine. A clock that went back takes nothing back. The longest unused are forgotten beyond their bound. */
  noteUse (goldenId: GoldenId, atMs: number): void
  templateUses (): TemplateUse[]
  /** A golden machine is about to be fetched from others; noted again, the later time counts. The oldest notes go beyond their bound: then it stays. */
  noteCopy (goldenId: GoldenId, atMs: number): void
  dropCopy (goldenId: GoldenId): void
  copies (): CopyNote[]
  /** Remembers that a signed call was honoured; false when it was seen before. Entries expire; throws LIMIT when its caller or all have no room. */
  seenCall (call: { caller: KeyId, nonce: string }, expiresAtMs: number): boolean
  close (): void
}
