/**
 * The information system's port (VMPlants 3.2, P7, P13): what a plant must not forget. Implemented over SQLite in `storage/drivers/`.
 * Every write is durable when the call returns: an acknowledged order survives kill -9.
 */
import type { KeyId, LeaseId, PeerId, VmId } from '../../protocols/kit/index.ts'

/** `bidding` never reaches the records: a machine is recorded from its lease on. */
export type MachineState = 'creating' | 'running' | 'suspended' | 'migrating' | 'failed' | 'collected'

/** All that a plant keeps of one machine. JSON-safe. */
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
  /** The signed order as it came, so that a machine half made can be finished after a crash. */
  signedOrder: Uint8Array
  name: string
  labels: Record<string, string>
  shop: PeerId
  provisional: boolean
  lease: { id: LeaseId, awardedAtMs: number, cpus: number, memoryMiB: number, diskMiB: number, network?: string }
  /** Set once planned. */
  plan?: { goldenId: string, goldenName: string, actionsDone: string[], actionsRun: string[] }
  attributes: Record<string, string | number | boolean>
  phasesMs: Record<string, number>
  /** Why it failed, as an error report. */
  error?: { code: string, message: string, details: Record<string, unknown>, hint: string }
  createdAtMs: number
  changedAtMs: number
}

export interface HistoryEntry { atMs: number, subject: string, event: string, details: Record<string, unknown> }

/** How an order was decided, kept by the shop that took it: `plantmesh why`. JSON-safe; bounded by ORDERS_KEPT_MAX. */
export interface DecisionRecord { orderId: string, owner: KeyId, atMs: number, decision: Record<string, unknown> }

export interface GrantRecord { domain: string, domainKey: KeyId, grantee: KeyId, signed: Uint8Array }

export interface ClaimChange { vmId: VmId, entry: Uint8Array | undefined }

/** The plants of the mesh as this one knew them, at a wall-clock time. */
export interface KnownPlantsRecord { peers: PeerId[], atMs: number }

export interface Records {
  putMachine (record: MachineRecord): void
  machine (vmId: VmId): MachineRecord | undefined
  /** All machines, or those in one of the states. */
  machines (states?: MachineState[]): MachineRecord[]
  /** Forgets a machine that another plant turned out to hold. */
  dropMachine (vmId: VmId): void
  /** Removes collected and failed machines older than this, so that records stay bounded. Returns how many. */
  forget (changedBeforeMs: number): number
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
  /** Remembers that a signed call was honoured; false when it was seen before. Entries expire; throws LIMIT when its caller or all have no room. */
  seenCall (call: { caller: KeyId, nonce: string }, expiresAtMs: number): boolean
  addHistory (entry: HistoryEntry): void
  history (subject: string, max: number): HistoryEntry[]
  close (): void
}
