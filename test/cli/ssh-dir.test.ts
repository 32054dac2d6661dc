/** The directory of a run of `plantmesh ssh`, in a place where everybody may write. */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { makeSshDir } from '../../node/cli/ssh-dir.ts'

const name = `plantmesh-ssh-${process.getuid?.() ?? 0}`
/** Above what Linux gives to a process (PID_MAX_LIMIT is 2^22). */
const NOBODYS_PID = '9999999'

function temporary (): string {
  const dir = mkdtempSync(join(tmpdir(), 'ssh-dir-'))
  onTestFinished(() => { rmSync(dir, { recursive: true, force: true }) })
  return dir
}

test('a run has a directory that is its user\'s alone, and removes it with what killed runs left', () => {
  const base = temporary()
  mkdirSync(join(base, name), { mode: 0o700 })
  mkdirSync(join(base, name, NOBODYS_PID))
  mkdirSync(join(base, name, '1'))
  const { dir, remove } = makeSshDir(base)
  expect([dir, statSync(dir).mode & 0o777]).toEqual([join(base, name, String(process.pid)), 0o700])
  expect([existsSync(join(base, name, NOBODYS_PID)), existsSync(join(base, name, '1'))]).toEqual([false, true])
  remove()
  expect(existsSync(dir)).toBe(false)
})

test('a link that somebody left in its place leads nowhere: what it points to stays as it is', () => {
  const base = temporary()
  const precious = join(base, 'precious')
  mkdirSync(precious, { mode: 0o700 })
  writeFileSync(join(precious, 'id_ed25519'), 'a key')
  mkdirSync(join(precious, NOBODYS_PID))
  symlinkSync(precious, join(base, name))
  expect(() => makeSshDir(base)).toThrow('CONFIG_INVALID')
  expect([existsSync(join(precious, 'id_ed25519')), existsSync(join(precious, NOBODYS_PID))]).toEqual([true, true])
})

test('a directory that others may look into is not used, nor is a file', () => {
  const base = temporary()
  mkdirSync(join(base, name), { mode: 0o755 })
  chmodSync(join(base, name), 0o755)
  expect(() => makeSshDir(base)).toThrow('CONFIG_INVALID')
  rmSync(join(base, name), { recursive: true })
  writeFileSync(join(base, name), '')
  expect(() => makeSshDir(base)).toThrow()
})
