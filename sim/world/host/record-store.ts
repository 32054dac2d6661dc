/** What lies on a plant's disk of its records: outlives the process that wrote it. */
import type { GoldenId, KeyId, VmId } from '../../../protocols/kit/index.ts'
import type { CopyNote, DecisionRecord, GrantRecord, KnownPlantsRecord, MachineRecord, TemplateUse } from '../../../storage/records/records.ts'

/** The records of one host's disk. */
export class RecordStore {
  /** By VMID; frozen, so that nobody changes what is on a disk but by writing. */
  readonly machines = new Map<VmId, MachineRecord>()
  /** Signed orders of those that have not ended. */
  readonly orders = new Map<VmId, Uint8Array>()
  /** In the order of writing. */
  readonly decisions = new Map<string, DecisionRecord>()
  readonly grants = new Map<string, GrantRecord>()
  readonly claims = new Map<VmId, Uint8Array>()
  knownPlants: KnownPlantsRecord = { peers: [], atMs: 0 }
  readonly marks = new Map<string, Uint8Array>()
  readonly templateUses = new Map<GoldenId, TemplateUse>()
  readonly copies = new Map<GoldenId, CopyNote>()
  readonly nonces = new Map<string, { caller: KeyId, untilMs: number }>()
}

/** The key of a decision. */
export function decisionKey (owner: KeyId, orderId: string): string { return `${owner} ${orderId}` }
