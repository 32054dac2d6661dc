/** Writing results: whole or not at all, and where nothing can be written it is said before hours of runs. */
import { closeSync, mkdirSync, openSync, rmdirSync, rmSync, writeSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { PlantError } from '../../protocols/kit/index.ts'

/** Bytes that are gathered before they are written. */
const BUFFER_CHARS = 1 << 16
const PROBE = '.plantmesh-probe'

/** A file that grows line by line; written at once, as a simulation does not wait for disks. Throws DISK_FULL. */
export class LineFile {
  readonly #path: string
  readonly #fd: number
  #text = ''

  constructor (path: string) {
    this.#path = path
    this.#fd = onDisk(path, () => openSync(path, 'w'))
  }

  write (line: string): void {
    this.#text += line
    if (this.#text.length >= BUFFER_CHARS) this.#flush()
  }

  close (): void {
    try {
      this.#flush()
    } finally {
      closeSync(this.#fd)
    }
  }

  /** A nearly full disk takes a part and says so only in the number it answers. */
  #flush (): void {
    const bytes = Buffer.from(this.#text)
    this.#text = ''
    onDisk(this.#path, () => { for (let at = 0; at < bytes.length;) at += writeSync(this.#fd, bytes, at) })
  }
}

/** What the file system throws, as DISK_FULL where that is what it means. */
export function diskError (cause: unknown, path: string): unknown {
  const code = codeOf(cause)
  return code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG' ? new PlantError('DISK_FULL', { path }, { cause }) : cause
}

/**
 * Makes a directory for results and tries it with a file. Returns what takes the directories away again that it made, as long as nothing is in them: for whom
 * nothing came of it. Throws USAGE where results cannot be written.
 */
export function prepareOut (dir: string): () => void {
  const made: string[] = []
  const giveUp = (): void => {
    for (const path of made.toReversed()) {
      try {
        rmdirSync(path)
      } catch {
        return // Something is in it, and so it stays.
      }
    }
  }
  try {
    makeDirs(resolve(dir), made)
    const probe = join(dir, PROBE)
    closeSync(openSync(probe, 'w'))
    rmSync(probe)
    return giveUp
  } catch (cause) {
    giveUp()
    throw new PlantError('USAGE', { option: '--out', path: dir, problem: cause instanceof Error ? cause.message : String(cause) }, { cause })
  }
}

/** One directory after the other: Node's own recursive mkdir never ends where the file system has no new directories (/proc). */
function makeDirs (path: string, made: string[]): void {
  try {
    mkdirSync(path)
  } catch (cause) {
    if (codeOf(cause) === 'EEXIST') return // Whatever it is, the probe will find out.
    const parent = dirname(path)
    if (codeOf(cause) !== 'ENOENT' || parent === path) throw cause
    makeDirs(parent, made)
    mkdirSync(path)
  }
  made.push(path)
}

function onDisk<T> (path: string, work: () => T): T {
  try {
    return work()
  } catch (cause) {
    throw diskError(cause, path)
  }
}

function codeOf (cause: unknown): unknown { return cause instanceof Error && 'code' in cause ? cause.code : undefined }
