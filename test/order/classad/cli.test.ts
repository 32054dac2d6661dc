import { spawn, spawnSync, type SpawnSyncReturns } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, describe, expect, test } from 'vitest'

const PROGRAM = join(import.meta.dirname, 'classad-program.ts')
const directory = mkdtempSync(join(tmpdir(), 'plantmesh-classad-'))
afterAll(() => { rmSync(directory, { recursive: true }) })

function file (name: string, text: string): string {
  const path = join(directory, name)
  writeFileSync(path, text)
  return path
}

function classad (args: string[], input = ''): SpawnSyncReturns<string> {
  return spawnSync(process.execPath, [PROGRAM, 'classad', ...args], { encoding: 'utf8', input })
}

describe('classad eval', () => {
  test('prints the value in the scope of an ad and against a target', () => {
    const [ad, target] = [file('order.ad', '[MemoryMiB = 256]\n'), file('plant.ad', '[FreeMiB = 300]')]
    expect(classad(['eval', '--ad', ad, '--target', target, 'FreeMiB - MemoryMiB'])).toMatchObject({ status: 0, stdout: '44\n', stderr: '' })
    expect(classad(['eval', '--ad', '-', 'a + absent'], '[a = 1]')).toMatchObject({ status: 0, stdout: 'undefined\n' })
    expect(classad(['eval', '--', '-7 / 2'])).toMatchObject({ status: 0, stdout: '-3\n' })
  })

  test('exits with 1 and the place of what does not parse', () => {
    const broken = classad(['eval', '--ad', file('broken.ad', '[a = 1;\n b = = 2]'), 'a'])
    expect(broken).toMatchObject({ status: 1, stdout: '' })
    expect(broken.stderr).toMatch(/broken\.ad:2:6: /)
    expect(classad(['eval', '1 +'])).toMatchObject({ status: 1, stdout: '', stderr: expect.stringMatching(/^expression:1:4: /) })
  })

  test('exits with 2 when it is not used as it is meant', () => {
    expect(classad(['eval'])).toMatchObject({ status: 2, stdout: '' })
    expect(classad(['eval', '--ad', join(directory, 'absent.ad'), '1'])).toMatchObject({ status: 2, stdout: '' })
    expect(classad(['eval', '--nonsense', '1'])).toMatchObject({ status: 2, stdout: '' })
    expect(classad(['eval', '1', '2'])).toMatchObject({ status: 2, stdout: '' })
  })
})

test('classad match prints the match and both ranks, and exits with 0 for both answers', () => {
  const [order, plant, small] = [file('o.ad', '[MemoryMiB = 256; Requirements = FreeMiB >= MemoryMiB; Rank = -Load]'),
    file('p.ad', '[FreeMiB = 300; Load = 0.5; Requirements = true]'), file('s.ad', '[FreeMiB = 3; Requirements = true]')]
  expect(classad(['match', order, plant])).toMatchObject({ status: 0, stdout: 'true\nleftRank -0.5\nrightRank undefined\n' })
  expect(classad(['match', order, small])).toMatchObject({ status: 0, stdout: 'false\nleftRank undefined\nrightRank undefined\n' })
})

describe('classad batch', () => {
  test('answers each line at once and survives bad requests', async () => {
    const child = spawn(process.execPath, [PROGRAM, 'classad', 'batch'], { stdio: ['pipe', 'pipe', 'inherit'] })
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    const ask = async (request: unknown): Promise<unknown> => {
      child.stdin.write((typeof request === 'string' ? request : JSON.stringify(request)) + '\n')
      const line = await lines.next()
      return JSON.parse(String(line.value)) as unknown
    }
    expect(await ask({ id: 1, op: 'eval', ad: '[a = 2]', target: '[b = 3]', expr: 'a * b' })).toEqual({ id: 1, ok: true, value: '6' })
    expect(await ask({ id: ['x'], op: 'match', left: '[Requirements = a == 1]', right: '[Requirements = true; a = 1; Rank = 2]' }))
      .toEqual({ id: ['x'], ok: true, match: true, leftRank: 'undefined', rightRank: '2' })
    expect(await ask({ id: 3, op: 'eval', expr: '1 +' })).toMatchObject({ id: 3, ok: false, error: 'parse', message: expect.stringContaining('expr:1:4') })
    expect(await ask('not json')).toMatchObject({ id: null, ok: false })
    expect(await ask('7')).toMatchObject({ id: null, ok: false })
    expect(await ask({ id: 4, op: 'dance' })).toMatchObject({ id: 4, ok: false })
    expect(await ask({ id: 5, op: 'eval', expr: `${'('.repeat(50_000)}` })).toMatchObject({ id: 5, ok: false, error: 'parse' })
    expect(await ask({ id: 6, op: 'eval', expr: 'regexp("(a+)+$", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab")' })).toEqual({ id: 6, ok: true, value: 'false' })
    child.stdin.end()
    expect(await once(child, 'exit')).toEqual([0, null])
  })
})
