import { getHeapSpaceStatistics } from 'node:v8'
import { expect, test } from 'vitest'
import { keepNurserySmall } from '../../node/drivers/small-nursery.ts'

test('the nursery is small, and stays so whatever is made', () => {
  keepNurserySmall()
  const kept: unknown[] = []
  const sizes: number[] = []
  for (let i = 0; i < 2_000_000; i++) {
    kept[i % 10_000] = { i, of: [i] }
    if (i % 20_000 === 0) sizes.push(getHeapSpaceStatistics().find(({ space_name: name }) => name === 'new_space')?.space_size ?? Infinity)
  }
  // While old objects are being marked it may hold more for a moment.
  expect(sizes.toSorted((a, b) => a - b)[sizes.length / 2]).toBeLessThanOrEqual(4 * 2 ** 20)
  expect(kept).toHaveLength(10_000)
})
