import { describe, expect, test } from 'vitest'
import { evaluate, explain, formatValue, matches, parseAd, parseExpression } from '../../../protocols/order/classad.ts'
import { AD_CHARS_MAX, DEPTH_MAX, EXPRESSION_CHARS_MAX, HEIGHT_MAX, NESTING_MAX, STRING_CHARS_MAX } from '../../../protocols/order/classad/constants.ts'

/** Far above what any bounded evaluation takes on a slow and busy machine, far below what an unbounded one does. */
const SOON_MS = 3_000

function value (expression: string, ad = '[]'): string {
  return formatValue(evaluate(parseExpression(expression), { my: parseAd(ad) }))
}

/** `a0`, and each further attribute made of the one before. */
function tower (first: string, next: (before: string) => string, floors = 64): string {
  return `[a0 = ${first}; ${Array.from({ length: floors }, (_, i) => `a${i + 1} = ${next(`a${i}`)}`).join('; ')}]`
}

describe('reading refuses', () => {
  test.each<[string, string]>([
    ['nested parentheses', '('.repeat(NESTING_MAX + 1) + '1' + ')'.repeat(NESTING_MAX + 1)],
    ['nested ads', '[a='.repeat(5_000)],
    ['nested lists', '{'.repeat(20_000)],
    ['unary operators', '-'.repeat(20_000) + '1'],
    ['branches', 'a ? '.repeat(10_000)],
    ['branches to the right', 'a ? 1 : '.repeat(5_000) + '1'],
    ['defaults', 'a ?: '.repeat(10_000) + '1'],
    ['a long chain', '1' + ' + 1'.repeat(HEIGHT_MAX + 1)],
    ['a long path', 'a' + '.a'.repeat(HEIGHT_MAX + 1)],
    ['a long name', 'a'.repeat(300)],
    ['a long text', '1' + ' '.repeat(EXPRESSION_CHARS_MAX)]
  ])('%s', (_, text) => { expect(() => parseExpression(text)).toThrow(/EXPRESSION_INVALID/) })

  test('a long ad', () => { expect(() => parseAd(`[${' '.repeat(AD_CHARS_MAX)}]`)).toThrow(/EXPRESSION_INVALID/) })

  test('nothing that is just within the bounds', () => {
    expect(value('('.repeat(NESTING_MAX - 1) + '1' + ')'.repeat(NESTING_MAX - 1))).toBe('1')
    expect(value('1' + ' + 1'.repeat(HEIGHT_MAX - 1))).toBe(String(HEIGHT_MAX))
  })
})

describe('evaluation ends in error, soon, for', () => {
  test.each<[string, string, string]>([
    ['sums that double', tower('1', (a) => `${a} + ${a}`), 'a64'],
    ['lists that double', tower('{1}', (a) => `{${a}, ${a}}`), 'a64'],
    ['strings that double', tower('"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"', (a) => `strcat(${a}, ${a})`), 'size(a64)'],
    ['joins that double', tower('"xxxxxxxx"', (a) => `join(${a}, ${a}, ${a})`), 'size(a64)'],
    ['branches that double', tower('true', (a) => `${a} ? ${a} : ${a}`), 'a64'],
    ['conditions that double', tower('false', (a) => `${a} || ${a}`), 'a64'],
    ['lists of lists in each context', tower('{1}', (a) => `evalInEachContext(${a}, {[], [], []})`), 'string(a64)'],
    ['an expression in many contexts', `[b = {${'1, '.repeat(20_000)}1}; all = {${'[], '.repeat(2_000)}[]}]`, 'size(string(evalInEachContext(b, all)))'],
    ['a list that holds itself', '[a = {a, a}]', 'a'],
    ['text that evaluates itself', '[a = "eval(strcat(a, \\" \\"))"]', 'eval(a)'],
    ['a text longer than allowed', `[s = "${'x'.repeat(40_000)}"]`, 'strcat(s, s)'],
    ['a tower of attributes', tower('1', (a) => `${a}`, DEPTH_MAX), `a${DEPTH_MAX}`],
    ['many long comparisons', `[s = "${'x'.repeat(60_000)}"]`, `{${'s == s, '.repeat(5_000)}1}`],
    ['many long divisions', `[s = "${','.repeat(60_000)}"]`, `{${'split(s), '.repeat(500)}1}`],
    ['many patterns', '[]', `{${Array.from({ length: 1_000 }, (_, i) => `regexp("(\\\\pL{${i % 900}}[\\\\pN\\\\pS])*x${i}", "xx")`).join(', ')}}`],
    ['a pattern that is too large', '[]', 'regexp("((((a{10}){10}){10}){10}){10}", "aa")']
  ])('%s', (_, ad, expression) => {
    const start = performance.now()
    expect(value(expression, ad)).toBe('error')
    expect(performance.now() - start).toBeLessThan(SOON_MS)
  })

  test('a bound that is passed somewhere inside, whatever is around it', () => {
    const ad = tower('1', (a) => `${a} + ${a}`)
    expect(value('isError(a64) || true', ad)).toBe('error')
    expect(matches(parseAd(ad.replace('[', '[Requirements = true || a64; Requirements2 = 1; ')), parseAd('[Requirements = true]'))).toBe(true)
    expect(matches(parseAd(ad.replace('[', '[Requirements = isError(a64) || true; ')), parseAd('[Requirements = true]'))).toBe(false)
  })
})

describe('patterns that make backtracking explode are matched in linear time', () => {
  test.each([['(a+)+$', 'a'.repeat(50_000) + 'b'], ['(a|aa)+$', 'a'.repeat(50_000) + 'b'], ['^(([a-z])+.)+[A-Z]([a-z])+$', 'a'.repeat(20_000)], ['(.*)*(.*)*(.*)*x', 'a'.repeat(20_000)]])('%s', (pattern, text) => {
    const start = performance.now()
    expect(['false', 'error']).toContain(value('regexp(p, s)', `[p = "${pattern}"; s = "${text}"]`))
    expect(['true', 'error']).toContain(value('replaceAll(p, s, "") == s', `[p = "${pattern}"; s = "${text}"]`))
    expect(performance.now() - start).toBeLessThan(SOON_MS)
  })
})

test('times far beyond the calendar have values and texts', () => {
  const text = value('{absTime(1e300), relTime(1e300), absTime(real("NaN")), relTime(real("-INF")), splitTime(relTime(-1e300)), formatTime(1e18, "%Y"), interval(real("NaN"))}')
  expect(text.length).toBeLessThan(STRING_CHARS_MAX)
})

test('text of hostile length and form is no time and no number', () => {
  const start = performance.now()
  expect(value('{absTime(s), relTime(s), int(s)}', `[s = "2004${' '.repeat(30_000)}1${'0'.repeat(30_000)}x"]`)).toBe('{error, error, 2004}')
  expect(performance.now() - start).toBeLessThan(SOON_MS)
})

test('an explanation of many expensive clauses is as bounded as one evaluation', () => {
  const start = performance.now()
  const clauses = explain(parseExpression(Array.from({ length: 100 }, () => 'a64 > 1').join(' && ')), { target: parseAd(tower('1', (a) => `${a} + ${a}`)) })
  expect(clauses.every((clause) => !clause.holds && clause.value.type === 'error')).toBe(true)
  expect(performance.now() - start).toBeLessThan(SOON_MS)
})

test('an evaluation of nearly the greatest depth fits on the stack, in the heaviest calls', () => {
  const floors = 60
  expect(value(`a${floors}`, tower('1', (a) => `sum({max({ifThenElse(true, [x = ${a}].x, 0)})})`, floors))).toBe('1')
})
