/** A golden machine whose guest's clock goes wrong is noticed before it is suspended. */
import { expect, test } from 'vitest'
import { clockOff, guestClockOff } from '../../node/lines/qemu/guest-clock.ts'

const at = (guestMs: number, askedMs: number, answeredMs: number): { guestMs: number, askedMs: number, answeredMs: number } => ({ guestMs, askedMs, answeredMs })

test.each<[string, number | undefined, number, number, number]>([
  ['right', undefined, 2_000, 2_000, 10],
  ['right as far as a slow host can tell', undefined, 3_500, 2_000, 1_800],
  ['three and a half times too fast', 7_000 / 2_010, 7_000, 2_000, 10],
  ['eleven times too fast on a slow host', 22_000 / 3_000, 22_000, 2_000, 1_000],
  ['half as fast', 1_000 / 1_990, 1_000, 2_000, 10]
])('a clock that is %s', (_what, off, guestMs, hostMs, answerMs) => {
  expect(clockOff(at(5_000, 0, answerMs), at(5_000 + guestMs, hostMs, hostMs + answerMs))).toBe(off)
})

test('is read from the guest twice', async () => {
  const beganMs = performance.now()
  const run = async (): Promise<{ status: number, outputTail: string, outputBytes: number, outputs: Record<string, string> }> => ({ status: 0, outputTail: `${(performance.now() - beganMs) * 4 / 1_000} 1.00\n`, outputBytes: 0, outputs: {} })
  expect(await guestClockOff({ run })).toBeGreaterThan(3.5)
})
