/** Which program made a result: commit, versions. */
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const run = promisify(execFile)

export interface Provenance { commit: string, dirty: boolean, versions: Record<string, string> }

/** The program's commit (`unknown` outside of a checkout), whether its files differ from it, and the versions of what it runs on. */
export async function provenance (): Promise<Provenance> {
  const { name, version } = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8')) as { name: string, version: string }
  const versions = { [name]: version, node: process.versions.node, v8: process.versions.v8, platform: `${process.platform} ${process.arch}` }
  try {
    const commit = (await run('git', ['-C', ROOT, 'rev-parse', 'HEAD'])).stdout.trim()
    const dirty = (await run('git', ['-C', ROOT, 'status', '--porcelain', '--untracked-files=no'])).stdout.trim() !== ''
    return { commit, dirty, versions }
  } catch {
    return { commit: 'unknown', dirty: false, versions } // No git, or not a checkout: said as such.
  }
}
