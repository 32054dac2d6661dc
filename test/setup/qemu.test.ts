import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { PlantError } from '../../protocols/kit/index.ts'
import { cacheDirOf } from '../../node/setup/places.ts'
import { ensureQemu } from '../../node/setup/qemu.ts'
import { findQemu, qemuDirs } from '../../node/setup/qemu-find.ts'

let dir = ''
beforeEach(() => { dir = mkdtempSync(join(tmpdir(), 'plantmesh-qemu-')) })
afterEach(() => { rmSync(dir, { recursive: true, force: true }) })

/** A program that prints a version and ends: stands for QEMU where only the looking is tested. */
function fake (where: string, name: string, text: string): void {
  mkdirSync(where, { recursive: true })
  writeFileSync(join(where, name), `#!/bin/sh\necho '${text}'\n`)
  chmodSync(join(where, name), 0o755)
}
const env = (more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv => ({ PATH: join(dir, 'bin'), HOME: dir, PLANTMESH_CACHE: join(dir, 'cache'), ...more })
const find = async (more?: NodeJS.ProcessEnv): Promise<string | undefined> => (await findQemu({ dataDir: join(dir, 'data'), env: env(more) }))?.how

async function mendOf (more: NodeJS.ProcessEnv): Promise<string> {
  const error = await ensureQemu({ dataDir: join(dir, 'data'), env: env(more) }).then(() => undefined, (thrown: unknown) => thrown)
  expect(error).toBeInstanceOf(PlantError)
  expect((error as PlantError).code).toBe('SETUP_FAILED')
  const mend = String((error as PlantError).details['mend'])
  expect(mend).not.toContain('\n')
  return mend
}

test.each([
  ['QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)', 'QEMU 7.2.22, found on this host'], ['QEMU emulator version 10.0.0', 'QEMU 10.0.0, found on this host'],
  ['QEMU emulator version 7.1.9', undefined], ['QEMU emulator version 5.2.0', undefined], ['something else', undefined]
])('the host\'s QEMU is taken when it is new enough: %s', async (version, how) => {
  fake(join(dir, 'bin'), 'qemu-system-x86_64', version)
  expect(await find()).toBeUndefined()
  fake(join(dir, 'bin'), 'qemu-img', version)
  expect(await find()).toBe(how)
  expect(await find({ PLANTMESH_IGNORE_SYSTEM_QEMU: '1' })).toBeUndefined()
})

test('an unpacked QEMU is taken from the cache, else from the data directory, with its libraries and firmware', async () => {
  const version = 'QEMU emulator version 7.2.22'
  const [inCache = '', inData = ''] = qemuDirs(join(dir, 'data'), env())
  for (const name of ['qemu-system-x86_64', 'qemu-img']) fake(join(inData, 'usr/bin'), name, version)
  expect(await find()).toContain(inData)
  for (const name of ['qemu-system-x86_64', 'qemu-img']) fake(join(inCache, 'usr/bin'), name, version)
  const found = await findQemu({ dataDir: join(dir, 'data'), env: env() })
  expect(found?.qemuDir).toBe(inCache)
  expect(found?.env['LD_LIBRARY_PATH']).toContain(join(inCache, 'usr/lib'))
  expect(found?.args).toContain(join(inCache, 'usr/share/qemu'))
})

test('the cache is where the user says, else where the system says', () => {
  expect(cacheDirOf({ PLANTMESH_CACHE: '/a', XDG_CACHE_HOME: '/b' })).toBe('/a')
  expect(cacheDirOf({ PLANTMESH_CACHE: '', XDG_CACHE_HOME: '/b' })).toBe('/b/plantmesh')
  expect(cacheDirOf({}).endsWith('/.cache/plantmesh')).toBe(true)
})

test('without apt or dpkg-deb it says in one line what to do', async () => {
  expect(await mendOf({})).toContain('apt-get was not found')
  fake(join(dir, 'bin'), 'apt-get', '')
  expect(await mendOf({})).toContain('dpkg-deb was not found')
})

test.each([
  ['E: Unable to locate package qemu-system-x86', 'the sources in /etc/apt do not offer QEMU'],
  ['E: Failed to fetch http://mirror.example/x  Temporary failure resolving', 'mirror cannot be reached'],
  ['E: Write error - write (28: No space left on device)', 'the disk is full']
])('an apt that says "%s" is told in one line, and nothing is left over', async (said, mend) => {
  for (const name of ['dpkg', 'dpkg-deb']) fake(join(dir, 'bin'), name, 'amd64')
  writeFileSync(join(dir, 'bin', 'apt-get'), `#!/bin/sh\necho '${said}' >&2\nexit 100\n`, { mode: 0o755 })
  // The tools are looked up on the PATH of the process: the fakes go first there too.
  const before = process.env['PATH']
  process.env['PATH'] = `${join(dir, 'bin')}:${before ?? ''}`
  try {
    expect(await mendOf({ PATH: process.env['PATH'], PLANTMESH_IGNORE_SYSTEM_QEMU: '1' })).toContain(mend)
  } finally {
    if (before !== undefined) process.env['PATH'] = before
  }
  expect(existsSync(join(dir, 'cache', 'qemu'))).toBe(false)
  expect(readdirSync(join(dir, 'cache')).filter((name) => name.includes('draft'))).toEqual([])
})
