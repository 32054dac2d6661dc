import { getHeapSpaceStatistics } from 'node:v8'
import { expect, test } from 'vitest'
import { keepNurserySmall } from '../../node/drivers/small-nursery.ts'

test('the nursery is small, and stays so whatever is made', () => {
  keepNurserySmall()
  const kept: unknown[] = []
  for (let i = 0; i < 2_000_000; i++) kept[i % 10_000] = { i, of: [i] }
  const nursery = getHeapSpaceStatistics().find(({ space_name: name }) => name === 'new_space')
  expect(nursery?.space_size).toBeLessThanOrEqual(4 * 2 ** 20)
  expect(kept).toHaveLength(10_000)
})
