/** Draws plots as SVG in Node: Observable Plot into a small DOM. The same data gives the same text. */
import * as Plot from '@observablehq/plot'
import { parseHTML } from 'linkedom'
import type { PlotSpec } from '../figures/index.ts'

const WIDTH = 760
const COLOURS = ['#2563eb', '#dc2626', '#059669', '#d97706', '#7c3aed', '#0891b2', '#be185d', '#4d7c0f', '#475569', '#92400e', '#1d4ed8', '#b91c1c']

type Options = Plot.PlotOptions

/** SVG text of a plot; with a legend above it where there are several series. */
export function drawPlot (spec: PlotSpec): string {
  const { document } = parseHTML('<!doctype html><html><body></body></html>')
  const made = Plot.plot({
    document: document as NonNullable<Options['document']>,
    width: WIDTH,
    style: { background: 'transparent', fontSize: '12px' },
    x: { label: spec.xLabel },
    y: { label: spec.yLabel, grid: true },
    ...optionsOf(spec)
  })
  return legend(spec) + inlined(made.outerHTML)
}

function optionsOf (spec: PlotSpec): Options {
  switch (spec.kind) {
    case 'histogram': return histogram(spec)
    case 'line': return line(spec)
    case 'dots': return { height: 340, color: colours(spec.series), marks: [Plot.frame({ stroke: '#8884' }), Plot.dot(rows(spec.series), { x: 'x', y: 'y', stroke: 'series', r: 2 })] }
    case 'bars': return bars(spec)
    case 'gantt': return gantt(spec)
  }
}

const colours = (series: ReadonlyArray<{ name: string }>): Plot.ScaleOptions => ({ type: 'ordinal', domain: series.map(({ name }) => name), range: series.map((_, i) => COLOURS[i % COLOURS.length] ?? '#000') })
const rows = <P extends object>(series: ReadonlyArray<{ name: string, points: readonly P[] }>): Array<P & { series: string }> => series.flatMap(({ name, points }) => points.map((point) => ({ ...point, series: name })))

function histogram ({ series, xLabel, yLabel }: Extract<PlotSpec, { kind: 'histogram' }>): Options {
  const data = series.flatMap(({ name, bins }) => {
    const all = bins.counts.reduce((sum, count) => sum + count, 0)
    return bins.counts.map((count, i) => ({ series: name, from: bins.from + i * bins.width, to: bins.from + (i + 1) * bins.width, share: all === 0 ? 0 : count / all }))
  })
  return {
    height: 60 + 110 * series.length,
    color: colours(series),
    x: { label: xLabel },
    y: { label: yLabel, grid: true, nice: true },
    fy: { label: null, domain: series.map(({ name }) => name), axis: null },
    marks: [Plot.rect(data, { x1: 'from', x2: 'to', y1: 0, y2: 'share', fy: 'series', fill: 'series', inset: 0.5 }), Plot.ruleY([0])]
  }
}

function line ({ series, rules, xLog, yZero, xLabel, yLabel }: Extract<PlotSpec, { kind: 'line' }>): Options {
  const all = rows(series)
  const dashed = new Set(series.filter((one) => one.dashed === true).map(({ name }) => name))
  const withBand = all.filter(({ low, high }) => low !== undefined && high !== undefined)
  return {
    height: 340,
    color: colours(series),
    x: { label: xLabel, ...(xLog === true && { type: 'log' }) },
    y: { label: yLabel, grid: true, ...(yZero === true && { zero: true }) },
    marks: [
      Plot.areaY(withBand, { x: 'x', y1: 'low', y2: 'high', z: 'series', fill: 'series', fillOpacity: 0.18 }),
      Plot.lineY(all.filter((row) => !dashed.has(row.series)), { x: 'x', y: 'y', z: 'series', stroke: 'series' }),
      Plot.lineY(all.filter((row) => dashed.has(row.series)), { x: 'x', y: 'y', z: 'series', stroke: 'series', strokeDasharray: '5 4' }),
      ...all.length <= 200 ? [Plot.ruleX(withBand, { x: 'x', y1: 'low', y2: 'high', stroke: 'series' }), Plot.dot(all, { x: 'x', y: 'y', fill: 'series', r: 2.5 })] : [],
      Plot.ruleX(rules ?? [], { x: 'x', stroke: '#dc2626', strokeDasharray: '2 3' }),
      Plot.text(rules ?? [], { x: 'x', text: 'label', frameAnchor: 'top', textAnchor: 'start', dx: 3, fill: '#dc2626' })
    ]
  }
}

