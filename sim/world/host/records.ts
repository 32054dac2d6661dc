/**
 * The records of one life of a plant (the port Records) over what lies on its host's disk, with the bounds of `storage/drivers/sqlite-records.ts`. A
 * write is there when the call returns, and nothing of it when the process dies at it.
 */
import { PlantError, type Clock, type GoldenId, type KeyId, type VmId } from '../../../protocols/kit/index.ts'
import { ENDED_STATES, type ClaimChange, type CopyNote, type DecisionRecord, type GrantRecord, type KnownPlantsRecord, type MachineRecord, type MachineState, type MarkChange, type Records, type TemplateUse, type Whose } from '../../../storage/records/records.ts'
import type { Life } from '../life.ts'
import type { SimHost } from './host.ts'
import { decisionKey, type RecordStore } from './record-store.ts'

/** As in `storage/drivers/records-limits.ts`. */
export const ORDERS_KEPT_MAX = 10_000
export const TEMPLATE_USES_MAX = 4_096
export const COPIES_MAX = 4_096
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

  putMachine (record: MachineRecord, signedOrder?: Uint8Array): void {
    if (!this.#may()) return
    this.#store.machines.set(record.vmId, frozen(record))
    if (ENDED_STATES.includes(record.state)) this.#store.orders.delete(record.vmId)
    else if (signedOrder !== undefined) this.#store.orders.set(record.vmId, signedOrder.slice())
    this.#host.event('record.machine', { vmId: record.vmId, state: record.state, provisional: record.provisional, lease: record.lease.id, ...(record.error !== undefined && { error: record.error.code }) })
  }

  machine (vmId: VmId): MachineRecord | undefined { return this.#store.machines.get(vmId) }

  signedOrder (vmId: VmId): Uint8Array | undefined { return this.#store.orders.get(vmId) }

  machines (states?: readonly MachineState[]): MachineRecord[] {
    const all = [...this.#store.machines.values()].sort((a, b) => a.vmId < b.vmId ? -1 : 1)
    return states === undefined ? all : all.filter(({ state }) => states.includes(state))
  }

  dropMachine (vmId: VmId): void {
    if (!this.#store.machines.has(vmId) || !this.#may()) return
    this.#delete(vmId)
    this.#host.event('record.dropped', { vmId })
  }

  owners (): Whose[] {
    return [...new Map([...this.#store.machines.values()].map(({ owner, domain, domainKey }) => [`${domainKey} ${owner} ${domain}`, { owner, domain, domainKey }])).values()]
  }

  machinesOf (whose: Whose, states: readonly MachineState[]): MachineRecord[] {
    return this.machines(states).filter(({ owner, domain, domainKey }) => owner === whose.owner && domain === whose.domain && domainKey === whose.domainKey)
  }

  hasLive (domain: string, domainKey: KeyId): boolean {
    for (const record of this.#store.machines.values()) if (record.domain === domain && record.domainKey === domainKey && !ENDED_STATES.includes(record.state)) return true
    return false
  }

  forget (endedBeforeMs: number): MachineRecord[] {
    const ofOwner = new Map<KeyId, number>()
    const { inAll, perOwner } = this.#host.endedKept
    const latestFirst = this.machines(ENDED_STATES).sort((a, b) => b.changedAtMs - a.changedAtMs)
    const old = latestFirst.filter(({ owner, changedAtMs }, index) => {
      const newer = ofOwner.get(owner) ?? 0
      ofOwner.set(owner, newer + 1)
      return changedAtMs < endedBeforeMs || newer >= perOwner || index >= inAll
    })
    if (old.length === 0 || !this.#may()) return []
    for (const { vmId } of old) this.#delete(vmId)
    this.#host.event('record.forgotten', { records: old.length })
    return old
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

  saveMarks (changes: MarkChange[]): void {
    if (changes.length === 0 || !this.#may()) return
    for (const { key, signed } of changes) {
      if (signed === undefined) this.#store.marks.delete(key)
      else this.#store.marks.set(key, signed.slice())
    }
    this.#host.changed()
  }

  marks (): Uint8Array[] { return [...this.#store.marks.values()] }

  noteUse (goldenId: GoldenId, atMs: number): void {
    if (!this.#may()) return
    const { templateUses } = this.#store
    const before = templateUses.get(goldenId)
    templateUses.set(goldenId, { goldenId, uses: (before?.uses ?? 0) + 1, lastMs: Math.max(before?.lastMs ?? 0, atMs) })
    const oldest = templateUses.size > TEMPLATE_USES_MAX ? [...templateUses.values()].sort((a, b) => a.lastMs - b.lastMs)[0] : undefined
    if (oldest !== undefined) templateUses.delete(oldest.goldenId)
  }

  templateUses (): TemplateUse[] { return [...this.#store.templateUses.values()] }

  noteCopy (goldenId: GoldenId, atMs: number): void {
    if (!this.#may()) return
    const { copies } = this.#store
    copies.set(goldenId, { goldenId, atMs })
    const oldest = copies.size > COPIES_MAX ? [...copies.values()].sort((a, b) => a.atMs - b.atMs)[0] : undefined
    if (oldest !== undefined) copies.delete(oldest.goldenId)
  }

  dropCopy (goldenId: GoldenId): void { if (this.#may()) this.#store.copies.delete(goldenId) }

  copies (): CopyNote[] { return [...this.#store.copies.values()] }

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

  close (): void {}

  #delete (vmId: VmId): void {
    this.#store.machines.delete(vmId)
    this.#store.orders.delete(vmId)
  }

  /** False for a process that dies at this write. Throws DISK_FULL. */
  #may (): boolean {
    if (!this.#life.may('record')) return false
    if (this.#host.refusesWrite()) throw new PlantError('DISK_FULL', { path: `/${this.#host.name}/records`, problem: 'no space left on device' })
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
