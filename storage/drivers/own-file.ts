/** Files of a plant that nobody but its owner may read, whatever the mode of the directory that they are in. */
import { chmodSync, closeSync, openSync, statSync } from 'node:fs'

/** What SQLite puts beside a database; new ones get the database's mode. */
const BESIDE = ['', '-wal', '-shm', '-journal']

/** Makes a database's file where it is missing, and its owner's alone where an earlier version left it to all. Throws the file system's error. */
export function ownDatabase (path: string): void {
  closeSync(openSync(path, 'a', 0o600))
  for (const end of BESIDE) {
    const found = statSync(`${path}${end}`, { throwIfNoEntry: false })
    if (found !== undefined && (found.mode & 0o077) !== 0) chmodSync(`${path}${end}`, found.mode & 0o700)
  }
}
