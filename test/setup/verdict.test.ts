import { expect, test } from 'vitest'
import { closingLine, closingLineOf, countsOf, verdictOf } from '../../node/setup/verdict.ts'

const report = (...files: Array<[string, string[]]>): string =>
  JSON.stringify({ testResults: files.map(([status, results]) => ({ status, assertionResults: results.map((one) => ({ status: one, title: 'x' })) })), more: 1 })

test('tests are counted, and a skipped one counts as failed', () => {
  expect(countsOf(report(['passed', ['passed', 'passed']], ['failed', ['passed', 'failed']], ['passed', ['skipped']]))).toEqual({ passed: 3, failed: 2 })
})

test('a file that cannot be loaded counts as one failure', () => {
  expect(countsOf(report(['passed', ['passed']], ['failed', []]))).toEqual({ passed: 1, failed: 1 })
})

test.each(['', 'no json', '{}', '[]', '{"testResults": 5}'])('a report of %j counts nothing', (text) => {
  expect(countsOf(text)).toEqual({ passed: 0, failed: 0 })
})

test('the closing line counts checks in', () => {
  expect(closingLine({ checks: [{ name: 'types', ok: true }, { name: 'lint', ok: false }], passed: 10, failed: 2 })).toBe('11 passed, 3 failed')
})

test.each(['', 'rubbish', '{"checks": 1}'])('a run without a usable report (%j) is one failure, never none', (text) => {
  expect(closingLineOf(text)).toBe('0 passed, 1 failed')
})

test('a run is well when every check and test is, and not when nothing was checked', () => {
  expect(verdictOf({ checks: [{ name: 'types', ok: true }], passed: 3, failed: 0 }, 2_000)).toEqual({ ok: true, line: 'all well: 3 tests, types in 2 s' })
  expect(verdictOf({ checks: [{ name: 'types', ok: false }], passed: 3, failed: 1 }, 2_000)).toEqual({ ok: false, line: 'not well: types, 1 tests in 2 s' })
  expect(verdictOf({ checks: [], passed: 0, failed: 0 }, 0).ok).toBe(false)
})
