/**
 * The records of one life of a plant (the port Records) over what lies on its host's disk, with the bounds of `storage/drivers/sqlite-records.ts`. A
 * write is there when the call returns, and nothing of it when the process dies at it.
 */
import { PlantError, type Clock, type KeyId, type VmId } from '../../../protocols/kit/index.ts'
import type { ClaimChange, DecisionRecord, GrantRecord, HistoryEntry, KnownPlantsRecord, MachineRecord, MachineState, Records } from '../../../storage/records/records.ts'
import type { Life } from '../life.ts'
import type { SimHost } from './host.ts'
import { decisionKey, type RecordStore } from './record-store.ts'

/** As in `storage/drivers/records-limits.ts`. */
export const ORDERS_KEPT_MAX = 10_000
export const HISTORY_PER_SUBJECT_MAX = 200
export const NONCES_MAX = 200_000
export const NONCES_PER_CALLER_MAX = 20_000

/** The port Records of one life. Throws DISK_FULL at a write while the disk is full. */
export class SimRecords implements Records {
  readonly #host: SimHost
  readonly #life: Life
  readonly #clock: Clock
  readonly #store: RecordStore

  constructor (host: SimHost, life: Life, clock: Clock) {
    this.#host = host
    this.#life = life
    this.#clock = clock
    this.#store = host.records
  }

  putMachine (record: MachineRecord): void {
    if (!this.#may()) return
    this.#store.machines.set(record.vmId, frozen(record))
    this.#host.event('record.machine', { vmId: record.vmId, state: record.state, provisional: record.provisional, lease: record.lease.id, ...(record.error !== undefined && { error: record.error.code }) })
  }

  machine (vmId: VmId): MachineRecord | undefined { return this.#store.machines.get(vmId) }

  machines (states?: MachineState[]): MachineRecord[] {
    const all = [...this.#store.machines.values()].sort((a, b) => a.vmId < b.vmId ? -1 : 1)
    return states === undefined ? all : all.filter(({ state }) => states.includes(state))
  }

  dropMachine (vmId: VmId): void {
    if (!this.#store.machines.has(vmId) || !this.#may()) return
    this.#store.machines.delete(vmId)
    this.#store.history.delete(vmId)
    this.#host.event('record.dropped', { vmId })
  }

  forget (changedBeforeMs: number): number {
    const old = this.machines(['collected', 'failed']).filter(({ changedAtMs }) => changedAtMs < changedBeforeMs)
    if (old.length === 0 || !this.#may()) return 0
    for (const { vmId } of old) {
      this.#store.machines.delete(vmId)
      this.#store.history.delete(vmId)
    }
    this.#host.event('record.forgotten', { records: old.length })
    return old.length
  }

  putDecision (record: DecisionRecord): void {
    if (!this.#may()) return
    const { decisions } = this.#store
    const key = decisionKey(record.owner, record.orderId)
    decisions.delete(key)
    decisions.set(key, frozen(record))
    for (const oldest of decisions.keys()) {
      if (decisions.size <= ORDERS_KEPT_MAX) break
      decisions.delete(oldest)
    }
  }

  /** A copy, as from a file: the reader may do with it what it likes. */
  decision (owner: KeyId, orderId: string): DecisionRecord | undefined { return structuredClone(this.#store.decisions.get(decisionKey(owner, orderId))) }

  putGrant (grant: GrantRecord): void {
    if (this.#may()) this.#store.grants.set(`${grant.domainKey} ${grant.grantee} ${grant.domain}`, frozen(grant))
  }

  grants (): GrantRecord[] { return [...this.#store.grants.values()] }

  saveClaims (changes: ClaimChange[]): void {
    if (changes.length === 0 || !this.#may()) return
    for (const { vmId, entry } of changes) {
      if (entry === undefined) this.#store.claims.delete(vmId)
      else this.#store.claims.set(vmId, entry.slice())
    }
    this.#host.changed()
  }

  claims (): Array<{ vmId: VmId, entry: Uint8Array }> { return [...this.#store.claims].map(([vmId, entry]) => ({ vmId, entry })) }

  saveKnownPlants (known: KnownPlantsRecord): void { if (this.#may()) this.#store.knownPlants = structuredClone(known) }

  knownPlants (): KnownPlantsRecord { return structuredClone(this.#store.knownPlants) }

  seenCall ({ caller, nonce }: { caller: KeyId, nonce: string }, expiresAtMs: number): boolean {
    if (!this.#may()) return true
    const { nonces } = this.#store
    const nowMs = this.#clock.nowMs()
    for (const [old, { untilMs }] of nonces) if (untilMs <= nowMs) nonces.delete(old)
    if (nonces.has(nonce)) return false
    let ofCaller = 0
    for (const one of nonces.values()) if (one.caller === caller) ofCaller++
    if (ofCaller >= NONCES_PER_CALLER_MAX) throw new PlantError('LIMIT', { bound: 'calls of one key remembered', max: NONCES_PER_CALLER_MAX })
    if (nonces.size >= NONCES_MAX) throw new PlantError('LIMIT', { bound: 'calls remembered', max: NONCES_MAX })
    nonces.set(nonce, { caller, untilMs: expiresAtMs })
    return true
  }

  addHistory (entry: HistoryEntry): void {
    if (!this.#may()) return
    const all = this.#store.history.get(entry.subject) ?? []
    this.#store.history.set(entry.subject, all)
    all.push(frozen(entry))
    if (all.length > HISTORY_PER_SUBJECT_MAX) all.shift()
  }

  history (subject: string, max: number): HistoryEntry[] { return (this.#store.history.get(subject) ?? []).slice(-max) }

  close (): void {}

  /** False for a process that dies at this write. Throws DISK_FULL. */
  #may (): boolean {
    if (!this.#life.may('record')) return false
    if (this.#host.diskFull) throw new PlantError('DISK_FULL', { path: `/${this.#host.name}/records`, problem: 'no space left on device' })
    return true
  }
}

/** A copy that nobody can change; bytes are copied too. */
function frozen<T> (value: T): T {
  return deepFreeze(structuredClone(value))
}

function deepFreeze<T> (value: T): T {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value
  for (const one of Object.values(value)) deepFreeze(one)
  return Object.freeze(value)
}
