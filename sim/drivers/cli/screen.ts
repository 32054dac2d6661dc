/** What the commands show: progress, tables, and scenarios that are not valid. Answers on stdout, all else on stderr. */
import cliProgress from 'cli-progress'
import { PlantError } from '../../../protocols/kit/index.ts'

/** A bar with the time that is left, on a terminal; elsewhere a line each time another tenth is done. */
export class Progress {
  #bar: cliProgress.SingleBar | undefined
  #tenth = 0
  readonly #sinceMs = Date.now()

  update (share: number, text: string): void {
    if (process.stderr.isTTY) this.#draw(share, text)
    else if (Math.floor(share * 10) > this.#tenth) {
      this.#tenth = Math.floor(share * 10)
      process.stderr.write(`  ${this.#tenth * 10} %, ${text}, ${duration(this.#leftMs(share))} left\n`)
    }
  }

  end (): void {
    this.#bar?.stop()
    this.#bar = undefined
  }

  #leftMs (share: number): number { return share <= 0 ? NaN : (Date.now() - this.#sinceMs) * (1 - share) / share }

  #draw (share: number, text: string): void {
    const shown = { text, left: duration(this.#leftMs(share)) }
    if (this.#bar === undefined) {
      this.#bar = new cliProgress.SingleBar({ format: '  {bar} {percentage}%  {text}, {left} left', stream: process.stderr, clearOnComplete: true, hideCursor: true }, cliProgress.Presets.shades_classic)
      this.#bar.start(1_000, 0, shown)
    }
    this.#bar.update(Math.round(share * 1_000), shown)
  }
}

/** `1 h 5 min`, `40 s`; `?` while it cannot be told. */
export function duration (ms: number): string {
  if (!Number.isFinite(ms)) return '?'
  const s = Math.round(ms / 1_000)
  if (s < 60) return `${s} s`
  return s < 3_600 ? `${Math.floor(s / 60)} min ${s % 60} s` : `${Math.floor(s / 3_600)} h ${Math.floor(s % 3_600 / 60)} min`
}

/** The first Ctrl-C ends what runs and keeps what is done, the second ends the program at once. Returns what stops listening. */
export function onInterrupt (): { signal: AbortSignal, end: () => void } {
  const abort = new AbortController()
  const stop = (): void => {
    if (abort.signal.aborted) process.exit(130)
    process.stderr.write('\ninterrupted: keeping the runs that are done (again to stop at once)\n')
    abort.abort()
  }
  process.on('SIGINT', stop)
  process.on('SIGTERM', stop)
  return {
    signal: abort.signal,
    end: () => {
      process.off('SIGINT', stop)
      process.off('SIGTERM', stop)
    }
  }
}

/** Tells on stderr which jobs of traces nobody will order. */
export function tellLeftOut (leftOut: Readonly<Record<string, number>>): void {
  for (const [file, jobs] of Object.entries(leftOut)) {
    const them = jobs === 1 ? 'it' : 'them'
    process.stderr.write(`${printable(file)}: ${jobs} ${jobs === 1 ? 'job is' : 'jobs are'} left out, as the trace gives no run time, no processors or no time of submission for ${them}, or has a line that sums ${them} up
`)
  }
}

/** Columns of text, made printable, the first left and the others right; the header in the first row. */
export function columns (texts: readonly string[][]): string {
  const rows = texts.map((row) => row.map(printable))
  const widths = (rows[0] ?? []).map((_, column) => rows.reduce((max, row) => Math.max(max, row[column]?.length ?? 0), 0))
  return rows.map((row) => row.map((cell, column) => column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)).join('  ').trimEnd()).join('\n')
}

/** Runs a command's action; without `--json`, a scenario that is not valid is told problem by problem. Other errors are the program's to print. */
export async function shown (json: boolean, action: () => Promise<void>): Promise<void> {
  try {
    await action()
  } catch (error) {
    if (json || !(error instanceof PlantError) || error.code !== 'SCENARIO_INVALID') throw error
    process.stderr.write(problemsText(error))
    process.exitCode = error.exit
  }
}

function problemsText ({ details }: PlantError): string {
  const problems = Array.isArray(details['problems']) ? details['problems'] as Array<{ path: string, found: string, allowed: string, message: string, line?: number }> : []
  const file = typeof details['file'] === 'string' ? details['file'] : 'the scenario'
  const lines = problems.map(({ path, found, allowed, message, line }) => `  ${line === undefined ? '' : `line ${line}: `}${printable(`${path === '' ? 'the file' : path} ${message}`)}\n      found ${printable(found)}\n      allowed: ${printable(allowed)}`)
  const more = typeof details['more'] === 'number' ? `\n  and ${details['more']} more` : ''
  return `plantmesh: ${printable(file)} is not valid (SCENARIO_INVALID)\n${lines.join('\n')}${more}\n`
}

/** Text from a file - titles, names of cases, problems - must not steer the terminal that it is shown on, nor look like lines of ours. */
export function printable (text: string): string {
  // eslint-disable-next-line no-control-regex -- these are the characters to be made visible
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, (c) => c.charCodeAt(0) < 256 ? `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}` : `\\u${c.charCodeAt(0).toString(16)}`)
}
