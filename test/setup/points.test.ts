import { describe, expect, test } from 'vitest'
import { drawPoints } from '../support/points.ts'

const all = Array.from({ length: 40 }, (_, i) => `point ${i}`)
const draw = (env: NodeJS.ProcessEnv, budgetMs = 10_000, name = 'kills'): { lines: string[], points: string[], seed: number } => {
  const lines: string[] = []
  const { points, seed } = drawPoints(all, { name, pointMs: 2_000, budgetMs, env, print: (line) => { lines.push(line) } })
  return { lines, points, seed }
}

describe('drawn points', () => {
  test('as many are drawn as fit into the time, none twice, and the printed seed draws the same again', () => {
    const first = draw({})
    expect(first.points).toHaveLength(5)
    expect(new Set(first.points).size).toBe(5)
    const seed = /PLANTMESH_TEST_SEED=(\d+)/.exec(first.lines[0] ?? '')?.[1] ?? ''
    expect(Number(seed)).toBe(first.seed)
    expect(draw({ PLANTMESH_TEST_SEED: seed }).points).toEqual(first.points)
  })

  test('one is drawn however little time there is, and never more than there are', () => {
    expect(draw({}, 1).points).toHaveLength(1)
    expect(draw({}, 1e9).points.toSorted()).toEqual(all.toSorted())
  })

  test('every point is taken, in order, under test:all', () => {
    expect(draw({ PLANTMESH_TEST_ALL: '1' }, 1).points).toEqual(all)
  })

  test('other seeds and other names draw others, and in time every point', () => {
    const seeds = Array.from({ length: 200 }, (_, seed) => draw({ PLANTMESH_TEST_SEED: String(seed) }).points)
    expect(new Set(seeds.map(String)).size).toBeGreaterThan(190)
    expect(new Set(seeds.flat()).size).toBe(all.length)
    expect(draw({ PLANTMESH_TEST_SEED: '1' }).points).not.toEqual(draw({ PLANTMESH_TEST_SEED: '1' }, 10_000, 'cuts').points)
  })

  test.each(['x', '-1', '1.5', '99999999999'])('a seed of %s is refused', (seed) => {
    expect(() => draw({ PLANTMESH_TEST_SEED: seed })).toThrow('PLANTMESH_TEST_SEED')
  })
})
