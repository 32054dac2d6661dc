/**
 * The records over SQLite (`node:sqlite`, which blocks: a write is one fsync of the log, about a millisecond on a solid-state disk). See
 * records/README.md for what it promises.
 */
import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import { PlantError, type Clock, type KeyId, type PeerId, type GoldenId, type VmId } from '../../protocols/kit/index.ts'
import { ENDED_STATES, type ClaimChange, type CopyNote, type DecisionRecord, type GrantRecord, type KnownPlantsRecord, type MachineRecord, type MachineState, type MarkChange, type Records, type TemplateUse, type Whose } from '../records/records.ts'
import { BUSY_TIMEOUT_MS, COPIES_MAX, ENDED_MAX, ENDED_PER_OWNER_MAX, NONCES_MAX, NONCES_PER_CALLER_MAX, ORDERS_KEPT_MAX, TEMPLATE_USES_MAX } from './records-limits.ts'
import { ownDatabase } from './own-file.ts'
import { migrate } from './records-schema.ts'

/** Opens, and where needed makes, the records' file. Throws RECORDS_BROKEN or DISK_FULL, with the path. */
export function openRecords (path: string, c: { clock: Clock }): Records {
  return guarded(path, () => {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    ownDatabase(path)
    const db = new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS, enableForeignKeyConstraints: true })
    try {
      db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF')
      const check = db.prepare('PRAGMA quick_check(1)').get()
      if (check?.['quick_check'] !== 'ok') throw new PlantError('RECORDS_BROKEN', { path, problem: String(check?.['quick_check']) })
      migrate(db, path)
      return new SqliteRecords(db, path, c.clock)
    } catch (error) {
      db.close()
      throw error
    }
  })
}

/** SQLite's primary result codes (https://sqlite.org/rescode.html); the extended ones have them in their lowest byte. */
const SQLITE_IOERR = 10
const SQLITE_FULL = 13
/** SQLITE_IOERR_WRITE: what a limit on file sizes or a quota ends in. */
const SQLITE_IOERR_WRITE = 778

/** As the indexes have it: only a query that says the same uses them. */
const ENDED = ENDED_STATES.map((state) => `'${state}'`).join(', ')

/** Turns what SQLite or the file system throws into the two errors that a plant tells people. */
function guarded<T> (path: string, work: () => T): T {
  try {
    return work()
  } catch (cause) {
    if (cause instanceof PlantError) throw cause
    const problem = cause instanceof Error ? cause.message : String(cause)
    const errcode = cause instanceof Error && 'errcode' in cause ? Number(cause.errcode) : 0
    const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
    const full = (errcode & 0xff) === SQLITE_FULL || errcode === SQLITE_IOERR_WRITE || code === 'ENOSPC' || code === 'EDQUOT'
    if (full) throw new PlantError('DISK_FULL', { path, problem }, { cause })
    throw new PlantError('RECORDS_BROKEN', { path, problem, ...((errcode & 0xff) === SQLITE_IOERR && { kind: 'input/output' }) }, { cause })
  }
}

class SqliteRecords implements Records {
  readonly #db: DatabaseSync
  readonly #path: string
  readonly #clock: Clock
  readonly #statements = new Map<string, StatementSync>()
  /** How many nonces are kept, of each caller and in all: counting them for each call would read them all. */
  readonly #nonces = new Tally()
  #closed = false

