/** Runs a program of the host and keeps a bounded end of what it printed. */
import { spawn } from 'node:child_process'
import { PlantError } from '../../protocols/kit/index.ts'
import type { ErrorCode } from '../../protocols/kit/index.ts'

/** How much of a tool's error output an error carries. */
const TAIL_BYTES = 8 * 1024
/** More standard output than this is refused: the largest asked for is a list of a few hundred packages. */
const OUTPUT_BYTES_MAX = 16 * 1024 * 1024

export interface ToolOptions {
  cwd?: string
  env?: NodeJS.ProcessEnv
  /** Written to standard input, which is then closed. */
  input?: Uint8Array | string
  signal?: AbortSignal | undefined
  /** Called with each line of standard output; then nothing is returned. */
  onLine?: (line: string) => void
  /** The code of the error when the program fails or is missing. */
  failure?: ErrorCode
}

/**
 * Runs `command` and returns its standard output. Throws `failure` (SETUP_FAILED unless told otherwise) with the command and the end of
 * what it printed when it is missing or ends with another status than 0, or the signal's reason; the process is gone by then.
 */
export async function runTool (command: string, args: string[], options: ToolOptions = {}): Promise<string> {
  options.signal?.throwIfAborted()
  const fail = (details: Record<string, unknown>, cause?: unknown): PlantError =>
    new PlantError(options.failure ?? 'SETUP_FAILED', { command: [command, ...args].join(' '), ...details }, { cause })
  const child = spawn(command, args, { cwd: options.cwd, env: options.env ?? process.env, stdio: ['pipe', 'pipe', 'pipe'] })
  const kill = (): void => { child.kill('SIGKILL') }
  options.signal?.addEventListener('abort', kill)
  let out = ''
  let err = ''
  let tooLong = false
  child.stdout.setEncoding('utf8').on('data', (piece: string) => {
    out += piece
    if (options.onLine !== undefined) {
      const lines = out.split('\n')
      out = (lines.pop() ?? '').slice(-TAIL_BYTES)
      for (const line of lines) options.onLine(line)
    } else if (out.length > OUTPUT_BYTES_MAX) {
      tooLong = true
      kill()
    }
  })
  child.stderr.setEncoding('utf8').on('data', (piece: string) => { err = (err + piece).slice(-TAIL_BYTES) })
  // A tool that ends without reading its input is judged by its exit status, not by the broken pipe.
  child.stdin.on('error', () => {}).end(options.input ?? '')
  try {
    const status = await new Promise<number>((resolve, reject) => {
      child.on('error', reject)
      child.on('close', (code, signal) => { resolve(code ?? (signal === null ? 1 : 128)) })
    }).catch((cause: unknown) => { throw fail({ problem: 'the program could not be started' }, cause) })
    options.signal?.throwIfAborted()
    if (tooLong) throw fail({ problem: 'it printed too much' })
    if (status !== 0) throw fail({ status, output: (err || out).slice(-TAIL_BYTES) })
    return out
  } finally {
    options.signal?.removeEventListener('abort', kill)
  }
}
