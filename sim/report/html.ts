/** report.html: one file with everything in it. Nothing is loaded from anywhere. */
import { interval, paperFigures, type PaperFigure, type PlotSpec } from '../figures/index.ts'
import { AFTER_WARM_UP, VALUES, valueNames, valueOf, type Study } from '../stats/index.ts'
import type { Manifest } from './manifest.ts'
import { plotsOf } from './plots-of.ts'
import { STYLE } from './style.ts'

/** Draws a plot as SVG text. */
export type Draw = (plot: PlotSpec) => string

const POINTS_SHOWN = 60

/** The page of one study. */
export function reportHtml (study: Study, manifest: Manifest, draw: Draw): string {
  const figures = paperFigures(study)
  const drawn = new Set(figures.flatMap(({ plots }) => plots.map(({ title }) => title)))
  return page(study.file.title || study.file.name, [
    manifest.interrupted ? `<p class="warn">Interrupted: ${manifest.done} of ${manifest.of} runs are done, and these are what is shown.</p>` : '',
    study.file.description === '' ? '' : study.file.description.trim().split(/\n\s*\n/).map((text) => `<p>${escape(text)}</p>`).join(''),
    `<p class="made">${manifest.runs} runs a point, seeds ${manifest.seed} to ${manifest.seed + manifest.runs - 1}; commit ${escape(manifest.commit)}${manifest.dirty ? ' with changes' : ''}; mode ${study.file.mode}: ${study.file.mode === 'cores' ? 'the daemon\'s own code on a virtual clock' : 'typed-array models, compared with the daemon\'s code in tests'}. Numbers are means over runs with 95 % intervals (Student t).</p>`,
    ...figures.map((figure) => figureHtml(figure, draw)),
    '<h2>Numbers</h2>', numbers(study),
    '<h2>Plots</h2>', ...plotsOf(study).filter(({ title }) => !drawn.has(title)).map((plot) => plotHtml(plot, draw)),
    '<h2>How it was made</h2>', made(manifest)
  ].join('\n'))
}

/** A whole page. */
export function page (title: string, body: string): string {
  return `<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>${escape(title)}</title><style>${STYLE}</style></head>\n<body><h1>${escape(title)}</h1>\n${body}\n</body></html>\n`
}

/** One plot with its title and caption. */
export function plotHtml (plot: PlotSpec, draw: Draw): string {
  return `<figure><h3>${escape(plot.title)}</h3>${draw(plot)}<figcaption>${escape(plot.caption)}</figcaption></figure>`
}

/** A table; the first row is the header, the first column names the row. */
export function tableHtml (rows: readonly string[][]): string {
  const [header = [], ...body] = rows
  return `<div class="wide"><table><thead><tr>${header.map((cell) => `<th>${escape(cell)}</th>`).join('')}</tr></thead><tbody>${body.map((row) => `<tr>${row.map((cell, i) => i === 0 ? `<th>${escape(cell)}</th>` : `<td>${escape(cell)}</td>`).join('')}</tr>`).join('\n')}</tbody></table></div>`
}

/** Text as HTML. */
export function escape (text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}

function figureHtml ({ title, source, rows, plots, notes }: PaperFigure, draw: Draw): string {
  return `<section class="paper"><h2>${escape(title)}</h2><p class="made">${escape(source)}</p>`
    + tableHtml([['', 'paper', 'this run', 'where and why they differ'], ...rows.map(({ what, paper, ours, differs }) => [what, paper, ours, differs ?? ''])])
    + plots.map((plot) => plotHtml(plot, draw)).join('')
    + (notes.length === 0 ? '' : `<ul>${notes.map((note) => `<li>${escape(note)}</li>`).join('')}</ul>`) + '</section>'
}

function numbers (study: Study): string {
  const points = study.points.filter(({ runs }) => runs.length > 0)
  const shown = points.slice(0, POINTS_SHOWN)
  const names = valueNames(points)
  const warmed = points.some(({ point }) => point.scenario.warmUpShare > 0)
  const rows = names.map((name) => [`${VALUES[name]?.title ?? name}${warmed && AFTER_WARM_UP.has(name) ? ' (after the warm-up)' : ''}`, ...shown.map((point) => VALUES[name]?.unit === 'ms' ? interval(valueOf(point, name), 1_000, 's') : interval(valueOf(point, name)))])
  return tableHtml([['', ...shown.map(({ point }) => point.name)], ['runs', ...shown.map(({ runs }) => String(runs.length))], ...rows])
    + (points.length > shown.length ? `<p class="made">The first ${shown.length} of ${points.length} points; all are in runs.csv.</p>` : '')
}

function made (manifest: Manifest): string {
  const { points, file, ...rest } = manifest
  return `<details><summary>Configuration and trace hashes</summary><pre>${escape(JSON.stringify({ ...rest, points: points.slice(0, POINTS_SHOWN) }, null, 2))}</pre></details>`
    + `<details><summary>The scenario file</summary><pre>${escape(file)}</pre></details>`
}
