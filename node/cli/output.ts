/** What a command prints: answers on stdout, everything else on stderr (CONTRACT.md, Conventions). */
import cliProgress from 'cli-progress'
import { asPlantError, type PlantError } from '../../protocols/kit/index.ts'
import { Eta } from './eta.ts'

export interface Output {
  readonly json: boolean
  /** The answer: one JSON document with `--json`, else the text. */
  answer (value: unknown, text: string): void
  /** A line for people while the command works; never on stdout with `--json`, and to stderr when stdout is no terminal. */
  note (text: string): void
  /** Progress of long work: a bar on a terminal, a line a step elsewhere, with how long it will still take. `share` is 0 to 1, in proportion to time. */
  progress (step: string, share: number): void
  /** Ends the progress bar, if there is one. */
  settle (): void
}

/** What a command prints through; `json` decides the form of the answer. */
export function output (json: boolean): Output {
  const people = process.stdout.isTTY && !json ? process.stdout : process.stderr
  let bar: cliProgress.SingleBar | undefined
  let lastStep = ''
  const eta = new Eta()
  const settle = (): void => {
    bar?.stop()
    bar = undefined
  }
  return {
    json,
    answer (value, text) {
      settle()
      process.stdout.write(json ? JSON.stringify(value) + '\n' : text.endsWith('\n') || text === '' ? text : text + '\n')
    },
    note (text) {
      settle()
      people.write(text + '\n')
    },
    progress (step, share) {
      const left = eta.at(share, performance.now())
      if (!process.stderr.isTTY) {
        if (step !== lastStep && !json) process.stderr.write(`  ${step}${left === '' ? '' : ` (${Math.round(share * 100)} %, ${left})`}\n`)
      } else {
        if (bar === undefined) {
          bar = new cliProgress.SingleBar({ format: '  {bar} {percentage}%  {step}  {left}', stream: process.stderr, clearOnComplete: true, hideCursor: true }, cliProgress.Presets.shades_classic)
          bar.start(100, 0, { step, left })
        }
        bar.update(Math.round(share * 100), { step, left })
      }
      lastStep = step
    },
    settle
  }
}

/** Says that a command that stays has come to where it stays: a line `ready {…}`, or the document alone with `--json`. */
export function tellReady (out: Pick<Output, 'json'>, value: unknown): void { process.stdout.write(`${out.json ? '' : 'ready '}${JSON.stringify(value)}\n`) }

/** Prints an error as the contract says and returns its exit status. */
export function printError (thrown: unknown, json: boolean): number {
  const error = asPlantError(thrown)
  if (json) process.stdout.write(JSON.stringify({ error: error.report() }) + '\n')
  else process.stderr.write(errorText(error))
  if (error.code === 'INTERNAL' && process.env['PLANTMESH_DEBUG'] !== undefined) process.stderr.write(`${error.stack ?? ''}\n${String((error.cause as Error | undefined)?.stack ?? '')}\n`)
  return error.exit
}

function errorText (error: PlantError): string {
  const { message, details, hint, code } = error.report()
  const lines = [`plantmesh: ${message} (${code})`]
  for (const [name, value] of Object.entries(details)) lines.push(...detailLines(name, value))
  if (hint !== '') lines.push(`  ${hint}`)
  return lines.join('\n') + '\n'
}

function detailLines (name: string, value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap((item, i) => detailLines(`${name}[${i}]`, item))
  if (typeof value === 'string' && value.includes('\n')) return [`  ${name}:`, ...value.trimEnd().split('\n').map((line) => `    ${printable(line)}`)]
  return [`  ${name}: ${printable(typeof value === 'string' ? value : JSON.stringify(value))}`]
}

/** Text from a guest or a peer must not steer the terminal it is shown on. */
export function printable (text: string): string {
  // eslint-disable-next-line no-control-regex -- these are the characters to be made visible
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`)
}

/** Columns of text, left-aligned; the header in the first row. */
export function table (rows: string[][]): string {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? []
  return rows.map((row) => row.map((cell, column) => column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0)).join('  ').trimEnd()).join('\n')
}
