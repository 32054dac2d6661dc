/** run and sweep: every point of a scenario with every seed, and what they give. */
import { existsSync, readdirSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Command } from 'commander'
import { PlantError } from '../../../protocols/kit/index.ts'
import { interval } from '../../figures/index.ts'
import { VALUES, valueOf, type PointRuns, type Study } from '../../stats/index.ts'
import { loadScenario, type Added } from '../scenario-file.ts'
import { runStudy, type StudyDone } from '../study-run.ts'
import { gather, runsOption, seedOption, setting, swept, workersDefault, workersOption, type RunOptions } from './options.ts'
import { columns, duration, onInterrupt, printable, Progress, shown, tellLeftOut } from './screen.ts'

/** Adds the options that run, sweep and compare share. */
export function runOptions (command: Command): Command {
  return command
    .option('--seed <n>', 'seed of the first run; run r has seed + r - 1 (default: the scenario\'s)', seedOption)
    .option('--runs <n>', 'runs of each point (default: the scenario\'s)', runsOption)
    .option('--set <path=value>', 'set a field of the scenario; may be repeated', gather, [])
    .option('--workers <n>', 'threads that run at once; results do not depend on it', workersOption, workersDefault())
    .option('--json', 'one JSON document on stdout', false)
}

/** Adds `sim run`. */
export function runCommand (sim: Command): void {
  runOptions(sim.command('run').description('run a scenario and write a report').argument('<scenario>', 'a scenario file, or the name of a shipped one (plantmesh sim list)'))
    .option('--out <dir>', 'where results go (default: sim-results/NAME)')
    .option('--events', 'write events.csv too: every event of every run', false)
    .addHelpText('after', `
Writes into the directory
  report.html    plots and tables with 95 % intervals, the papers' figures beside the run's; one file, open it in any browser
  runs.csv       a line a run: seed, trace hash, every number
  jobs.csv       a line an order: Batsim's columns, then ours
  manifest.json  commit, versions, seeds, the whole configuration, the trace hash of every run
  events.csv     with --events: every event in order

Examples:
  plantmesh sim run vmplants-creation
  plantmesh sim run my.yaml --seed 7 --runs 20 --set policy.k=4 --out results/k4`)
    .action(async (name: string, options: RunOptions) => shown(options.json, async () => execute(name, options, { set: settings(options.set) })))
}

/** Adds `sim sweep`. */
export function sweepCommand (sim: Command): void {
  runOptions(sim.command('sweep').description('run a scenario over all combinations of values, on all cores').argument('<scenario>', 'a scenario file, or the name of a shipped one'))
    .requiredOption('--over <path=v1,v2,…>', 'values of a field; repeated: every combination', gather, [])
    .option('--out <dir>', 'where results go (default: sim-results/NAME-sweep)')
    .option('--events', 'write events.csv too', false)
    .addHelpText('after', `
Example:
  plantmesh sim sweep trace-replay --over policy.k=1,4,16,64 --over policy.costModel=memory,time-to-done --runs 10`)
    .action(async (name: string, options: RunOptions & { over: string[] }) => shown(options.json, async () => {
      const sweep = Object.fromEntries(options.over.map((text) => swept('--over', text)).map(({ path, values }) => [path, values]))
      await execute(name, options, { set: settings(options.set), sweep }, '-sweep')
    }))
}

/** What `--set` says; nothing when it says nothing. */
export function settings (set: readonly string[]): NonNullable<Added['set']> { return set.map((text) => setting('--set', text)) }

async function execute (name: string, options: RunOptions, added: Added, suffix = ''): Promise<void> {
  const loaded = await loadScenario(name, added)
  tellLeftOut(loaded.leftOut)
  const out = outDir(options.out ?? join('sim-results', `${loaded.file.name}${suffix}`))
  const { study, manifest } = await withProgress(options.json, async (onProgress, signal) => runStudy({
    loaded, added, seed: options.seed ?? loaded.file.seed, runs: options.runs ?? loaded.file.runs, workers: options.workers, out, events: options.events, onProgress, signal
  }))
  if (options.json) process.stdout.write(JSON.stringify({ out, ...manifest, file: undefined, values: study.points.map(valuesOf) }) + '\n')
  else process.stdout.write(summary(study, manifest, out))
  if (manifest.interrupted) process.exitCode = 130
}

