/** Two studies side by side: each number of both, and the difference, over runs of the same seeds where there are such. */
import { interval, type PlotSpec } from '../figures/index.ts'
import { binned, niceWidth, pairedDifference, summarise, VALUES, welchDifference, type Summary } from '../stats/index.ts'
import { escape, page, plotHtml, tableHtml, type Draw } from './html.ts'
import { POINTS_DRAWN } from './plots-of.ts'

/** A point of a study as runs.csv and a study in memory both give it. */
export interface Compared {
  /** The label of the study: its file or directory and what was set. */
  name: string
  /** Runs that an interrupted study has, and should have. */
  interrupted?: { done: number, of: number }
  points: Array<{ name: string, runs: Array<{ seed: number, values: Record<string, number> }>, creations?: number[] }>
}

export interface ComparedRow { point: string, value: string, title: string, unit: string, a: Summary, b: Summary, difference: Summary, paired: boolean }

/** Every number of each point that both have (by name, or by place when each has one). Runs are paired when their seeds are the same; when they are not, the interval is Welch's. */
export function compared (a: Compared, b: Compared): ComparedRow[] {
  return pairs(a, b).flatMap(({ name, one, other }) => {
    const names = [...new Set([...one.runs, ...other.runs].flatMap(({ values }) => Object.keys(values)))]
    const bySeed = new Map(other.runs.map((run) => [run.seed, run]))
    const both = one.runs.flatMap((run) => bySeed.has(run.seed) ? [{ a: run.values, b: bySeed.get(run.seed)?.values ?? {} }] : [])
    const paired = both.length > 0 && both.length === Math.min(one.runs.length, other.runs.length)
    return names.map((value): ComparedRow => {
      const [left, right] = [one, other].map(({ runs }) => summarise(runs.map(({ values }) => values[value] ?? NaN)))
      const difference = paired
        ? pairedDifference(both.map(({ a }) => a[value] ?? NaN), both.map(({ b }) => b[value] ?? NaN))
        : welchDifference(one.runs.map(({ values }) => values[value] ?? NaN), other.runs.map(({ values }) => values[value] ?? NaN))
      return { point: name, value, title: VALUES[value]?.title ?? value, unit: VALUES[value]?.unit ?? '', a: left ?? summarise([]), b: right ?? summarise([]), difference, paired }
    })
  })
}

function pairs (a: Compared, b: Compared): Array<{ name: string, one: Compared['points'][number], other: Compared['points'][number] }> {
  const named = a.points.flatMap((one) => {
    const other = b.points.find(({ name }) => name === one.name)
    return other === undefined ? [] : [{ name: one.name, one, other }]
  })
  const [one, other] = [a.points[0], b.points[0]]
  if (named.length > 0 || one === undefined || other === undefined || a.points.length > 1 || b.points.length > 1) return named
  return [{ name: `${one.name} | ${other.name}`, one, other }]
}

/** What the difference says, in a word: `A less`, `A more`, or nothing that 95 % intervals tell apart. */
export function verdictOf ({ difference: { mean, half, count } }: ComparedRow): string {
  if (count < 2 || Number.isNaN(half)) return ''
  if (mean === 0 && half === 0) return 'equal'
  return Math.abs(mean) > half ? mean > 0 ? 'B is more' : 'B is less' : 'no difference shown'
}

/** What a reader must know of the rows: how differences were taken, and whether runs are missing. */
export function comparedNotes (a: Compared, b: Compared, rows: readonly ComparedRow[]): string[] {
  const pairedRows = rows.filter(({ paired }) => paired).length
  const how = pairedRows === rows.length
    ? 'Runs of both with the same seed saw the same orders and faults where these do not differ themselves, so that the difference is that of pairs.'
    : `${pairedRows === 0 ? 'Runs' : 'Runs of some points'} are not paired, as their seeds differ: the difference ${pairedRows === 0 ? '' : 'there '}is that of the means, with Welch's interval.`
  const missing = [['A', a], ['B', b]] as const
  return [how, ...missing.flatMap(([side, { name, interrupted }]) => interrupted === undefined ? [] : [`${side} (${name}) was interrupted: it has ${interrupted.done} of ${interrupted.of} runs.`])]
}

/** The rows as cells of a table. */
export function comparedTable (rows: readonly ComparedRow[], a: string, b: string): string[][] {
  const text = (summary: Summary, unit: string): string => unit === 'ms' ? interval(summary, 1_000, 's') : interval(summary)
  return [['', `A: ${a}`, `B: ${b}`, 'B - A', ''], ...rows.map((row) => [row.title, text(row.a, row.unit), text(row.b, row.unit), text({ ...row.difference, count: row.a.count > 0 && row.b.count > 0 ? 1 : 0 }, row.unit), verdictOf(row)])]
}

/** The page that puts both side by side. */
export function compareHtml (a: Compared, b: Compared, draw: Draw): string {
  const rows = compared(a, b)
  const points = [...new Set(rows.map(({ point }) => point))]
  const tables = points.map((point) => `${points.length > 1 ? `<h2>${escape(point)}</h2>` : ''}${tableHtml(comparedTable(rows.filter((row) => row.point === point), a.name, b.name))}`)
  const missing = [...a.points, ...b.points].filter(({ name }) => !points.some((point) => point.split(' | ').includes(name))).map(({ name }) => name)
  const [how = '', ...warnings] = comparedNotes(a, b, rows)
  return page(`${a.name} against ${b.name}`, [
    `<p class="made">Means over runs with 95 % intervals (Student t). ${escape(how)}</p>`,
    ...warnings.map((text) => `<p class="warn">${escape(text)}</p>`),
    ...tables, missing.length === 0 ? '' : `<p class="warn">Only on one side, so not compared: ${escape(missing.join(', '))}</p>`, ...histograms(a, b).map((plot) => plotHtml(plot, draw))
  ].join('\n'))
}

function histograms (a: Compared, b: Compared): PlotSpec[] {
  return pairs(a, b).slice(0, POINTS_DRAWN).flatMap(({ name, one, other }) => {
    if (one.creations === undefined || other.creations === undefined || one.creations.length + other.creations.length === 0) return []
    const width = niceWidth([...one.creations, ...other.creations], 25)
    return [{ kind: 'histogram' as const, title: `Creation time${name === '' ? '' : `, ${name}`}`, caption: 'From the order to the classad, all runs.', xLabel: 'seconds', yLabel: 'share', series: [{ name: `A: ${a.name}`, bins: binned(one.creations, width) }, { name: `B: ${b.name}`, bins: binned(other.creations, width) }] }]
  })
}
