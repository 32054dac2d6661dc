/** runs.csv: a line a run, with what the sweep set and every number. Equal for equal seeds, whatever machine and however many workers. */
import { csvLine } from '../traces/index.ts'
import { valueNames, type PointRuns } from '../stats/index.ts'

/** The whole file. `firstSeed` is that of run 1: of an interrupted study any run may be missing. */
export function runsCsv (points: readonly PointRuns[], firstSeed: number): string {
  const paths = [...new Set(points.flatMap(({ point }) => point.sweep.map(({ path }) => path)))]
  const names = valueNames(points)
  const lines = points.flatMap(({ point, runs }) => runs.map((run) => csvLine([
    point.name, point.case, ...paths.map((path) => text(point.sweep.find((setting) => setting.path === path)?.value)), run.seed - firstSeed + 1, run.seed, run.traceHash, run.ended,
    ...names.map((name) => run.values[name])
  ])))
  return csvLine(['point', 'case', ...paths, 'run', 'seed', 'trace_hash', 'ended', ...names]) + lines.join('')
}

function text (value: unknown): string | number | boolean | undefined {
  return value === undefined || typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? value : JSON.stringify(value)
}
