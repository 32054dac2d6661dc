/**
 * One plant for each data directory. The lock is SQLite's on a file of its own (a POSIX record lock), held by an open exclusive
 * transaction: the kernel drops it with the process, however that ends, so there is no stale file to judge. Machines that outlive the plant do not
 * inherit it.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { PlantError } from '../../protocols/kit/index.ts'
import { ownDatabase } from './own-file.ts'

/** SQLITE_BUSY (https://sqlite.org/rescode.html): someone else holds the lock. */
const SQLITE_BUSY = 5

/**
 * Takes the directory, making it where needed; the returned function gives it back and may be called twice. Throws DATA_IN_USE, with the process that has it if it said so, DISK_FULL or RECORDS_BROKEN.
 */
export function lockData (dir: string): () => void {
  const path = join(dir, 'plant.lock')
  const holderPath = join(dir, 'plant.pid')
  let db: DatabaseSync | undefined
  try {
    mkdirSync(dir, { recursive: true, mode: 0o700 })
    ownDatabase(path)
    db = new DatabaseSync(path, { timeout: 0 })
    db.exec('BEGIN EXCLUSIVE')
    writeFileSync(holderPath, `${process.pid}\n`, { mode: 0o600 })
  } catch (cause) {
    db?.close()
    const errcode = cause instanceof Error && 'errcode' in cause ? Number(cause.errcode) : 0
    if ((errcode & 0xff) === SQLITE_BUSY) throw new PlantError('DATA_IN_USE', { dir, ...holderOf(holderPath) }, { cause })
    const full = cause instanceof Error && 'code' in cause && (cause.code === 'ENOSPC' || cause.code === 'EDQUOT')
    throw new PlantError(full ? 'DISK_FULL' : 'RECORDS_BROKEN', { path, problem: cause instanceof Error ? cause.message : String(cause) }, { cause })
  }
  const held = db
  return () => { if (held.isOpen) held.close() }
}

/** For people only: who has the directory is decided by the lock. */
function holderOf (path: string): { pid?: number } {
  try {
    const pid = Number.parseInt(readFileSync(path, 'utf8'), 10)
    return Number.isInteger(pid) ? { pid } : {}
  } catch {
    return {} // Not written yet: the error says enough without it.
  }
}
