/** A network of its own for a test: programs in new namespaces, where everybody may be root. */
import { spawn, spawnSync } from 'node:child_process'
import { join } from 'node:path'

/** Runs a program beside this file in a network namespace of its own; its last line on stdout, as JSON. */
export async function inOwnNetwork (file: string, args: string[] = []): Promise<unknown> {
  return await lastLine(['unshare', '-rn', process.execPath, join(import.meta.dirname, file), ...args])
}

/** The last line that a command prints, as JSON; rejects with what it said on stderr when it fails. */
export async function lastLine ([command = '', ...args]: string[], options: { uid?: number } = {}): Promise<unknown> {
  return await new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options })
    const [out, errors]: [string[], string[]] = [[], []]
    child.stdout.setEncoding('utf8').on('data', (text: string) => { out.push(text) })
    child.stderr.setEncoding('utf8').on('data', (text: string) => { errors.push(text) })
    child.on('error', reject)
    child.on('close', (status) => {
      if (status === 0) resolve(JSON.parse(out.join('').trim().split('\n').at(-1) ?? ''))
      else reject(new Error(`${command} ended with ${status}: ${errors.join('').slice(-2_000)}`))
    })
  })
}

/** `ip …`, which must succeed. */
export function ip (line: string): string {
  const { status, stdout, stderr } = spawnSync('ip', line.split(' '), { encoding: 'utf8' })
  if (status !== 0) throw new Error(`ip ${line}: ${stderr}`)
  return stdout
}

/** Throws unless this process is in a new network namespace: what a child sets up must never be the host's. */
export function assertOwnNetwork (): void {
  const up = ip('-br link show up').trim()
  if (up !== '') throw new Error(`not in a network namespace of its own: ${up.split(/\s/)[0]} is up`)
}
