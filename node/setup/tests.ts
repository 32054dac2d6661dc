/** `npm test`, `npm run test:all`, `npm run check`: set-up, types, lint and tests, each as a check with its time. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { PlantError, asPlantError } from '../../protocols/kit/index.ts'
import { cacheDirOf } from './places.ts'
import { ensureQemu } from './qemu.ts'
import type { QemuFound } from './qemu-find.ts'
import { step } from './steps.mjs'
import { countsOf, verdictOf, type Verdict } from './verdict.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const BIN = join(ROOT, 'node_modules', '.bin')
const REPORTER = join(ROOT, 'node', 'setup', 'progress-reporter.ts')

/** Runs everything and ends the process with 0 when all is well. `mode` is one of npm's scripts; the rest goes to vitest. */
async function main ([mode = 'test', ...args]: string[]): Promise<void> {
  const env = { ...process.env, ...(mode === 'test:all' && { PLANTMESH_TEST_ALL: '1' }) }
  const verdict: Verdict = { checks: [], passed: 0, failed: 0 }
  const startedMs = performance.now()
  const qemu = mode === 'check' ? undefined : await haveQemu()
  // Types and lint share the two cores; the tests then have them to themselves.
  const checks = await Promise.all([
    check('types', join(BIN, 'tsc'), ['-p', ROOT]),
    check('lint', join(BIN, 'oxlint'), ['--config', join(ROOT, '.oxlintrc.json'), ROOT])
  ])
  verdict.checks.push(...checks)
  if (qemu !== undefined) await tests(args, env, qemu, verdict)
  const { line, ok } = verdictOf(verdict, performance.now() - startedMs)
  process.stdout.write(`\n${line}\n`)
  const report = process.env['PLANTMESH_TEST_REPORT']
  if (report !== undefined && report !== '') await writeFile(report, JSON.stringify(verdict))
  process.exitCode = ok ? 0 : 1
}

async function haveQemu (): Promise<QemuFound> {
  const shown = step('virtual machine monitor')
  try {
    // Tests keep their plants' data in directories of their own; only QEMU is looked for in the usual one.
    const qemu = await ensureQemu({ dataDir: cacheDirOf(), onStep: (text) => { shown.set(text) } })
    shown.done(qemu.how)
    return qemu
  } catch (error) {
    shown.failed()
    throw error
  }
}

/** Runs a checker; what it prints is shown only when it fails. */
async function check (name: string, file: string, args: string[]): Promise<{ name: string, ok: boolean }> {
  const shown = step(name)
  const child = spawn(file, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] })
  const printed: Buffer[] = []
  child.stdout.on('data', (piece: Buffer) => printed.push(piece))
  child.stderr.on('data', (piece: Buffer) => printed.push(piece))
  const [status] = await once(child, 'close') as [number | null]
  if (status === 0) shown.done()
  else {
    shown.failed()
    process.stdout.write(Buffer.concat(printed))
  }
  return { name, ok: status === 0 }
}

/** Tests that start QEMU's programs themselves find them on PATH, also where they are unpacked elsewhere: as scripts that say where their libraries are. */
async function withQemu (env: NodeJS.ProcessEnv, qemu: QemuFound, dir: string): Promise<NodeJS.ProcessEnv> {
  if (qemu.qemuDir === undefined) return env
  const bin = join(dir, 'bin')
  await mkdir(bin)
  const quoted = (words: string[]): string => words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ')
  const set = ['LD_LIBRARY_PATH', 'QEMU_MODULE_DIR'].map((name) => `export ${name}=${quoted([qemu.env[name] ?? ''])}\n`).join('')
  for (const [name, words] of [['qemu-img', [qemu.img]], ['qemu-system-x86_64', [qemu.system, ...qemu.args]]] as const) {
    await writeFile(join(bin, name), `#!/bin/sh\n${set}exec ${quoted([...words])} "$@"\n`, { mode: 0o755 })
  }
  return { ...env, PATH: [bin, env['PATH'] ?? ''].join(delimiter) }
}

async function tests (args: string[], env: NodeJS.ProcessEnv, qemu: QemuFound, verdict: Verdict): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'plantmesh-test-'))
  try {
    const report = join(dir, 'report.json')
    const line = ['run', '-c', join(ROOT, 'test', 'vitest.config.ts'), '--reporter=default', '--reporter=json', `--outputFile.json=${report}`, `--reporter=${REPORTER}`, ...args]
    const child = spawn(process.execPath, [join(ROOT, 'node_modules', 'vitest', 'vitest.mjs'), ...line], { cwd: ROOT, stdio: 'inherit', env: await withQemu(env, qemu, dir) })
    const forward = (signal: NodeJS.Signals): void => { child.kill(signal) }
    process.on('SIGTERM', forward)
    // A terminal interrupts vitest itself: wait for it to clean up.
    process.on('SIGINT', () => {})
    const [status] = await once(child, 'close') as [number | null]
    process.off('SIGTERM', forward)
    const counts = countsOf(await readFile(report, 'utf8').catch(() => ''))
    verdict.passed += counts.passed
    verdict.failed += counts.failed
    // Vitest fails for more than failed tests: no test found, an error outside of any, a report not written.
    if (status !== 0 && counts.failed === 0) verdict.checks.push({ name: 'test run', ok: false })
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

try {
  await main(process.argv.slice(2))
} catch (error) {
  const failure = asPlantError(error)
  process.stderr.write(`plantmesh: ${failure instanceof PlantError && typeof failure.details['mend'] === 'string' ? failure.details['mend'] : failure.stack ?? failure.message}\n`)
  process.exitCode = 1
}
