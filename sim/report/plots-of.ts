/** The plots of any study: what its metrics ask for, and every swept number against its axis. */
import { ADVERT_EVERY_MS } from '../../protocols/capacity/index.ts'
import type { MetricName } from '../scenario/index.ts'
import { binned, niceWidth, VALUES, valueOf, type PointRuns, type Study } from '../stats/index.ts'
import type { LinePoint, PlotSpec } from '../figures/index.ts'

const S = 1_000
/** Beyond so many points a plot of all of them cannot be read; then the first ones are drawn, and the caption says so. */
export const POINTS_DRAWN = 12
/** Bars of one plot, likewise, and faults that are marked. */
const BARS_MAX = 40
const RULES_MAX = 20
const GANTT_MAX = 600

/** Numbers that are drawn against a swept axis, by metric. */
const SWEPT: Partial<Record<MetricName, string[]>> = {
  creation: ['creationMsMean'],
  clone: ['cloneMsMean'],
  waiting: ['creationMsMean', 'creationMsP95', 'boundedSlowdownMean', 'refused'],
  bids: ['bidsMean', 'askedMean', 'costMean'],
  agreement: ['agreedAfterMs'],
  recovery: ['forgottenAfterMs', 'machinesLost', 'failed'],
  placement: ['machinesMost', 'plantsUsed'],
  events: ['events'],
  memory: ['bytesPerPlant', 'gossip.spreadDeviationShare', 'gossip.ageDeviationShare']
}

/** All plots, in the order of the metrics. */
export function plotsOf (study: Study): PlotSpec[] {
  const points = study.points.filter(({ runs }) => runs.length > 0)
  if (points.length === 0) return []
  const shown = points.slice(0, POINTS_DRAWN)
  const swept = sweptPlots(points, study.file.metrics)
  const plain: Partial<Record<MetricName, () => PlotSpec[]>> = {
    creation: () => histogram(shown, 'creations', 'Creation time', 'From the order to the classad, all runs.'),
    clone: () => histogram(shown, 'clones', 'Cloning time', 'Copy, boot and resume, all runs.'),
    cloneBySequence: () => sequence(shown),
    placement: () => gantt(points),
    waiting: () => histogram(shown, 'creations', 'Waiting time', 'From submission until the machine runs, all runs.'),
    agreement: () => [...views(shown, 'viewShare', 'Share of running plants in view', 'share'), ...afterHealing(shown)],
    recovery: () => views(shown, 'machines', 'Machines that run', 'machines')
  }
  const cut = points.length > shown.length ? ` The first ${shown.length} of ${points.length} points.` : ''
  const drawn = study.file.metrics.flatMap((metric) => plain[metric]?.() ?? []).map((plot) => plot.kind === 'gantt' ? plot : { ...plot, caption: `${plot.caption}${cut}` })
  return [...swept, ...drawn].filter((plot) => !isEmpty(plot))
}

function isEmpty (plot: PlotSpec): boolean {
  switch (plot.kind) {
    case 'histogram': return plot.series.every(({ bins }) => bins.counts.length === 0)
    case 'bars': return plot.bars.every(({ value }) => value === 0)
    case 'gantt': return plot.rows.length === 0
    default: return plot.series.every(({ points }) => points.length === 0)
  }
}

/** One plot a number: against the first swept axis that is numbers, a line for each combination of the rest. */
function sweptPlots (points: readonly PointRuns[], metrics: readonly MetricName[]): PlotSpec[] {
  const axis = points[0]?.point.sweep.find(({ path }) => new Set(points.map(({ point }) => point.sweep.find((setting) => setting.path === path)?.value)).size > 1)?.path
  if (axis === undefined) return points.length > 1 ? caseBars(points, metrics) : []
  const at = ({ point }: PointRuns): unknown => point.sweep.find(({ path }) => path === axis)?.value
  if (!points.every((one) => typeof at(one) === 'number')) return caseBars(points, metrics)
  const rest = ({ point }: PointRuns): string => [point.case, ...point.sweep.filter(({ path }) => path !== axis).map(({ path, value }) => `${path}=${String(value)}`)].filter((part) => part !== '').join(', ') || 'all'
  const xs = points.map((one) => at(one) as number)
  const xLog = Math.min(...xs) > 0 && Math.max(...xs) / Math.min(...xs) >= 16
  return wanted(points, metrics).map((name): PlotSpec => ({
    kind: 'line', title: titleOf(name), caption: `Mean over runs with its 95 % interval, against ${axis}.`, xLabel: axis, yLabel: unitLabel(name), xLog,
    series: [...new Set(points.map(rest))].map((series) => ({ name: series, points: points.filter((one) => rest(one) === series).flatMap((one) => linePoint(one, at(one) as number, name)) }))
  }))
}

function linePoint (point: PointRuns, x: number, name: string): LinePoint[] {
  const { count, mean, half } = valueOf(point, name)
  if (count === 0) return []
  const scale = scaleOf(name)
  return [{ x, y: mean / scale, ...(!Number.isNaN(half) && { low: (mean - half) / scale, high: (mean + half) / scale }) }]
}

