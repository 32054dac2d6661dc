/** A directory of one run for what ssh must find by name: its agent's socket and the host key that it is to expect. */
import { lstatSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PlantError } from '../../protocols/kit/index.ts'

/** What a run calls its directory. */
const PID = /^[1-9][0-9]{0,9}$/

/**
 * Makes it, in a directory of this user's under the one for temporary files, and removes what runs left there that were killed. Nobody else may look into it. Returns what
 * removes it. Throws CONFIG_INVALID when somebody else was there first.
 */
export function makeSshDir (temporary = tmpdir()): { dir: string, remove: () => void } {
  const uid = process.getuid?.() ?? 0
  const base = join(temporary, `plantmesh-ssh-${uid}`)
  mkdirSync(base, { recursive: true, mode: 0o700 })
  // Not what a link leads to: everybody may put one here, to a directory of this user's whose files would then be taken for leftovers.
  const found = lstatSync(base)
  if (!found.isDirectory() || found.uid !== uid || (found.mode & 0o077) !== 0) throw new PlantError('CONFIG_INVALID', { path: base, problem: 'it is not a directory that is this user\'s alone: remove it' })
  for (const name of readdirSync(base)) if (PID.test(name) && !runs(Number(name))) rmSync(join(base, name), { recursive: true, force: true })
  const dir = join(base, String(process.pid))
  rmSync(dir, { recursive: true, force: true })
  mkdirSync(dir, { mode: 0o700 })
  return { dir, remove: () => { rmSync(dir, { recursive: true, force: true }) } }
}

function runs (pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