  constructor (db: DatabaseSync, path: string, clock: Clock) {
    this.#db = db
    this.#path = path
    this.#clock = clock
    for (const row of this.#all('SELECT caller, count(*) AS kept FROM nonces GROUP BY caller')) this.#nonces.add(String(row['caller']), Number(row['kept']))
  }

  putMachine (record: MachineRecord, signedOrder?: Uint8Array): void {
    const { vmId, state, changedAtMs, owner, domain, domainKey } = record
    guarded(this.#path, () => this.#transaction(() => {
      this.#run(
        `INSERT INTO machines (vm_id, state, changed_at_ms, record, owner, domain, domain_key) VALUES (?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (vm_id) DO UPDATE SET state = excluded.state, changed_at_ms = excluded.changed_at_ms, record = excluded.record`,
        vmId, state, changedAtMs, JSON.stringify(record), owner, domain, domainKey
      )
      if (ENDED_STATES.includes(state)) this.#run('DELETE FROM orders WHERE vm_id = ?', vmId)
      else if (signedOrder !== undefined) this.#run('INSERT INTO orders VALUES (?, ?) ON CONFLICT DO UPDATE SET signed_order = excluded.signed_order', vmId, signedOrder)
    }))
  }

  machine (vmId: VmId): MachineRecord | undefined {
    return this.#all('SELECT record FROM machines WHERE vm_id = ?', vmId).map(machineOf)[0]
  }

  signedOrder (vmId: VmId): Uint8Array | undefined {
    return this.#all('SELECT signed_order FROM orders WHERE vm_id = ?', vmId).map((row) => bytesOf(row['signed_order']))[0]
  }

  machines (states?: readonly MachineState[]): MachineRecord[] {
    if (states === undefined) return this.#all('SELECT record FROM machines ORDER BY vm_id').map(machineOf)
    return this.#all('SELECT record FROM machines WHERE state IN (SELECT value FROM json_each(?)) ORDER BY vm_id', JSON.stringify(states)).map(machineOf)
  }

  owners (): Whose[] {
    return this.#all('SELECT DISTINCT domain_key, domain, owner FROM machines').map((row) => ({
      owner: String(row['owner']) as KeyId, domain: String(row['domain']), domainKey: String(row['domain_key']) as KeyId
    }))
  }

  machinesOf ({ owner, domain, domainKey }: Whose, states: readonly MachineState[]): MachineRecord[] {
    return this.#all(
      'SELECT record FROM machines WHERE domain_key = ? AND domain = ? AND owner = ? AND state IN (SELECT value FROM json_each(?)) ORDER BY vm_id',
      domainKey, domain, owner, JSON.stringify(states)
    ).map(machineOf)
  }

  hasLive (domain: string, domainKey: KeyId): boolean {
    return this.#all(`SELECT 1 FROM machines WHERE domain_key = ? AND domain = ? AND state NOT IN (${ENDED}) LIMIT 1`, domainKey, domain).length > 0
  }

  dropMachine (vmId: VmId): void {
    this.#run('DELETE FROM machines WHERE vm_id = ?', vmId)
  }

  forget (endedBeforeMs: number): MachineRecord[] {
    return guarded(this.#path, () => this.#transaction(() => [
      ...this.#all(`DELETE FROM machines WHERE state IN (${ENDED}) AND changed_at_ms < ? RETURNING record`, endedBeforeMs),
      ...this.#all(`SELECT owner, count(*) AS kept FROM machines WHERE state IN (${ENDED}) GROUP BY owner HAVING kept > ?`, ENDED_PER_OWNER_MAX).flatMap((row) => this.#all(
        `DELETE FROM machines WHERE vm_id IN (SELECT vm_id FROM machines WHERE owner = ? AND state IN (${ENDED}) ORDER BY changed_at_ms LIMIT ?) RETURNING record`,
        String(row['owner']), Number(row['kept']) - ENDED_PER_OWNER_MAX
      )),
      ...this.#all(
        `DELETE FROM machines WHERE vm_id IN (SELECT vm_id FROM machines WHERE state IN (${ENDED}) ORDER BY changed_at_ms DESC LIMIT -1 OFFSET ?) RETURNING record`, ENDED_MAX
      )
    ].map(machineOf)))
  }

  putDecision ({ owner, orderId, atMs, decision }: DecisionRecord): void {
    this.#run(
      `INSERT INTO decisions VALUES (?, ?, ?, (SELECT coalesce(max(seq), 0) + 1 FROM decisions), ?) ON CONFLICT (owner, order_id)
       DO UPDATE SET at_ms = excluded.at_ms, seq = excluded.seq, decision = excluded.decision`,
      owner, orderId, atMs, JSON.stringify(decision)
    )
    // By the order of writing, not by the clock, which may jump.
    this.#run('DELETE FROM decisions WHERE seq <= (SELECT seq FROM decisions ORDER BY seq DESC LIMIT 1 OFFSET ?)', ORDERS_KEPT_MAX)
  }

  decision (owner: KeyId, orderId: string): DecisionRecord | undefined {
    const row = this.#all('SELECT at_ms, decision FROM decisions WHERE owner = ? AND order_id = ?', owner, orderId)[0]
    return row && { owner, orderId, atMs: Number(row['at_ms']), decision: JSON.parse(String(row['decision'])) as Record<string, unknown> }
  }

  putGrant ({ domainKey, domain, grantee, signed }: GrantRecord): void {
    this.#run('INSERT INTO grants VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET signed = excluded.signed', domainKey, domain, grantee, signed)
  }

  grants (): GrantRecord[] {
    return this.#all('SELECT domain_key, domain, grantee, signed FROM grants').map((row) => ({
      domainKey: String(row['domain_key']) as KeyId, domain: String(row['domain']), grantee: String(row['grantee']) as KeyId, signed: bytesOf(row['signed'])
    }))
  }

  saveClaims (changes: ClaimChange[]): void {
    if (changes.length === 0) return
    guarded(this.#path, () => this.#transaction(() => {
      for (const { vmId, entry } of changes) {
        if (entry === undefined) this.#run('DELETE FROM claims WHERE vm_id = ?', vmId)
        else this.#run('INSERT INTO claims VALUES (?, ?) ON CONFLICT DO UPDATE SET entry = excluded.entry', vmId, entry)
      }
    }))
  }

  claims (): Array<{ vmId: VmId, entry: Uint8Array }> {
    return this.#all('SELECT vm_id, entry FROM claims').map((row) => ({ vmId: String(row['vm_id']) as VmId, entry: bytesOf(row['entry']) }))
  }

  saveKnownPlants ({ peers, atMs }: KnownPlantsRecord): void {
    this.#run('INSERT INTO known_plants VALUES (1, ?, ?) ON CONFLICT DO UPDATE SET at_ms = excluded.at_ms, peers = excluded.peers', atMs, JSON.stringify(peers))
  }

  knownPlants (): KnownPlantsRecord {
    const row = this.#all('SELECT at_ms, peers FROM known_plants')[0]
    return row === undefined ? { peers: [], atMs: 0 } : { peers: JSON.parse(String(row['peers'])) as PeerId[], atMs: Number(row['at_ms']) }
  }

  saveMarks (changes: MarkChange[]): void {
    if (changes.length === 0) return
    guarded(this.#path, () => this.#transaction(() => {
      for (const { key, signed } of changes) {
        if (signed === undefined) this.#run('DELETE FROM marks WHERE mark_key = ?', key)
        else this.#run('INSERT INTO marks VALUES (?, ?) ON CONFLICT DO UPDATE SET signed = excluded.signed', key, signed)
      }
    }))
  }

  marks (): Uint8Array[] {
    return this.#all('SELECT signed FROM marks').map((row) => bytesOf(row['signed']))
  }

  noteUse (goldenId: GoldenId, atMs: number): void {
    guarded(this.#path, () => this.#transaction(() => {
      this.#run('INSERT INTO template_uses VALUES (?, 1, ?) ON CONFLICT DO UPDATE SET uses = uses + 1, last_ms = max(last_ms, excluded.last_ms)', goldenId, atMs)
      this.#run('DELETE FROM template_uses WHERE golden_id IN (SELECT golden_id FROM template_uses ORDER BY last_ms DESC LIMIT -1 OFFSET ?)', TEMPLATE_USES_MAX)
    }))
  }

  templateUses (): TemplateUse[] {
    return this.#all('SELECT golden_id, uses, last_ms FROM template_uses').map((row) => ({ goldenId: String(row['golden_id']) as GoldenId, uses: Number(row['uses']), lastMs: Number(row['last_ms']) }))
  }

  noteCopy (goldenId: GoldenId, atMs: number): void {
    guarded(this.#path, () => this.#transaction(() => {
      this.#run('INSERT INTO copies VALUES (?, ?) ON CONFLICT DO UPDATE SET at_ms = excluded.at_ms', goldenId, atMs)
      this.#run('DELETE FROM copies WHERE golden_id IN (SELECT golden_id FROM copies ORDER BY at_ms DESC LIMIT -1 OFFSET ?)', COPIES_MAX)
    }))
  }

  dropCopy (goldenId: GoldenId): void { guarded(this.#path, () => { this.#run('DELETE FROM copies WHERE golden_id = ?', goldenId) }) }

  copies (): CopyNote[] {
    return this.#all('SELECT golden_id, at_ms FROM copies').map((row) => ({ goldenId: String(row['golden_id']) as GoldenId, atMs: Number(row['at_ms']) }))
  }

  seenCall ({ caller, nonce }: { caller: KeyId, nonce: string }, expiresAtMs: number): boolean {
    this.#dropNonces()
    if (this.#all('SELECT 1 FROM nonces WHERE nonce = ?', nonce).length > 0) return false
    if (this.#nonces.of(caller) >= NONCES_PER_CALLER_MAX) throw new PlantError('LIMIT', { bound: 'calls of one key remembered', max: NONCES_PER_CALLER_MAX })
    if (this.#nonces.total >= NONCES_MAX) throw new PlantError('LIMIT', { bound: 'calls remembered', max: NONCES_MAX })
    this.#run('INSERT INTO nonces (nonce, expires_at_ms, caller) VALUES (?, ?, ?)', nonce, expiresAtMs, caller)
    this.#nonces.add(caller, 1)
    return true
  }

  /** Those that have expired. */
  #dropNonces (): void {
    for (const row of this.#all('DELETE FROM nonces WHERE expires_at_ms <= ? RETURNING caller', this.#clock.nowMs())) this.#nonces.add(String(row['caller']), -1)
  }

  close (): void {
    if (this.#closed) return
    this.#closed = true
    this.#statements.clear()
    this.#db.close()
  }

  #prepared (sql: string): StatementSync {
    const known = this.#statements.get(sql)
    if (known !== undefined) return known
    const statement = this.#db.prepare(sql)
    this.#statements.set(sql, statement)
    return statement
  }

  #run (sql: string, ...values: SQLInputValue[]): number {
    return guarded(this.#path, () => Number(this.#prepared(sql).run(...values).changes))
  }

  #all (sql: string, ...values: SQLInputValue[]): Array<Record<string, unknown>> {
    return guarded(this.#path, () => this.#prepared(sql).all(...values))
  }

  #transaction<T> (work: () => T): T {
    this.#db.exec('BEGIN IMMEDIATE')
    try {
      const result = work()
      this.#db.exec('COMMIT')
      return result
    } catch (error) {
      // A full disk may have rolled back already.
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK')
      throw error
    }
  }
}

/** How many there are of each name. */
class Tally {
  readonly #counts = new Map<string, number>()
  total = 0

  of (name: string): number { return this.#counts.get(name) ?? 0 }

  add (name: string, count: number): void {
    const now = this.of(name) + count
    this.total += count
    if (now === 0) this.#counts.delete(name)
    else this.#counts.set(name, now)
  }
}

function machineOf (row: Record<string, unknown>): MachineRecord {
  return JSON.parse(String(row['record'])) as MachineRecord
}

function bytesOf (value: unknown): Uint8Array {
  return value instanceof Uint8Array ? value : new Uint8Array()
}