function caseBars (points: readonly PointRuns[], metrics: readonly MetricName[]): PlotSpec[] {
  return wanted(points, metrics).map((name) => ({
    kind: 'bars', title: titleOf(name), caption: `Mean over runs with its 95 % interval.${points.length > BARS_MAX ? ` The first ${BARS_MAX} of ${points.length} points.` : ''}`, xLabel: unitLabel(name), yLabel: '',
    bars: points.slice(0, BARS_MAX).flatMap((point) => linePoint(point, 0, name).map(({ y, low, high }) => ({ name: point.point.name, value: y, ...(low !== undefined && high !== undefined && { low, high }) })))
  }))
}

function wanted (points: readonly PointRuns[], metrics: readonly MetricName[]): string[] {
  return [...new Set(metrics.flatMap((metric) => SWEPT[metric] ?? []))].filter((name) => points.some((point) => valueOf(point, name).count > 0))
}

const titleOf = (name: string): string => VALUES[name]?.title ?? name
const scaleOf = (name: string): number => VALUES[name]?.unit === 'ms' ? S : 1
const unitLabel = (name: string): string => VALUES[name]?.unit === 'ms' ? 'seconds' : VALUES[name]?.unit ?? ''

function histogram (points: readonly PointRuns[], what: 'creations' | 'clones', title: string, caption: string): PlotSpec[] {
  const values = points.map(({ runs }) => runs.flatMap((run) => run[what].map(([, ms]) => ms / S)))
  const width = niceWidth(values.flat(), 25)
  return [{ kind: 'histogram', title, caption, xLabel: 'seconds', yLabel: 'share', series: points.map(({ point }, i) => ({ name: point.name, bins: binned(values[i] ?? [], width) })) }]
}

function sequence (points: readonly PointRuns[]): PlotSpec[] {
  return [{
    kind: 'dots', title: 'Cloning time by sequence number', caption: 'Each clone of the first run.', xLabel: 'sequence number', yLabel: 'seconds',
    series: points.map(({ point, runs }) => ({ name: point.name, points: (runs[0]?.clones ?? []).map(([x, ms]) => ({ x, y: ms / S })) }))
  }]
}

function gantt (points: readonly PointRuns[]): PlotSpec[] {
  const [first] = points
  const run = first?.runs[0]
  if (first === undefined || run === undefined || run.stays.length === 0) return []
  return [{
    kind: 'gantt', title: 'Machines on their plants', caption: `First run${points.length > 1 ? ` of ${first.point.name}` : ''}${run.stays.length > GANTT_MAX ? `, first ${GANTT_MAX} machines` : ''}: light while a machine is made, dark while it runs.`, xLabel: 'seconds', yLabel: '',
    rows: run.stays.slice(0, GANTT_MAX).map(({ plant, fromMs, runningMs, toMs, sequence }) => ({ row: plant, from: fromMs / S, middle: runningMs / S, to: toMs / S, label: `order ${sequence}` }))
  }]
}

function views (points: readonly PointRuns[], field: 'viewShare' | 'machines', title: string, yLabel: string): PlotSpec[] {
  const faults = points[0]?.runs[0]?.faults ?? []
  return [{
    kind: 'line', title, caption: `First run, over time; ${faults.length > RULES_MAX ? `the first ${RULES_MAX} of ${faults.length} faults` : 'faults'} are marked.`, xLabel: 'seconds', yLabel, yZero: true,
    series: points.map(({ point, runs }) => ({ name: point.name, points: (runs[0]?.views ?? []).map((view) => ({ x: view.atMs / S, y: view[field] })) })),
    rules: faults.slice(0, RULES_MAX).map(({ atMs, kind }) => ({ x: atMs / S, label: kind }))
  }]
}

/** Seconds after healing that are drawn. */
const HEALING_S = 60

/**
 * How views fill again once a partition is over, beside the logistic curve of epidemic gossip: each plant that knows tells one other each period of
 * adverts, dx/dt = x (1 - x) / T, from the share at healing.
 */
function afterHealing (points: readonly PointRuns[]): PlotSpec[] {
  const healed = points.flatMap(({ point, runs }) => {
    const ends = point.scenario.faults.flatMap((fault) => fault.kind === 'partition' && fault.untilMs !== undefined ? [fault.untilMs] : fault.kind === 'heal' ? [fault.atMs] : [])
    const fromMs = ends.reduce((max, ms) => Math.max(max, ms), -Infinity)
    const views = (runs[0]?.views ?? []).filter(({ atMs }) => atMs >= fromMs && atMs <= fromMs + HEALING_S * S)
    return views.length < 2 ? [] : [{ name: point.name, points: views.map(({ atMs, viewShare }) => ({ x: (atMs - fromMs) / S, y: viewShare })) }]
  })
  const start = healed[0]?.points[0]?.y
  if (start === undefined || start <= 0 || start >= 1) return []
  const periodS = ADVERT_EVERY_MS / S
  const logistic = Array.from({ length: HEALING_S + 1 }, (_, x) => ({ x, y: 1 / (1 + (1 / start - 1) * Math.exp(-x / periodS)) }))
  return [{
    kind: 'line', title: 'Views after healing', caption: `First run, from the end of the partition; dashed: the logistic curve of epidemic gossip with the period of adverts, ${periodS} s. The daemon is faster where neighbours hand over their whole view as they meet again, rather than word by word.`, xLabel: 'seconds since healing', yLabel: 'share of running plants in view', yZero: true,
    series: [...healed, { name: 'logistic', dashed: true, points: logistic }]
  }]
}
