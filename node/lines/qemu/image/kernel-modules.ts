/** Drivers out of an unpacked kernel package, each with what it needs. */
import { readFile, readdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { PlantError } from '../../../../protocols/kit/index.ts'

/** The modules of these names and those that they need, which come before them. Throws GOLDEN_BUILD_FAILED when one is missing. */
export async function modulesOf (modulesDir: string, names: readonly string[]): Promise<Map<string, Buffer>> {
  const files = new Map<string, string>()
  for (const entry of await readdir(modulesDir, { recursive: true, withFileTypes: true })) {
    if (entry.isFile() && entry.name.endsWith('.ko')) files.set(moduleName(entry.name), join(entry.parentPath, entry.name))
  }
  const ordered = new Map<string, Buffer>()
  for (const name of names) await addWithDependencies(name, files, ordered)
  return ordered
}

function moduleName (file: string): string {
  return basename(file, '.ko').replaceAll('-', '_')
}

/** Adds a module after those it needs, which it names in its own `depends=` field (kernel, scripts/mod/modpost.c). */
async function addWithDependencies (name: string, files: Map<string, string>, ordered: Map<string, Buffer>): Promise<void> {
  if (ordered.has(name)) return
  const path = files.get(name)
  if (path === undefined) throw new PlantError('GOLDEN_BUILD_FAILED', { problem: 'the kernel package lacks a driver', module: name })
  const data = await readFile(path)
  const depends = /\0depends=([^\0]*)\0/.exec(data.toString('latin1'))?.[1] ?? ''
  for (const needed of depends.split(',').filter(Boolean)) {
    // What is not a module is built into the kernel.
    if (files.has(moduleName(needed))) await addWithDependencies(moduleName(needed), files, ordered)
  }
  ordered.set(name, data)
}
