/** Draws where to kill, cut or spoil: a few points from a printed seed in `npm test`, every one in `npm run test:all`. */
import { randomInt } from 'node:crypto'

export interface DrawOptions {
  /** What one point takes, at most: a point is begun only while this much of the budget is left. */
  pointMs: number
  /** How long all points together may take in `npm test`. */
  budgetMs: number
  /** Named in the printed line, and mixed into the seed so that two tests draw apart. */
  name: string
  env?: NodeJS.ProcessEnv
  /** Where the line goes; stdout unless told otherwise. */
  print?: (line: string) => void
}

/** What was drawn, in the order in which it is to be tried. */
export interface Draw<T> { points: T[], seed: number, all: boolean }

/** A seed fits on a command line and in 32 bits. */
const SEED_END = 2 ** 31

/**
 * Picks the points to try: all of them when `PLANTMESH_TEST_ALL=1`, else as many as fit into the budget (one at least), drawn without
 * putting back. Prints one line with the seed and the line that draws the same again (`PLANTMESH_TEST_SEED=…`).
 */
export function drawPoints<T> (all: readonly T[], options: DrawOptions): Draw<T> {
  const { name, pointMs, budgetMs, env = process.env, print = (line) => { process.stdout.write(`${line}\n`) } } = options
  if (all.length === 0 || !(pointMs > 0)) throw new RangeError(`${name}: points are drawn from a list, and each takes time`)
  if (env['PLANTMESH_TEST_ALL'] === '1') {
    print(`${name}: every one of ${all.length} points`)
    return { points: [...all], seed: 0, all: true }
  }
  const seed = seedOf(env['PLANTMESH_TEST_SEED'])
  const count = Math.min(all.length, Math.max(1, Math.floor(budgetMs / pointMs)))
  print(`${name}: ${count} of ${all.length} points within ${Math.round(budgetMs / 1000)} s; again with PLANTMESH_TEST_SEED=${seed} npm test`)
  const random = generator(seed, name)
  const left = [...all]
  const points: T[] = []
  while (points.length < count) points.push(...left.splice(Math.floor(random() * left.length), 1))
  return { points, seed, all: false }
}

function seedOf (given: string | undefined): number {
  if (given === undefined || given === '') return randomInt(SEED_END)
  const seed = Number(given)
  if (!Number.isSafeInteger(seed) || seed < 0 || seed >= SEED_END) throw new RangeError(`PLANTMESH_TEST_SEED is ${given}; a whole number from 0 to ${SEED_END - 1} is wanted`)
  return seed
}

/** Numbers in [0, 1) from a seed and a name: SplitMix32 (Steele, Lea and Flood, 2014, in 32 bits), begun at an FNV-1a hash of both. */
function generator (seed: number, name: string): () => number {
  let state = 0x811c9dc5
  for (const char of `${seed}/${name}`) state = Math.imul(state ^ (char.codePointAt(0) ?? 0), 0x01000193)
  return () => {
    state = (state + 0x9e3779b9) | 0
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad)
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97)
    return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32
  }
}
