/** Installing packages, with a program in npm's place that says what it was asked and lays down what the lock file names. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'

const PACKAGES = join(import.meta.dirname, '..', '..', 'node', 'setup', 'packages.mjs')
/** Stands for npm: counts its runs, empties node_modules as `npm ci` does, and takes a moment so that two would overlap. */
const FAKE_NPM = `#!/usr/bin/env node
const fs = require('node:fs')
fs.appendFileSync('npm-runs', process.argv.slice(2).join(' ') + '\\n')
if (fs.existsSync('npm-fails')) { console.error(fs.readFileSync('npm-fails', 'utf8')); process.exit(1) }
if (fs.existsSync('npm-running')) { console.error('two at once'); process.exit(1) }
fs.writeFileSync('npm-running', '')
fs.rmSync('node_modules', { recursive: true, force: true })
setTimeout(() => {
  fs.mkdirSync('node_modules/.bin', { recursive: true })
  fs.copyFileSync('package-lock.json', 'node_modules/.package-lock.json')
  fs.rmSync('npm-running')
}, 200)
`

let dir = ''
const lock = (packages: Record<string, unknown>): void => { writeFileSync(join(dir, 'package-lock.json'), JSON.stringify({ packages: { '': {}, ...packages } })) }
const runs = (): string[] => existsSync(join(dir, 'npm-runs')) ? readFileSync(join(dir, 'npm-runs'), 'utf8').trim().split('\n') : []

async function ensure (): Promise<{ status: number, said: string }> {
  const script = `import { ensurePackages, SetupProblem } from ${JSON.stringify(PACKAGES)}
    try { await ensurePackages(${JSON.stringify(dir)}) } catch (error) { console.error((error instanceof SetupProblem ? 'problem: ' : '') + error.message); process.exitCode = 1 }`
  const { npm_execpath: _file, npm_node_execpath: _node, ...env } = process.env
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { env: { ...env, PATH: `${join(dir, 'bin')}:${env['PATH'] ?? ''}` }, stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.on('data', (piece: Buffer) => { said += piece.toString() })
  const [status] = await once(child, 'close') as [number]
  return { status, said }
}

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'plantmesh-packages-'))
  mkdirSync(join(dir, 'bin'))
  writeFileSync(join(dir, 'bin', 'npm'), FAKE_NPM, { mode: 0o755 })
  lock({ 'node_modules/a': { version: '1.0.0', integrity: 'x' } })
})
afterEach(() => { rmSync(dir, { recursive: true, force: true }) })

test('packages are installed once, the command is written, and nothing is done again until the lock file changes', async () => {
  expect((await ensure()).status).toBe(0)
  expect(runs()).toHaveLength(1)
  expect(runs()[0]).toMatch(/^ci /)
  expect(statSync(join(dir, 'node_modules', '.bin', 'plantmesh')).mode & 0o111).toBe(0o111)
  expect((await ensure()).said).toBe('')
  expect(runs()).toHaveLength(1)
  lock({ 'node_modules/a': { version: '2.0.0', integrity: 'y' } })
  await ensure()
  expect(runs()).toHaveLength(2)
})

test('two commands at once install once, and the second says that it waits', async () => {
  const [one, two] = await Promise.all([ensure(), ensure()])
  expect([one.status, two.status]).toEqual([0, 0])
  expect(runs()).toHaveLength(1)
  expect(`${one.said}${two.said}`).toContain('another npm command is installing the packages')
})

test('what npm installed by hand is taken as it is, but for what other platforms need', async () => {
  lock({ 'node_modules/a': { version: '1.0.0' }, 'node_modules/elsewhere': { version: '1.0.0', optional: true } })
  mkdirSync(join(dir, 'node_modules', '.bin'), { recursive: true })
  writeFileSync(join(dir, 'node_modules', '.package-lock.json'), JSON.stringify({ packages: { 'node_modules/a': { version: '1.0.0' } } }))
  expect((await ensure()).status).toBe(0)
  expect(runs()).toEqual([])
  writeFileSync(join(dir, 'node_modules', '.package-lock.json'), JSON.stringify({ packages: { 'node_modules/a': { version: '0.9.0' } } }))
  rmSync(join(dir, 'node_modules', '.plantmesh-lock-sha256'))
  await ensure()
  expect(runs()).toHaveLength(1)
})

test('an install that was broken off is done again', async () => {
  mkdirSync(join(dir, 'node_modules', 'a'), { recursive: true })
  expect((await ensure()).status).toBe(0)
  expect(runs()).toHaveLength(1)
})

test.each([
  ['npm ERR! code EAI_AGAIN', 'npm cannot reach its registry'], ['ENOSPC: no space left on device', 'out of disk'], ['EACCES: permission denied', 'npm may not write here'], ['something else', 'as shown above']
])('npm that fails with "%s" is shown and told in one line, and tried again the next time', async (said, advice) => {
  writeFileSync(join(dir, 'npm-fails'), said)
  const { status, said: told } = await ensure()
  expect(status).toBe(1)
  expect(told).toContain(said)
  expect(told.trim().split('\n').at(-1)).toMatch(/^problem: /)
  expect(told).toContain(advice)
  rmSync(join(dir, 'npm-fails'))
  expect((await ensure()).status).toBe(0)
})

test('packages are not replaced under a process that uses them', async () => {
  mkdirSync(join(dir, 'node_modules', 'its-node'), { recursive: true })
  const node = join(dir, 'node_modules', 'its-node', 'node')
  copyFileSync(process.execPath, node)
  const child = spawn(node, ['-e', 'process.stdout.write("up"); setInterval(() => {}, 1000)'], { stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = once(child, 'exit')
  await once(child.stdout, 'data')
  const { status, said } = await ensure()
  expect(status).toBe(1)
  expect(said).toContain(`pid ${String(child.pid)}`)
  expect(runs()).toEqual([])
  child.kill('SIGKILL')
  await ended
  expect((await ensure()).status).toBe(0)
})
