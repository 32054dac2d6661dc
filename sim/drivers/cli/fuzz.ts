/** fuzz: whole scenarios drawn from seeds, with everything that can go wrong, checked after every event. */
import { createHash } from 'node:crypto'
import type { Command } from 'commander'
import { SEED_MAX } from '../../scenario/index.ts'
import { fuzzSeed, writeEvidence, type FuzzFailure } from '../fuzz.ts'
import { prepareOut } from '../disk.ts'
import { provenance } from '../provenance.ts'
import { wholeNumber } from './options.ts'
import { onInterrupt, printable, Progress } from './screen.ts'

const SEEDS_MAX = 10_000_000
/** Failures after which it is enough: each is run twice and written down. */
const FAILURES_MAX = 20

interface FuzzCommandOptions { seeds: number, first: number, out: string, json: boolean }

/** Adds `sim fuzz`. */
export function fuzzCommand (sim: Command): void {
  sim.command('fuzz').description('draw whole scenarios from seeds and look for what must not be')
    .option('--seeds <n>', 'how many', wholeNumber('--seeds', 1, SEEDS_MAX), 200)
    .option('--first <k>', 'the first', wholeNumber('--first', 0, SEED_MAX), 1)
    .option('--out <dir>', 'where trace and diagram of a failing seed go', 'sim-results/fuzz')
    .option('--json', 'one JSON document on stdout', false)
    .addHelpText('after', `
Each seed draws plants, links, orders, guests and faults: crashes between any two effects, restarts, partitions (also one-way), loss, slow links, clocks
that drift and step, full disks, processes that stand still, liars. Invariants are checked after every event; then faults stop and
everything must come together. Exits with 1 when a seed fails, and says how to run it again; a trace (a JSON document a line) and a
sequence diagram (mermaid) of the order it is about are written.

Example:
  plantmesh sim fuzz --seeds 1 --first 4711`)
    .action(async (options: FuzzCommandOptions) => fuzz(options))
}

async function fuzz ({ seeds, first, out, json }: FuzzCommandOptions): Promise<void> {
  // Said before hours of seeds rather than after them; taken away again when none fails.
  const giveUp = prepareOut(out)
  const { commit, dirty } = await provenance()
  const interrupt = onInterrupt()
  const progress = new Progress()
  const failures: FuzzFailure[] = []
  const digest = createHash('sha256')
  const sums = { seeds: 0, events: 0, orders: 0, running: 0 }
  try {
    for (let seed = first; seed < first + seeds && failures.length < FAILURES_MAX && !interrupt.signal.aborted; seed++) {
      const outcome = await fuzzSeed(seed)
      sums.seeds++
      digest.update(`${outcome.traceHash}\n`)
      for (const figure of ['events', 'orders', 'running'] as const) sums[figure] += outcome[figure]
      progress.update(sums.seeds / seeds, `seed ${seed}`)
      if (outcome.problem === undefined) continue
      const failure = await writeEvidence(outcome, out)
      failures.push(failure)
      progress.end()
      if (!json) process.stderr.write(failureText(failure, `${commit}${dirty ? ' (changed)' : ''}`))
    }
  } finally {
    progress.end()
    interrupt.end()
    giveUp()
  }
  // Over the trace hashes of all seeds, a line each: two machines that agree on it agree on every event.
  const answer = { ...sums, digest: digest.digest('hex'), commit, dirty, failures }
  process.stdout.write(json ? JSON.stringify(answer) + '\n' : `${sums.seeds} seeds, ${sums.events} events, ${sums.running} of ${sums.orders} orders came to run, ${failures.length} failed\n`)
  if (interrupt.signal.aborted) process.exitCode = 130
  else if (failures.length > 0) process.exitCode = 1
}

/** Seed, commit, what was found, and the one line that runs it again. */
function failureText ({ seed, problem, traceFile, diagramFile }: FuzzFailure, commit: string): string {
  return `seed ${seed} failed at ${((problem?.atMs ?? 0) / 1_000).toFixed(3)} s, commit ${commit}
  ${problem?.checker ?? ''}: ${(problem?.text ?? '').split('\n').map(printable).join('\n    ')}
  again:   plantmesh sim fuzz --seeds 1 --first ${seed}
  trace:   ${printable(traceFile ?? '-')}${diagramFile === undefined ? '' : `\n  diagram: ${printable(diagramFile)}`}
`
}
