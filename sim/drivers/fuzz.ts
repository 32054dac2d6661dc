/** Runs drawn seeds one after the other, and writes down what helps to see why one failed. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { drawCase } from '../fuzz/draw.ts'
import { evidenceOf } from '../fuzz/evidence.ts'
import { FuzzRun, type FuzzOptions, type FuzzOutcome } from '../fuzz/run.ts'
import { diskError, prepareOut } from './disk.ts'
import { watchEscapes } from './escapes.ts'
import { microtaskQuiet } from './quiet.ts'

/** A seed that failed, with the files that tell of it. */
export interface FuzzFailure extends FuzzOutcome { traceFile?: string, diagramFile?: string }

/** One seed, with the errors that nobody caught blamed too. */
export async function fuzzSeed (seed: number, more: Omit<FuzzOptions, 'quiet'> = {}): Promise<FuzzOutcome> {
  const run = new FuzzRun(drawCase(seed), { ...more, quiet: microtaskQuiet() })
  const escaped: string[] = []
  const end = watchEscapes((text) => { escaped.push(text) })
  const outcome = await run.run()
  await end()
  const [first] = escaped
  if (first === undefined || outcome.problem !== undefined) return outcome
  return { ...outcome, problem: { checker: 'escape', text: `nobody caught: ${first.slice(0, 2_000)}`, atMs: outcome.endedMs } }
}

/** Runs a failed seed once more and writes its trace, and a diagram where it is about an order, into `dir`. Throws USAGE where nothing can be written, and DISK_FULL. */
export async function writeEvidence (outcome: FuzzOutcome, dir: string, more: Omit<FuzzOptions, 'quiet'> = {}): Promise<FuzzFailure> {
  prepareOut(dir)
  const end = watchEscapes(() => {}) // Told of before.
  const { trace, diagram } = await evidenceOf(outcome, { ...more, quiet: microtaskQuiet() })
  await end()
  const traceFile = join(dir, `seed-${outcome.seed}.trace.jsonl`)
  await written(traceFile, trace)
  if (diagram === undefined) return { ...outcome, traceFile }
  const diagramFile = join(dir, `seed-${outcome.seed}.mmd`)
  await written(diagramFile, diagram)
  return { ...outcome, traceFile, diagramFile }
}

async function written (path: string, text: string): Promise<void> {
  await writeFile(path, text).catch((cause: unknown) => { throw diskError(cause, path) })
}
