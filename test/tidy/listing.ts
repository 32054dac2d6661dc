/** Reads the checkout's names; kept apart from the checks so that they stay functions of names. */
import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Listing } from './repository.ts'

/** Names in the checkout without what .gitignore leaves out (its patterns are names, and `*.log`). */
export async function readListing (root: string): Promise<Listing> {
  const ignored = (await readFile(join(root, '.gitignore'), 'utf8')).split('\n').map((line) => line.trim().replaceAll('/', '')).filter((line) => line !== '' && !line.startsWith('#'))
  const isIgnored = (name: string): boolean => name === '.git' || ignored.some((pattern) => pattern.startsWith('*') ? name.endsWith(pattern.slice(1)) : name === pattern)
  const files: string[] = []
  const read = async (dir: string): Promise<void> => {
    for (const entry of await readdir(join(root, dir), { withFileTypes: true })) {
      if (isIgnored(entry.name)) continue
      const path = dir === '' ? entry.name : `${dir}/${entry.name}`
      if (entry.isDirectory()) await read(path)
      else files.push(path)
    }
  }
  await read('')
  return { top: (await readdir(root)).filter((name) => !isIgnored(name)), files }
}