/** Runs with a progress bar, and with what Ctrl-C aborts. */
export async function withProgress<T> (json: boolean, run: (onProgress: (share: number, text: string) => void, signal: AbortSignal) => Promise<T>): Promise<T> {
  const progress = new Progress()
  const interrupt = onInterrupt()
  try {
    return await run((share, text) => { if (!json) progress.update(share, text) }, interrupt.signal)
  } finally {
    interrupt.end()
    progress.end()
  }
}

/** A directory for results. Throws USAGE when it holds other things: they are not ours to mix with. */
export function outDir (path: string): string {
  const dir = resolve(path)
  if (existsSync(dir) && statSync(dir).isDirectory() && readdirSync(dir).length > 0 && !existsSync(join(dir, 'manifest.json'))) {
    throw new PlantError('USAGE', { option: '--out', found: dir, allowed: 'a directory that is new, empty, or has results of a run in it' })
  }
  return dir
}

function valuesOf (point: PointRuns): { name: string, runs: number, values: Record<string, { mean: number, half?: number }> } {
  const names = [...new Set(point.runs.flatMap(({ values }) => Object.keys(values)))]
  const values = Object.fromEntries(names.map((name) => {
    const { mean, half } = valueOf(point, name)
    return [name, { mean, ...(!Number.isNaN(half) && { half }) }]
  }))
  return { name: point.point.name, runs: point.runs.length, values }
}

/** Numbers that a summary on the screen shows, where the runs have them. */
const SHOWN = ['orders', 'running', 'refused', 'failed', 'lost', 'creationMsMean', 'creationMsP95', 'cloneMsMean', 'boundedSlowdownMean', 'firstPlantMachines', 'makespanMs', 'equationMs', 'agreedAfterMs', 'notAgreed', 'forgottenAfterMs', 'machinesLost', 'bytesPerPlant', 'events'] as const
const POINTS_SHOWN = 16

function summary (study: Study, manifest: StudyDone['manifest'], out: string): string {
  const points = study.points.filter(({ runs }) => runs.length > 0)
  const first = points.slice(0, POINTS_SHOWN)
  const asked: Partial<Record<string, boolean>> = { firstPlantMachines: study.file.figures.includes('vmplants-13'), equationMs: study.file.figures.includes('so-mvds-1') }
  const names = SHOWN.filter((name) => asked[name] !== false && points.some((point) => valueOf(point, name).count > 0 && !(valueOf(point, name).mean === 0 && ['refused', 'failed', 'lost', 'notAgreed'].includes(name))))
  const cell = (point: PointRuns, name: string): string => VALUES[name]?.unit === 'ms' ? interval(valueOf(point, name), 1_000, 's') : interval(valueOf(point, name))
  const head = `${printable(study.file.title || study.file.name)}: ${manifest.done} of ${manifest.of} runs, seeds ${manifest.seed} to ${manifest.seed + manifest.runs - 1}, in ${duration(manifest.took.wallMs)} (${manifest.took.eventsPerS.toLocaleString('en-US')} events/s a thread)\n`
  const table = points.length === 1
    ? columns(names.map((name) => [`  ${VALUES[name]?.title ?? name}`, ...first.map((point) => cell(point, name))]))
    : columns([['  ', ...names.map((name) => shortTitle(name))], ...first.map((point) => [`  ${point.point.name}`, ...names.map((name) => cell(point, name))])])
  const hash = points[0]?.runs[0]?.traceHash
  return head + (points.length === 0 ? '' : `${table}\n`)
    + (points.length > first.length ? `  … ${points.length - first.length} more points in runs.csv\n` : '')
    + (hash === undefined ? '' : `trace hash of the first run: ${hash}\n`)
    + (manifest.interrupted ? `interrupted: the results are those of the ${manifest.done} runs that were done\n` : '')
    + `report: ${printable(join(out, 'report.html'))}\n`
}

function shortTitle (name: string): string {
  return name.replace(/Ms/, '').replace(/([A-Z])/g, ' $1').toLowerCase().replace(/ mean$/, '').replace(/p(\d+)$/, 'p$1')
}
