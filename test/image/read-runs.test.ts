/** Orders of reads as runs: kept, told and checked. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { TRACE_BYTES_MAX, TRACE_PIECES_MAX, decodeRuns, encodeRuns, orderOf, runsOf } from '../../protocols/image/index.ts'

test('an order is the same again when it was kept or told, and what is none is not taken', () => {
  fc.assert(fc.property(fc.uniqueArray(fc.nat(999), { minLength: 1, maxLength: 300 }), (order) => {
    const runs = runsOf(order)
    expect(orderOf(JSON.parse(JSON.stringify(runs)), 1000)).toEqual(order)
    expect(decodeRuns(encodeRuns(runs) ?? new Uint8Array(), 1000)).toEqual(runs)
  }))
  expect(runsOf([3, 4, 5, 1, 2])).toEqual([[3, 3], [1, 2]])
  expect(Buffer.from(encodeRuns([[3, 3], [300, 2]]) ?? []).toString('hex')).toBe('0303ac0202')
  const tooMany = Array.from({ length: TRACE_PIECES_MAX + 1 }, (_, i) => [2 * i, 1])
  for (const bad of [undefined, {}, 'x', [1], [[1]], [[0, 1, 2]], [[-1, 2]], [[0, 0]], [[999, 2]], [[0.5, 1]], [[0, 1e9]], [[Number.NaN, 1]], [[0, 2], [1, 1]], tooMany]) {
    expect(orderOf(bad, 1000)).toBeUndefined()
  }
  for (const none of [undefined, [], tooMany, [[2 ** 21, 1]]]) expect(encodeRuns(none)).toBeUndefined()
  const worst = encodeRuns(Array.from({ length: TRACE_PIECES_MAX }, (_, i) => [2 ** 21 - 1 - 2 * i, 1]))
  expect(worst?.length).toBeLessThanOrEqual(TRACE_BYTES_MAX)
})

test('whatever bytes a plant tells are an order of the file, or nothing', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 60 }), fc.nat(200), (bytes, pieces) => {
    const runs = decodeRuns(bytes, pieces)
    if (runs !== undefined) expect(orderOf(runs, pieces)?.length).toBeGreaterThan(0)
  }))
})
