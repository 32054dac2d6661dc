/** Counts what a test run came to: pure, so that the line on which CI decides has tests of its own. */
import { z } from 'zod'

/** What was checked and how it ended. */
export interface Verdict {
  /** Types, lint and whatever else counts as one check. */
  checks: Array<{ name: string, ok: boolean }>
  /** Tests alone, without the checks. */
  passed: number
  failed: number
}

/** The part of vitest's JSON report that is counted. A file that cannot even be loaded has no assertions and the status `failed`. */
const REPORT = z.object({
  testResults: z.array(z.object({
    status: z.string(),
    assertionResults: z.array(z.object({ status: z.string() }))
  }))
})

/** Passed and failed tests in vitest's JSON report; a broken report counts nothing. A skipped test counts as failed: none may be skipped. */
export function countsOf (reportText: string): { passed: number, failed: number } {
  let parsed: unknown
  try {
    parsed = JSON.parse(reportText)
  } catch {
    return { passed: 0, failed: 0 } // The caller judges by the exit status as well.
  }
  const report = REPORT.safeParse(parsed)
  if (!report.success) return { passed: 0, failed: 0 }
  let passed = 0
  let failed = 0
  for (const { status, assertionResults } of report.data.testResults) {
    const good = assertionResults.filter((test) => test.status === 'passed').length
    passed += good
    failed += assertionResults.length - good
    if (status === 'failed' && good === assertionResults.length) failed++
  }
  return { passed, failed }
}

/** `N passed, N failed`, checks counted in: the closing line of CI, alone on its line. */
export function closingLine ({ checks, passed, failed }: Verdict): string {
  return `${passed + checks.filter(({ ok }) => ok).length} passed, ${failed + checks.filter(({ ok }) => !ok).length} failed`
}

/** The closing line for people, and whether all is well. A run that counted nothing is not well. */
export function verdictOf (verdict: Verdict, tookMs: number): { line: string, ok: boolean } {
  const bad = [...verdict.checks.filter(({ ok }) => !ok).map(({ name }) => name), ...(verdict.failed > 0 ? [`${verdict.failed} tests`] : [])]
  const ok = bad.length === 0 && verdict.checks.length > 0
  const good = [...(verdict.passed > 0 ? [`${verdict.passed} tests`] : []), ...verdict.checks.filter((one) => one.ok).map(({ name }) => name)].join(', ')
  return { ok, line: `${ok ? `all well: ${good}` : `not well: ${bad.join(', ')}`} in ${Math.round(tookMs / 1000)} s` }
}

/** Run by `.ci/run`: prints the closing line of the report that `npm test` wrote to the file named. */
export function closingLineOf (reportText: string): string {
  const parsed = z.object({ checks: z.array(z.object({ name: z.string(), ok: z.boolean() })), passed: z.number(), failed: z.number() }).safeParse(json(reportText))
  // Set-up failed before anything was counted: that is one failure, never "0 failed".
  return closingLine(parsed.success ? parsed.data : { checks: [{ name: 'set-up', ok: false }], passed: 0, failed: 0 })
}

function json (text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
