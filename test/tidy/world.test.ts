import { describe, expect, test } from 'vitest'
import { house, problemText } from './source.ts'
import { worldProblems } from './world.ts'

const told = (text: string, path = 'node/plant/a.ts'): string[] => worldProblems(house({ [path]: text })).map(problemText)

describe('the world', () => {
  test.each([
    'const t = Date.now()', 'const t = Date["now"]()', 'const t = globalThis.Date.now()', 'const now = Date.now', 'const t = new Date()', 'const t = Date()',
    'const r = Math.random()', 'setTimeout(() => {}, 1)', 'globalThis.setTimeout(() => {}, 1)', 'const later = { wait: setTimeout }', 'const x = { setTimeout }', 'setInterval(f, 1)', 'setImmediate(f)',
    'const s = AbortSignal.timeout(5)', 'await crypto.subtle.digest("a", b)', 'crypto.getRandomValues(a)', 'await fetch("x")', 'const e = process.env', 'class A { #now = Date.now() }',
    'function f (at = Date.now()) {}', 'const v = (process as unknown)', 'const t = performance.now()', 'const fs = require("fs")', 'export const now = () => Date.now()'
  ])('is told of %s', (text) => {
    expect(told(text)).toHaveLength(1)
  })

  test.each([
    'const t = new Date(5)', 'const t = clock.setTimeout(1)', 'type T = typeof fetch', 'interface A { fetch (x: string): void; process: string }', 'const o = { fetch: 1, process () {} }',
    'function f (process: string) { return process }', 'const f = (fetch: F) => fetch(1)', "import { process } from './b.ts'\nprocess.run()", 'for (const process of all) process.end()',
    'const { crypto } = components\ncrypto.sha256(x)', 'const { a: [process] } = b\nprocess.x()', 'try { x() } catch (process) { throw process }', 'const m = Math.max(1, 2)', 'const s = AbortSignal.any([])', 'const d = Date.parse("x")', 'class A { process = 1; fetch () {} }',
    '// Date.now()\nconst text = "Date.now()"'
  ])('has nothing against %s', (text) => {
    expect(told(text)).toEqual([])
  })

  test('a name bound in one function does not excuse another', () => {
    expect(told('function a (fetch: F) { fetch() }\nfunction b () { fetch() }')).toEqual(['node/plant/a.ts:2: uses fetch outside the edges: take the Transport from a component'])
  })

  test('the edges, the entry and tests may', () => {
    for (const path of ['node/drivers/a.ts', 'node/lines/qemu/a.ts', 'node/net/a.ts', 'node/portal/a.ts', 'node/cli/a.ts', 'node/setup/a.ts', 'storage/drivers/a.ts', 'sim/drivers/a.ts', 'node/main.ts', 'test/a.test.ts']) {
      expect(told('Date.now()', path)).toEqual([])
    }
    for (const path of ['protocols/bid/core.ts', 'storage/swarm/a.ts', 'node/shop/a.ts', 'node/define/a.ts', 'sim/clock.ts', 'node/lines/line.ts']) expect(told('Date.now()', path)).toHaveLength(1)
  })
})
