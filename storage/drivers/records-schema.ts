/** The tables of the records, and how older files become newer ones. */
import type { DatabaseSync } from 'node:sqlite'
import { PlantError } from '../../protocols/kit/index.ts'

/** Each entry takes a file from its index to the next version. Only ever appended to. */
export const MIGRATIONS: readonly string[] = [
  `CREATE TABLE machines (vm_id TEXT PRIMARY KEY, state TEXT NOT NULL, changed_at_ms INTEGER NOT NULL, record TEXT NOT NULL, signed_order BLOB NOT NULL) STRICT, WITHOUT ROWID;
   CREATE INDEX machines_by_state ON machines (state, changed_at_ms);
   CREATE TABLE decisions (owner TEXT NOT NULL, order_id TEXT NOT NULL, at_ms INTEGER NOT NULL, seq INTEGER NOT NULL, decision TEXT NOT NULL, PRIMARY KEY (owner, order_id)) STRICT;
   CREATE INDEX decisions_by_age ON decisions (seq);
   CREATE TABLE grants (domain_key TEXT NOT NULL, domain TEXT NOT NULL, grantee TEXT NOT NULL, signed BLOB NOT NULL, PRIMARY KEY (domain_key, domain, grantee)) STRICT, WITHOUT ROWID;
   CREATE TABLE nonces (nonce TEXT PRIMARY KEY, expires_at_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;
   CREATE INDEX nonces_by_expiry ON nonces (expires_at_ms);
   CREATE TABLE history (seq INTEGER PRIMARY KEY AUTOINCREMENT, subject TEXT NOT NULL, at_ms INTEGER NOT NULL, event TEXT NOT NULL, details TEXT NOT NULL) STRICT;
   CREATE INDEX history_by_subject ON history (subject, seq);
   CREATE TABLE claims (vm_id TEXT PRIMARY KEY, entry BLOB NOT NULL) STRICT, WITHOUT ROWID;`,
  'CREATE TABLE known_plants (one INTEGER PRIMARY KEY CHECK (one = 1), at_ms INTEGER NOT NULL, peers TEXT NOT NULL) STRICT;',
  // Until then what stands before the slash of a nonce was its caller.
  `ALTER TABLE nonces ADD COLUMN caller TEXT NOT NULL DEFAULT '';
   UPDATE nonces SET caller = substr(nonce, 1, instr(nonce, '/') - 1);`,
  // Signed orders of up to a MiB lie apart, so that machines are read and written without them, and go when their machine has ended. Nothing read the history.
  `CREATE TABLE orders (vm_id TEXT PRIMARY KEY REFERENCES machines ON DELETE CASCADE, signed_order BLOB NOT NULL) STRICT;
   INSERT INTO orders SELECT vm_id, signed_order FROM machines WHERE state NOT IN ('failed', 'collected');
   ALTER TABLE machines DROP COLUMN signed_order;
   ALTER TABLE machines ADD COLUMN owner TEXT NOT NULL DEFAULT '';
   ALTER TABLE machines ADD COLUMN domain TEXT NOT NULL DEFAULT '';
   ALTER TABLE machines ADD COLUMN domain_key TEXT NOT NULL DEFAULT '';
   UPDATE machines SET owner = record ->> 'owner', domain = record ->> 'domain', domain_key = record ->> 'domainKey', record = json_set(record, '$.orderSecret', '');
   CREATE INDEX machines_by_whose ON machines (domain_key, domain, owner, state);
   CREATE INDEX machines_ended ON machines (owner, changed_at_ms) WHERE state IN ('failed', 'collected');
   DROP TABLE history;`,
  `CREATE TABLE marks (mark_key TEXT PRIMARY KEY, signed BLOB NOT NULL) STRICT, WITHOUT ROWID;
   CREATE TABLE template_uses (golden_id TEXT PRIMARY KEY, uses INTEGER NOT NULL, last_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;
   CREATE INDEX template_uses_by_age ON template_uses (last_ms);`,
  'CREATE TABLE copies (golden_id TEXT PRIMARY KEY, at_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;',
  // Networks were counted, not made: there was one name, and nobody had handed an order over.
  `UPDATE machines SET record = json_set(record, '$.handOvers', json_array());
   UPDATE machines SET record = json_remove(json_set(record, '$.lease.networks', json_array(record ->> '$.lease.network')), '$.lease.network') WHERE record ->> '$.lease.network' IS NOT NULL;`
]

/** The version that this program writes; older files are migrated, newer ones refused. */
export const SCHEMA_VERSION = MIGRATIONS.length

/** Brings a file to this program's version, in one transaction; RECORDS_BROKEN when the file is of a newer program. */
export function migrate (db: DatabaseSync, path: string): void {
  const row = db.prepare('PRAGMA user_version').get()
  const version = Number(row?.['user_version'] ?? 0)
  if (version > SCHEMA_VERSION) throw new PlantError('RECORDS_BROKEN', { path, problem: 'written by a newer version of plantmesh', version, known: SCHEMA_VERSION })
  if (version === SCHEMA_VERSION) return
  db.exec('BEGIN IMMEDIATE')
  try {
    for (const step of MIGRATIONS.slice(version)) db.exec(step)
    db.exec(`PRAGMA user_version = ${SCHEMA_VERSION}`)
    db.exec('COMMIT')
  } catch (error) {
    if (db.isTransaction) db.exec('ROLLBACK')
    throw error
  }
}
