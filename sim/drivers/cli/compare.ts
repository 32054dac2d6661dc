/** compare: two policies, scenarios or directories of results side by side. */
import { existsSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { Command } from 'commander'
import { PlantError } from '../../../protocols/kit/index.ts'
import { compared, comparedTable, compareHtml, type Compared, type ComparedRow } from '../../report/index.ts'
import type { Study } from '../../stats/index.ts'
import { csvRows } from '../../traces/index.ts'
import { drawPlot } from '../plot.ts'
import { loadScenario } from '../scenario-file.ts'
import { runStudy } from '../study-run.ts'
import { gather, setting, type RunOptions } from './options.ts'
import { runOptions, settings, withProgress } from './run.ts'
import { columns, shown } from './screen.ts'

type CompareOptions = RunOptions & { a: string[], b: string[] }

/** Adds `sim compare`. */
export function compareCommand (sim: Command): void {
  runOptions(sim.command('compare').description('put two policies side by side').argument('<a>', 'a scenario, or a directory of results').argument('<b>', 'another'))
    .option('--a <path=value>', 'set a field of the first only; may be repeated', gather, [])
    .option('--b <path=value>', 'set a field of the second only; may be repeated', gather, [])
    .option('--out <dir>', 'where compare.html and compare.json go (default: sim-results/A-against-B)')
    .addHelpText('after', `
Both are run with the same seeds, so that orders and faults are the same and only the policy differs; the difference is that of pairs of runs.

Examples:
  plantmesh sim compare trace-replay trace-replay --a policy.costModel=memory --b policy.costModel=time-to-done
  plantmesh sim compare results/k4 results/k16`)
    .action(async (a: string, b: string, options: CompareOptions) => shown(options.json, async () => execute(a, b, options)))
}

async function execute (a: string, b: string, options: CompareOptions): Promise<void> {
  const left = await side(a, options, options.a, '--a')
  const right = await side(b, options, options.b, '--b')
  if (left.name === right.name) throw new PlantError('USAGE', { problem: 'both sides are the same', found: left.name, allowed: 'two that differ: by their file, or by --a and --b' })
  const rows = compared(left, right)
  if (rows.length === 0) throw new PlantError('USAGE', { problem: 'there is no point that both have', found: `${left.points.map(({ name }) => name).join('; ')} | ${right.points.map(({ name }) => name).join('; ')}`, allowed: 'points of one name, or one point each' })
  const out = options.out === undefined ? resolve('sim-results', `${slug(left.name)}-against-${slug(right.name)}`) : resolve(options.out)
  await mkdir(out, { recursive: true })
  await writeFile(join(out, 'compare.html'), compareHtml(left, right, drawPlot))
  await writeFile(join(out, 'compare.json'), JSON.stringify({ a: left.name, b: right.name, rows }, null, 2) + '\n')
  process.stdout.write(options.json ? JSON.stringify({ out, a: left.name, b: right.name, rows }) + '\n' : `${text(rows, left.name, right.name)}report: ${join(out, 'compare.html')}\n`)
}

const POINTS_SHOWN = 4

function text (rows: readonly ComparedRow[], a: string, b: string): string {
  const points = [...new Set(rows.map(({ point }) => point))]
  return points.slice(0, POINTS_SHOWN).map((point) => {
    const [header = [], ...body] = comparedTable(rows.filter((row) => row.point === point && row.a.count > 0 && row.b.count > 0), 'A', 'B')
    return `${points.length > 1 ? `${point}\n` : ''}${columns([header, ...body])}\n`
  }).join('\n') + (points.length > POINTS_SHOWN ? `… ${points.length - POINTS_SHOWN} more points in the report\n` : '') + `A is ${a}, B is ${b}\n`
}

/** A side: results that are there, or a scenario that is run now. */
async function side (nameOrDir: string, options: CompareOptions, own: readonly string[], option: string): Promise<Compared> {
  const set = [...settings(options.set), ...own.map((text) => setting(option, text))]
  const dir = resolve(nameOrDir)
  if (existsSync(join(dir, 'manifest.json'))) {
    if (set.length > 0) throw new PlantError('USAGE', { option, found: nameOrDir, allowed: 'a scenario: results that are there cannot be changed' })
    return fromResults(dir, nameOrDir)
  }
  const loaded = await loadScenario(nameOrDir, { set })
  const done = await withProgress(options.json, async (onProgress, signal) => {
    const study = await runStudy({ loaded, added: { set }, seed: options.seed ?? loaded.file.seed, runs: options.runs ?? loaded.file.runs, workers: options.workers, events: false, onProgress: (share, said) => { onProgress(share, `${option.slice(2).toUpperCase()}: ${said}`) }, signal })
    if (study.manifest.interrupted) throw new PlantError('INTERRUPTED', { problem: 'a comparison needs all runs of both sides' })
    return study
  })
  return inMemory(done.study, [loaded.file.name, ...own].join(' '))
}

function inMemory ({ points }: Study, name: string): Compared {
  return { name, points: points.map(({ point, runs }) => ({ name: point.name, runs: runs.map(({ seed, values }) => ({ seed, values })), creations: runs.flatMap(({ creations }) => creations.map(([, ms]) => ms / 1_000)) })) }
}

/** Columns of runs.csv that are not numbers of a run. */
const NOT_VALUES = ['point', 'case', 'run', 'seed', 'trace_hash', 'ended']

async function fromResults (dir: string, name: string): Promise<Compared> {
  const rows = csvRows(await readFile(join(dir, 'runs.csv'), 'utf8'))
  const manifest = JSON.parse(await readFile(join(dir, 'manifest.json'), 'utf8')) as { sweep?: Record<string, unknown> }
  const header = rows[0]?.cells ?? []
  const skipped = new Set([...NOT_VALUES, ...Object.keys(manifest.sweep ?? {})])
  const points = new Map<string, Compared['points'][number]>()
  for (const { cells } of rows.slice(1)) {
    const at = (column: string): string => cells[header.indexOf(column)] ?? ''
    const point = points.get(at('point')) ?? { name: at('point'), runs: [] }
    const values = Object.fromEntries(header.flatMap((column, i) => skipped.has(column) || cells[i] === '' ? [] : [[column, Number(cells[i])]]))
    point.runs.push({ seed: Number(at('seed')), values })
    points.set(point.name, point)
  }
  return { name, points: [...points.values()] }
}

function slug (text: string): string { return text.replace(/[^A-Za-z0-9.=-]+/g, '_').slice(-60) }

