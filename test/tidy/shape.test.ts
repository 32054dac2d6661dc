import { describe, expect, test } from 'vitest'
import { docProblems, languageProblems, lengthProblems, wholeProblems } from './shape.ts'
import { house, problemText, source, type Problem, type Source } from './source.ts'

const told = (check: (files: Source[]) => Problem[], text: string, path = 'node/plant/a.ts'): string[] => check(house({ [path]: text })).map(problemText)
const linesOf = (count: number): string => Array.from({ length: count }, (_, i) => `f(${i})`).join('\n')

describe('lengths', () => {
  test('a file of 400 lines passes, one more does not', () => {
    expect(told(lengthProblems, linesOf(400))).toEqual([])
    expect(told(lengthProblems, linesOf(401))).toEqual(['node/plant/a.ts:1: has 401 lines, 400 at most: split it'])
  })

  test.each(['function a () {', 'const a = () => {', 'const a = async function () {', 'test("x", () => {'])('a function of 70 lines passes, one more does not: %s', (start) => {
    const end = start.startsWith('test') ? '})' : '}'
    expect(told(lengthProblems, `${start}\n${linesOf(68)}\n${end}`)).toEqual([])
    expect(told(lengthProblems, `${start}\n${linesOf(69)}\n${end}`)).toHaveLength(1)
  })

  test('a method counts, a describe does not', () => {
    expect(told(lengthProblems, `class A {\n  a () {\n${linesOf(69)}\n}\n}`)).toHaveLength(1)
    expect(told(lengthProblems, `describe('x', () => {\n${linesOf(90)}\n})\ndescribe.each([1])('x', () => {\n${linesOf(90)}\n})`)).toEqual([])
  })

  test('what a contract suite exports does not count, a helper of it does', () => {
    expect(told(lengthProblems, `export function lineContract () {\n${linesOf(90)}\n}`, 'test/contracts/line.ts')).toEqual([])
    expect(told(lengthProblems, `function helper () {\n${linesOf(90)}\n}`, 'test/contracts/line.ts')).toHaveLength(1)
    expect(told(lengthProblems, `export function a () {\n${linesOf(90)}\n}`)).toHaveLength(1)
  })
})

describe('language', () => {
  test.each(['const a: any = 1', 'let a: Array<any>', 'const a = b as any', 'enum A { B }', 'const enum A { B }', 'namespace A { export const b = 1 }', 'export default 1', 'export default function a () {}',
    'const a = 1\nexport { a as default }', "export * from './b.ts'", 'class A { constructor (private readonly a: string) {} }'])('is told of %s', (text) => {
    expect(told(languageProblems, text)).toHaveLength(1)
  })

  test('unknown, and re-exports of an index, are fine', () => {
    expect(told(languageProblems, 'const any: unknown = { any: "any" }')).toEqual([])
    expect(told(languageProblems, "export * from './b.ts'", 'protocols/kit/index.ts')).toEqual([])
  })
})

describe('doc comments', () => {
  test.each(['export function a () {}', 'export class A {}', 'export const a = 1', 'export interface A { a: 1 }', 'export type A = 1', '// No doc.\nexport const a = 1', '/* Nor this. */\nexport const a = 1',
    '/** Of something else. */\nconst b = 1\nexport const a = 1', '/** Of the first. */\nexport const a = 1\n\nexport const b = 1'])('is told of %j', (text) => {
    expect(told(docProblems, `import './b.ts'\n${text}`)).toHaveLength(1)
  })

  test.each(['/** Said. */\nexport function a () {}', '/** Said. */\n\nexport class A {}', '/** Of both. */\nexport const a = 1\nexport const b = 2', '/** Of both. */\nexport const a = 1 // the first\nexport const b = 2', "export { a } from './b.ts'", 'const a = 1',
    '/** The only export. */\nimport "./b.ts"\nexport const a = 1', '/** The file. */\nimport "./b.ts"\nexport type A = 1\nexport interface B { b: 1 }'])('has nothing against %j', (text) => {
    expect(told(docProblems, text)).toEqual([])
  })

  test('tests need none', () => {
    expect(told(docProblems, 'export const a = 1', 'test/support/a.ts')).toEqual([])
  })
})

describe('whole tests', () => {
  // Written in pieces, so that this file does not say what it looks for.
  test.each(['test.only("x", f)', 'test.skip("x", f)', 'it.todo("x")', 'describe.skip("x", f)', 'describe.only("x", f)', 'test.concurrent.only("x", f)', 'test.only.each([1])("x", f)', 'test.skipIf(a)("x", f)', 'test.runIf(a)("x", f)', 'xit("x", f)',
    'test("x", { skip: true }, f)', 'test("x", (context) => { context.skip() })', 'test("x", ({ skip }) => { skip() })', 'suite.skip("x", f)'])('is told of %s', (text) => {
    expect(told(wholeProblems, text, 'test/a.test.ts').length).toBeGreaterThan(0)
  })

  test.each(['test("only", f)', 'reader.skip(4)', 'const only = records.only', 'test("x", { timeout: 5 }, f)', 'test.each([1])("x", f)', 'test.concurrent("x", f)'])('has nothing against %s', (text) => {
    expect(told(wholeProblems, text, 'test/a.test.ts')).toEqual([])
  })
})

test('a file that does not parse is an error, not a file without problems', () => {
  expect(() => source('node/a.ts', 'const = 1')).toThrow('node/a.ts does not parse')
})
