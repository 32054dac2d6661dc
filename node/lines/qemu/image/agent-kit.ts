/** A perl and a busybox that run in any guest of this machine kind, whatever it has itself: from Debian's packages, with their own libraries. */
import { readFile, readdir, stat } from 'node:fs/promises'
import { join, relative } from 'node:path'
import type { AgentKit } from './guest-agent.ts'
import { LIBRARIES, LOADER, libraryPath } from './root-files.ts'

/** `unpacked` holds busybox-static, perl-base, libc6 and libcrypt1. */
export async function agentKit (unpacked: string): Promise<AgentKit> {
  const files: AgentKit['files'] = new Map()
  const add = async (name: string, from: string): Promise<void> => {
    files.set(`perl/${name}`, { data: await readFile(from), mode: ((await stat(from)).mode & 0o111) === 0 ? 0o644 : 0o755 })
  }
  for (const library of LIBRARIES) await add(`lib/${library}`, await libraryPath(unpacked, library))
  await add('ld.so', await libraryPath(unpacked, LOADER))
  await add('perl', join(unpacked, 'usr/bin/perl'))
  const modules = join(unpacked, 'usr/lib/x86_64-linux-gnu/perl-base')
  for (const entry of await readdir(modules, { recursive: true, withFileTypes: true })) {
    // Unicode's tables are most of it, and the agent's text is bytes.
    const path = join(entry.parentPath, entry.name)
    if (entry.isFile() && !relative(modules, path).startsWith('unicore')) await add(`inc/${relative(modules, path)}`, path)
  }
  return { files, busybox: await readFile(join(unpacked, 'bin/busybox')) }
}
