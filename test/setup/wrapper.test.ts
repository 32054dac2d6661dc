/** The `plantmesh` command as callers meet it: a checkout of its own with a program that tells what it got. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { wrapperText } from '../../node/setup/wrapper.mjs'
import { onPath } from '../../node/setup/qemu-find.ts'

const ROOT = join(import.meta.dirname, '..', '..')
/** Prints its pid, arguments and directory; waits for a signal when told to. */
const PROGRAM = `
process.on('SIGTERM', () => { process.exit(43) }) // Before the line that says it is ready.
process.stdout.write(JSON.stringify({ pid: process.pid, args: process.argv.slice(2), cwd: process.cwd(), version: process.version }) + '\\n')
const status = process.argv.indexOf('--status')
if (status > 0) process.exit(Number(process.argv[status + 1]))
if (process.argv.includes('--wait')) setInterval(() => {}, 1000)
`
let dir = ''
let command = ''
/** A Node that is not the bundled one's path, as a user's own; the oldest found here (Node 20 where that is what the machine has). */
let ownNode = ''

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'plantmesh wrapper '))
  mkdirSync(join(dir, 'node_modules', '.bin'), { recursive: true })
  mkdirSync(join(dir, 'node', 'setup'), { recursive: true })
  for (const file of ['become.mjs', 'wrapper.mjs']) cpSync(join(ROOT, 'node', 'setup', file), join(dir, 'node', 'setup', file))
  symlinkSync(process.execPath, join(dir, 'node_modules', '.bin', 'node'))
  writeFileSync(join(dir, 'node', 'main.ts'), PROGRAM)
  command = join(dir, 'node_modules', '.bin', 'plantmesh')
  writeFileSync(command, wrapperText(), { mode: 0o755 })
  symlinkSync(command, join(dir, 'linked'))
  const path = (process.env['PATH'] ?? '').split(':').filter((one) => !one.includes('node_modules')).join(':')
  ownNode = await onPath('node', { PATH: path }) ?? process.execPath
})
afterAll(() => { rmSync(dir, { recursive: true, force: true }) })

interface Told { pid: number, args: string[], cwd: string, version: string }

async function firstLine (child: ChildProcess): Promise<Told> {
  let text = ''
  for await (const piece of child.stdout as AsyncIterable<Buffer>) {
    text += piece.toString()
    if (text.includes('\n')) return JSON.parse(text) as Told
  }
  throw new Error(`it printed no line: ${text}`)
}

async function gone (pid: number): Promise<void> {
  await expect.poll(() => existsSync(`/proc/${pid}`) && !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z '), { timeout: 10_000 }).toBe(false)
}

const ways: Array<[string, () => [string, string[]]]> = [
  ['executed', () => [command, []]],
  ['through a symbolic link', () => [join(dir, 'linked'), []]],
  ['run by the bundled Node', () => [process.execPath, [command]]],
  ['run by the user\'s own Node', () => [ownNode, [command]]]
]

describe.each(ways)('the command, %s', (_, way) => {
  const start = (...args: string[]): ChildProcess => {
    const [file, before] = way()
    return spawn(file, [...before, ...args], { stdio: ['ignore', 'pipe', 'pipe'], cwd: tmpdir() })
  }

  test('passes arguments as they are, the directory and the exit status, and says nothing of its own', async () => {
    const child = start('create', '-f', 'a b.yaml', '', '$x "y"', '--status', '3')
    let noise = ''
    child.stderr?.on('data', (piece: Buffer) => { noise += piece.toString() })
    const ended = once(child, 'close')
    const told = await firstLine(child)
    expect(told.args).toEqual(['create', '-f', 'a b.yaml', '', '$x "y"', '--status', '3'])
    expect(told.cwd).toBe(tmpdir())
    expect(told.version).toBe(process.version)
    expect(await ended).toEqual([3, null])
    expect(noise).toBe('')
  })

  test('passes SIGTERM to the program and its status back', async () => {
    const child = start('--wait')
    const ended = once(child, 'exit')
    await firstLine(child)
    child.kill('SIGTERM')
    expect(await ended).toEqual([43, null])
  })

  test('leaves no program behind when it is killed outright', async () => {
    const child = start('--wait')
    const ended = once(child, 'exit')
    const { pid } = await firstLine(child)
    child.kill('SIGKILL')
    expect(await ended).toEqual([null, 'SIGKILL'])
    await gone(pid)
  })
})

test('executed, the program is the caller\'s own child: nothing stands between', async () => {
  const child = spawn(command, ['--status', '0'], { stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = once(child, 'exit')
  expect((await firstLine(child)).pid).toBe(child.pid)
  await ended
})
