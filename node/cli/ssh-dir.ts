/** A directory of one run for what ssh must find by name: its agent's socket and the host key that it is to expect. */
import { mkdirSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PlantError } from '../../protocols/kit/index.ts'

/** Makes it, and removes what runs left that were killed; nobody else may look into it. Returns what removes it. Throws CONFIG_INVALID. */
export function makeSshDir (): { dir: string, remove: () => void } {
  const uid = process.getuid?.() ?? 0
  const base = join(tmpdir(), `plantmesh-ssh-${uid}`)
  mkdirSync(base, { recursive: true, mode: 0o700 })
  const stat = statSync(base)
  if (stat.uid !== uid || (stat.mode & 0o077) !== 0) throw new PlantError('CONFIG_INVALID', { path: base, problem: 'others may write there: remove it' })
  for (const name of readdirSync(base)) if (!runs(Number(name))) rmSync(join(base, name), { recursive: true, force: true })
  const dir = join(base, String(process.pid))
  rmSync(dir, { recursive: true, force: true })
  mkdirSync(dir, { mode: 0o700 })
  return { dir, remove: () => { rmSync(dir, { recursive: true, force: true }) } }
}

function runs (pid: number): boolean {
  if (!Number.isInteger(pid) || pid <= 0) return false
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
