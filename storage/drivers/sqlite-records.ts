/**
 * The records over SQLite (`node:sqlite`, which blocks: a write is one fsync of the log, about a millisecond on a solid-state disk). See
 * records/README.md for what it promises.
 */
import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import { PlantError, type Clock, type KeyId, type PeerId, type VmId } from '../../protocols/kit/index.ts'
import type { ClaimChange, DecisionRecord, GrantRecord, HistoryEntry, KnownPlantsRecord, MachineRecord, MachineState, Records } from '../records/records.ts'
import { BUSY_TIMEOUT_MS, HISTORY_MAX, HISTORY_PER_SUBJECT_MAX, NONCES_MAX, NONCES_PER_CALLER_MAX, ORDERS_KEPT_MAX, TRIM_EVERY } from './records-limits.ts'
import { migrate } from './records-schema.ts'

/** Opens, and where needed makes, the records' file. Throws RECORDS_BROKEN or DISK_FULL, with the path. */
export function openRecords (path: string, c: { clock: Clock }): Records {
  return guarded(path, () => {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
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
  #writes = 0
  /** How many nonces are kept, of each caller and in all: counting them for each call would read them all. */
  readonly #nonces = new Tally()
  #closed = false

  constructor (db: DatabaseSync, path: string, clock: Clock) {
    this.#db = db
    this.#path = path
    this.#clock = clock
    for (const row of this.#all('SELECT caller, count(*) AS kept FROM nonces GROUP BY caller')) this.#nonces.add(String(row['caller']), Number(row['kept']))
    this.#trim()
  }

  putMachine (record: MachineRecord): void {
    const { signedOrder, ...rest } = record
    this.#run(
      `INSERT INTO machines VALUES (?, ?, ?, ?, ?) ON CONFLICT (vm_id) DO UPDATE SET state = excluded.state, changed_at_ms = excluded.changed_at_ms,
       record = excluded.record, signed_order = excluded.signed_order`,
      record.vmId, record.state, record.changedAtMs, JSON.stringify(rest), signedOrder
    )
  }

  machine (vmId: VmId): MachineRecord | undefined {
    return this.#all('SELECT record, signed_order FROM machines WHERE vm_id = ?', vmId).map(machineOf)[0]
  }

  machines (states?: MachineState[]): MachineRecord[] {
    if (states === undefined) return this.#all('SELECT record, signed_order FROM machines ORDER BY vm_id').map(machineOf)
    return this.#all('SELECT record, signed_order FROM machines WHERE state IN (SELECT value FROM json_each(?)) ORDER BY vm_id', JSON.stringify(states)).map(machineOf)
  }

  dropMachine (vmId: VmId): void {
    guarded(this.#path, () => this.#transaction(() => {
      this.#run('DELETE FROM history WHERE subject = ?', vmId)
      this.#run('DELETE FROM machines WHERE vm_id = ?', vmId)
    }))
  }

  forget (changedBeforeMs: number): number {
    return guarded(this.#path, () => this.#transaction(() => {
      this.#run('DELETE FROM history WHERE subject IN (SELECT vm_id FROM machines WHERE state IN (\'collected\', \'failed\') AND changed_at_ms < ?)', changedBeforeMs)
      return this.#run('DELETE FROM machines WHERE state IN (\'collected\', \'failed\') AND changed_at_ms < ?', changedBeforeMs)
    }))
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

  addHistory ({ atMs, subject, event, details }: HistoryEntry): void {
    this.#run('INSERT INTO history (subject, at_ms, event, details) VALUES (?, ?, ?, ?)', subject, atMs, event, JSON.stringify(details))
    this.#run('DELETE FROM history WHERE subject = ? AND seq <= (SELECT seq FROM history WHERE subject = ? ORDER BY seq DESC LIMIT 1 OFFSET ?)', subject, subject, HISTORY_PER_SUBJECT_MAX)
    if (++this.#writes % TRIM_EVERY === 0) this.#trim()
  }

  history (subject: string, max: number): HistoryEntry[] {
    // The latest `max`, told in the order in which they happened.
    return this.#all('SELECT at_ms, event, details FROM history WHERE subject = ? ORDER BY seq DESC LIMIT ?', subject, max).reverse()
      .map((row) => ({ atMs: Number(row['at_ms']), subject, event: String(row['event']), details: JSON.parse(String(row['details'])) as Record<string, unknown> }))
  }

  close (): void {
    if (this.#closed) return
    this.#closed = true
    this.#statements.clear()
    this.#db.close()
  }

  #trim (): void {
    this.#run('DELETE FROM history WHERE seq <= (SELECT seq FROM history ORDER BY seq DESC LIMIT 1 OFFSET ?)', HISTORY_MAX)
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
  return { ...JSON.parse(String(row['record'])) as Omit<MachineRecord, 'signedOrder'>, signedOrder: bytesOf(row['signed_order']) }
}

function bytesOf (value: unknown): Uint8Array {
  return value instanceof Uint8Array ? value : new Uint8Array()
}
