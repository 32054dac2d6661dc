/** Runs of the points of a scenario: what a report is about. */
import type { Point, ScenarioFile } from '../scenario/index.ts'
import type { RunDigest } from './digest.ts'
import { summarise, type Summary } from './summary.ts'

/** One point and the runs of it that are done, in order of seeds. */
export interface PointRuns { point: Point, runs: RunDigest[] }

export interface Study {
  file: Pick<ScenarioFile, 'name' | 'title' | 'description' | 'figures' | 'metrics' | 'seed' | 'runs' | 'mode'>
  points: PointRuns[]
}

/** A number over the runs of a point; count 0 when no run gave it. */
export function valueOf ({ runs }: PointRuns, name: string): Summary {
  return summarise(runs.flatMap(({ values }) => values[name] === undefined ? [] : [values[name]]))
}

/** A number of two points' runs of the same seed, over those seeds: what the seeds have in common cancels in differences and ratios. */
export function bySeed (a: PointRuns, b: PointRuns, number: (a: RunDigest['values'], b: RunDigest['values']) => number): Summary {
  const others = new Map(b.runs.map(({ seed, values }) => [seed, values]))
  return summarise(a.runs.flatMap(({ seed, values }) => {
    const other = others.get(seed)
    return other === undefined ? [] : [number(values, other)]
  }))
}

/** The names of all numbers that any run gave, in the order in which they first appear. */
export function valueNames (points: readonly PointRuns[]): string[] {
  return [...new Set(points.flatMap(({ runs }) => runs.flatMap(({ values }) => Object.keys(values))))]
}
