/** The labels that a key follows, and which templates it has been shown: a file beside the key. */
import { mkdir, open, readFile, rename } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import { PlantError, type KeyId } from '../../protocols/kit/index.ts'
import { LABEL, LABEL_ALLOWED } from '../../protocols/template/index.ts'

/** Labels that one key follows, and templates that are remembered as shown for each. */
const FOLLOWED_MAX = 256
const SHOWN_MAX = 4_096

const schema = z.record(z.string(), z.record(z.string(), z.array(z.string())))
/** For each key, for each label, the ids that were shown. */
type Follows = z.output<typeof schema>

/** Throws USAGE when it cannot be one. */
export function labelArgument (label: string): string {
  if (!LABEL.test(label)) throw new PlantError('USAGE', { label, allowed: LABEL_ALLOWED })
  return label
}

/** What one key follows. Each call reads the file anew; throws CONFIG_INVALID when it is not readable. */
export class FollowFile {
  readonly #path: string
  readonly #key: KeyId

  constructor (configDir: string, key: KeyId) {
    this.#path = join(configDir, 'follows.json')
    this.#key = key
  }

  /** Labels that are followed, with what was shown of each. */
  async all (): Promise<Map<string, Set<string>>> {
    return new Map(Object.entries((await this.#read())[this.#key] ?? {}).map(([label, ids]) => [label, new Set(ids)]))
  }

  /** From now on it is followed, and these were shown. Throws LIMIT. */
  async shown (label: string, goldenIds: readonly string[]): Promise<void> {
    const follows = await this.#read()
    const mine = new Map(Object.entries(follows[this.#key] ?? {}))
    if (!mine.has(label) && mine.size >= FOLLOWED_MAX) throw new PlantError('LIMIT', { bound: 'labels that one key follows', max: FOLLOWED_MAX })
    // The latest last: what was shown long ago and is not there any more is forgotten first.
    mine.set(label, [...new Set([...(mine.get(label) ?? []).filter((id) => !goldenIds.includes(id)), ...goldenIds])].slice(-SHOWN_MAX))
    await this.#write({ ...follows, [this.#key]: Object.fromEntries(mine) })
  }

  /** False: it was not followed. */
  async forget (label: string): Promise<boolean> {
    const follows = await this.#read()
    const mine = new Map(Object.entries(follows[this.#key] ?? {}))
    if (!mine.delete(label)) return false
    await this.#write({ ...follows, [this.#key]: Object.fromEntries(mine) })
    return true
  }

  async #read (): Promise<Follows> {
    let text: string
    try {
      text = await readFile(this.#path, 'utf8')
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return {}
      throw new PlantError('CONFIG_INVALID', { file: this.#path, problem: (cause as Error).message }, { cause })
    }
    try {
      return schema.parse(JSON.parse(text))
    } catch (cause) {
      throw new PlantError('CONFIG_INVALID', { file: this.#path, problem: 'not what plantmesh template follow wrote; remove it to begin anew' }, { cause })
    }
  }

  /** Whole or not at all, whatever happens meanwhile. */
  async #write (follows: Follows): Promise<void> {
    await mkdir(dirname(this.#path), { recursive: true, mode: 0o700 })
    const fresh = `${this.#path}.${process.pid}`
    const file = await open(fresh, 'w', 0o600)
    try {
      await file.writeFile(JSON.stringify(follows))
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(fresh, this.#path)
  }
}
