/** compare: two policies, scenarios or directories of results side by side. */
import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import type { Command } from 'commander'
import { PlantError } from '../../../protocols/kit/index.ts'
import { compared, comparedNotes, comparedTable, compareHtml, type Compared, type ComparedRow } from '../../report/index.ts'
import type { Study } from '../../stats/index.ts'
import { csvRows } from '../../traces/index.ts'
import { prepareOut } from '../disk.ts'
import { drawPlot } from '../plot.ts'
import { loadScenario } from '../scenario-file.ts'
import { runStudy } from '../study-run.ts'
import { gather, setting, type RunOptions } from './options.ts'
import { runOptions, settings, withProgress } from './run.ts'
import { columns, printable, shown, tellLeftOut } from './screen.ts'

type CompareOptions = RunOptions & { a: string[], b: string[] }

/** Adds `sim compare`. */
export function compareCommand (sim: Command): void {
  runOptions(sim.command('compare').description('put two policies side by side').argument('<a>', 'a scenario, or a directory of results').argument('<b>', 'another'))
    .option('--a <path=value>', 'set a field of the first only; may be repeated', gather, [])
    .option('--b <path=value>', 'set a field of the second only; may be repeated', gather, [])
    .option('--out <dir>', 'where compare.html and compare.json go (default: sim-results/A-against-B)')
    .addHelpText('after', `
Scenarios are run with the same seeds (--seed, or else each file's own), so that orders and faults are the same and only the policy differs; the difference is that of pairs of
runs. Where seeds differ it is that of the means, and the answer says so.

Examples:
  plantmesh sim compare trace-replay trace-replay --a policy.costModel=memory --b policy.costModel=time-to-done
  plantmesh sim compare results/k4 results/k16`)
    .action(async (a: string, b: string, options: CompareOptions) => shown(options.json, async () => execute(a, b, options)))
}

/** A side and what it comes from: two of equal content are the same, however they are called. */
interface Side { label: string, content: string, get: () => Promise<Compared> }

async function execute (a: string, b: string, options: CompareOptions): Promise<void> {
  const [one, other] = [await side(a, options, options.a, '--a'), await side(b, options, options.b, '--b')]
  if (one.content === other.content) throw new PlantError('USAGE', { problem: 'both sides are the same', found: one.label === other.label ? one.label : `${one.label} and ${other.label}`, allowed: 'two that differ: by what their files say, or by --a and --b' })
  const [nameA, nameB] = one.label === other.label ? [[a, ...options.a].join(' '), [b, ...options.b].join(' ')] : [one.label, other.label]
  const out = options.out === undefined ? resolve('sim-results', `${slug(nameA)}-against-${slug(nameB)}`) : resolve(options.out)
  const giveUp = prepareOut(out)
  try {
    await write(out, options, { ...await one.get(), name: nameA }, { ...await other.get(), name: nameB })
  } catch (error) {
    giveUp()
    throw error
  }
}

async function write (out: string, options: CompareOptions, left: Compared, right: Compared): Promise<void> {
  const rows = compared(left, right)
  if (rows.length === 0) throw new PlantError('USAGE', { problem: 'there is no point that both have', found: `${left.points.map(({ name }) => name).join('; ')} | ${right.points.map(({ name }) => name).join('; ')}`, allowed: 'points of one name, or one point each' })
  const notes = comparedNotes(left, right, rows)
  await writeFile(join(out, 'compare.html'), compareHtml(left, right, drawPlot))
  await writeFile(join(out, 'compare.json'), JSON.stringify({ a: left.name, b: right.name, notes, rows }, null, 2) + '\n')
  process.stdout.write(options.json ? JSON.stringify({ out, a: left.name, b: right.name, notes, rows }) + '\n' : `${text(rows, left.name, right.name)}${notes.map(printable).join('\n')}\nreport: ${printable(join(out, 'compare.html'))}\n`)
}

const POINTS_SHOWN = 4

function text (rows: readonly ComparedRow[], a: string, b: string): string {
  const points = [...new Set(rows.map(({ point }) => point))]
  return points.slice(0, POINTS_SHOWN).map((point) => {
    const [header = [], ...body] = comparedTable(rows.filter((row) => row.point === point && row.a.count > 0 && row.b.count > 0), 'A', 'B')
    return `${points.length > 1 ? `${printable(point)}\n` : ''}${columns([header, ...body])}\n`
  }).join('\n') + (points.length > POINTS_SHOWN ? `… ${points.length - POINTS_SHOWN} more points in the report\n` : '') + `A is ${printable(a)}, B is ${printable(b)}\n`
}

/** A side: results that are there, or a scenario that is run when it is asked for. */
async function side (nameOrDir: string, options: CompareOptions, own: readonly string[], option: string): Promise<Side> {
  const set = [...settings(options.set), ...own.map((text) => setting(option, text))]
  const dir = resolve(nameOrDir)
  if (existsSync(join(dir, 'manifest.json'))) {
    if (set.length > 0) throw new PlantError('USAGE', { option, found: nameOrDir, allowed: 'a scenario: results that are there cannot be changed' })
    return { label: nameOrDir, content: dir, get: async () => fromResults(dir, nameOrDir) }
  }
  const loaded = await loadScenario(nameOrDir, { set })
  const label = [basename(loaded.path).replace(/\.(?:ya?ml|json)$/, ''), ...own].join(' ')
  const content = JSON.stringify([loaded.text, loaded.files, set.map(({ path, value }) => [path, value])])
  return {
    label, content,
    get: async () => {
      tellLeftOut(loaded.leftOut)
      const done = await withProgress(options.json, async (onProgress, signal) => {
        const study = await runStudy({ loaded, added: { set }, seed: options.seed ?? loaded.file.seed, runs: options.runs ?? loaded.file.runs, workers: options.workers, events: false, onProgress: (share, said) => { onProgress(share, `${option.slice(2).toUpperCase()}: ${said}`) }, signal })
        if (study.manifest.interrupted) throw new PlantError('INTERRUPTED', { problem: 'a comparison needs all runs of both sides' })
        return study
      })
      return inMemory(done.study, label)
    }
  }
}

function inMemory ({ points }: Study, name: string): Compared {
  return { name, points: points.map(({ point, runs }) => ({ name: point.name, runs: runs.map(({ seed, values }) => ({ seed, values })), creations: runs.flatMap(({ creations }) => creations.map(([, ms]) => ms / 1_000)) })) }
}

/** Columns of runs.csv that are not numbers of a run. */
const NOT_VALUES = ['point', 'case', 'run', 'seed', 'trace_hash', 'ended']

async function fromResults (dir: string, name: string): Promise<Compared> {
  const rows = csvRows(await readFile(join(dir, 'runs.csv'), 'utf8'))
  const manifest = JSON.parse(await readFile(join(dir, 'manifest.json'), 'utf8')) as { sweep?: Record<string, unknown>, interrupted?: boolean, done?: number, of?: number }
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
  return { name, points: [...points.values()], ...(manifest.interrupted === true && { interrupted: { done: manifest.done ?? 0, of: manifest.of ?? 0 } }) }
}

function slug (text: string): string { return text.replace(/[^A-Za-z0-9.=-]+/g, '_').slice(-60) }

