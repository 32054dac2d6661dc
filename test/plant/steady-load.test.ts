import { expect, test } from 'vitest'
import { SteadyLoad } from '../../node/plant/steady-load.ts'

test('a load that moves a little is told as it was, one that moves much is told at once', () => {
  const steady = new SteadyLoad()
  expect([0.1, 0.14, 0.02, 0.29, 0.31, 0.2].map((load) => steady.of(load))).toEqual([0.1, 0.1, 0.1, 0.1, 0.31, 0.31])
  expect([4, 4.9, 3.1, 5.1, 0].map((load) => steady.of(load))).toEqual([4, 4, 4, 5.1, 0])
})

test('small steps in one direction are told once they come to much', () => {
  const steady = new SteadyLoad()
  const told = Array.from({ length: 100 }, (_, i) => steady.of(i / 100))
  expect(new Set(told).size).toBeLessThanOrEqual(5)
  expect(Math.max(...told.map((load, i) => Math.abs(load - i / 100)))).toBeLessThan(0.26)
})
