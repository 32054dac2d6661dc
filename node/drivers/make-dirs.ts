/** Makes directories that are missing on the way to a path. */
import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'

/**
 * As `mkdir -p`, each directory made with `mode`. Node's own recursive mkdir never ends where the file system has no new directories (/proc); this
 * throws the file system's error.
 */
export function makeDirs (path: string, mode: number): void {
  try {
    mkdirSync(path, { mode })
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
    if (code === 'EEXIST') return // Whatever it is, its user will find out.
    const parent = dirname(path)
    if (code !== 'ENOENT' || parent === path) throw cause
    makeDirs(parent, mode)
    mkdirSync(path, { mode })
  }
}
