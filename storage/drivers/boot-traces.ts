/** The orders in which machines first read files of their golden machine (`nbd/boot-trace.ts`), by golden machine and file: a small file each, the oldest out first. Losing one costs time and nothing else. */
import { mkdir, readFile, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { GoldenId, Log } from '../../protocols/kit/index.ts'
import { BOOT_TRACES_MAX, BOOT_TRACE_BYTES_MAX } from './warehouse-limits.ts'

/** In a directory of its own, which is made when there is something to keep. */
export class BootTraces {
  readonly #dir: string
  readonly #log: Log

  constructor (dir: string, log: Log) {
    this.#dir = dir
    this.#log = log
  }

  /** As it was kept, unchecked; undefined when there is none. Never throws. */
  async get (goldenId: GoldenId, file: string): Promise<unknown> {
    const path = this.#pathOf(goldenId, file)
    try {
      if ((await stat(path)).size > BOOT_TRACE_BYTES_MAX) return undefined
      return JSON.parse(await readFile(path, 'utf8')) as unknown
    } catch {
      return undefined // None yet, or cut off by a crash: the file is fetched in another order.
    }
  }

  /** Never throws. */
  async put (goldenId: GoldenId, file: string, runs: Array<[number, number]>): Promise<void> {
    const path = this.#pathOf(goldenId, file)
    try {
      await mkdir(this.#dir, { recursive: true, mode: 0o700 })
      await writeFile(`${path}.new`, JSON.stringify(runs), { mode: 0o600 })
      await rename(`${path}.new`, path)
      const all = await Promise.all((await readdir(this.#dir)).map(async (name) => ({ name, atMs: await stat(join(this.#dir, name)).then(({ mtimeMs }) => mtimeMs, () => 0) })))
      all.sort((a, b) => b.atMs - a.atMs)
      for (const { name } of all.slice(BOOT_TRACES_MAX)) await rm(join(this.#dir, name), { force: true })
    } catch (error) {
      this.#log.warn({ goldenId, file, error: String(error) }, 'the order in which a machine reads could not be kept')
    }
  }

  #pathOf (goldenId: GoldenId, file: string): string { return join(this.#dir, `${goldenId}.${file}.json`) }
}