function bars ({ bars, xLabel }: Extract<PlotSpec, { kind: 'bars' }>): Options {
  return {
    height: 50 + 32 * bars.length,
    marginLeft: Math.min(320, 20 + 7 * bars.reduce((max, { name }) => Math.max(max, name.length), 0)),
    x: { label: xLabel, grid: true, zero: true },
    y: { label: null, domain: bars.map(({ name }) => name) },
    marks: [
      Plot.barX(bars, { x: 'value', y: 'name', fill: COLOURS[0] ?? '#000', fillOpacity: 0.75 }),
      Plot.ruleY(bars.filter(({ low }) => low !== undefined), { y: 'name', x1: 'low', x2: 'high', stroke: 'currentColor' }),
      Plot.ruleX([0])
    ]
  }
}

function gantt ({ rows: all, xLabel }: Extract<PlotSpec, { kind: 'gantt' }>): Options {
  const names = [...new Set(all.map(({ row }) => row))].sort((a, b) => a.localeCompare(b, 'en', { numeric: true }))
  // Machines of one plant overlap: each takes the first lane of its plant that is free.
  const lanes = new Map<string, number[]>()
  const placed = all.map((one) => {
    const free = lanes.get(one.row) ?? []
    const lane = free.findIndex((until) => until <= one.from)
    const at = lane < 0 ? free.length : lane
    free[at] = one.to
    lanes.set(one.row, free)
    return { ...one, lane: at }
  })
  const high = names.reduce((sum, name) => sum + (lanes.get(name)?.length ?? 0) + 1, 0)
  const tops = new Map<string, number>()
  let top = 0
  for (const name of names) {
    tops.set(name, top)
    top += (lanes.get(name)?.length ?? 0) + 1
  }
  const bar = (field: 'making' | 'running'): Array<{ x1: number, x2: number, y1: number, y2: number }> => placed.map(({ from, middle, to, row, lane }) => {
    const y = (tops.get(row) ?? 0) + lane
    return { x1: field === 'making' ? from : middle, x2: field === 'making' ? middle : to, y1: y + 0.1, y2: y + 0.9 }
  })
  return {
    height: Math.min(900, 60 + 9 * high),
    marginLeft: Math.min(200, 20 + 7 * names.reduce((max, name) => Math.max(max, name.length), 0)),
    x: { label: xLabel, grid: true },
    y: { label: null, reverse: true, axis: null, domain: [0, high] },
    marks: [
      Plot.rect(bar('making'), { x1: 'x1', x2: 'x2', y1: 'y1', y2: 'y2', fill: '#93c5fd' }),
      Plot.rect(bar('running'), { x1: 'x1', x2: 'x2', y1: 'y1', y2: 'y2', fill: '#1d4ed8' }),
      ...names.length <= 40 ? [Plot.text(names.map((name) => ({ name, y: (tops.get(name) ?? 0) + (lanes.get(name)?.length ?? 0) / 2 })), { y: 'y', text: 'name', frameAnchor: 'left', textAnchor: 'end', dx: -6 })] : []
    ]
  }
}

function legend (spec: PlotSpec): string {
  if (!('series' in spec) || spec.series.length < 2) return ''
  const entry = (name: string, i: number): string => `<span style="margin-right:1em"><span style="display:inline-block;width:.8em;height:.8em;background:${COLOURS[i % COLOURS.length] ?? '#000'}"></span> ${name.replaceAll('&', '&amp;').replaceAll('<', '&lt;')}</span>`
  return `<div>${spec.series.map(({ name }, i) => entry(name, i)).join('')}</div>`
}

/** Fonts and colours come from the page; the plot's own style element is the same in all and is left out. */
function inlined (svg: string): string {
  return svg.replace(/<style>[\s\S]*?<\/style>/g, '').replace('<svg ', '<svg role="img" xmlns="http://www.w3.org/2000/svg" ')
}
