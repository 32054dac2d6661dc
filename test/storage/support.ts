/** Directories and processes for the tests of storage; gone after each test. */
import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach } from 'vitest'

export { quietLog, FakeStandingClock, keys, machineRecord, descriptionOf } from './records-support.ts'

const undo: Array<() => Promise<void>> = []
afterEach(async () => { for (const work of undo.splice(0).reverse()) await work() })

export async function tempDir (): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'plantmesh-storage-'))
  undo.push(async () => rm(dir, { recursive: true, force: true }))
  return dir
}

export interface Child { process: ChildProcess, lines: AsyncIterableIterator<string>, exited: Promise<number | null> }

/**
 * Runs a script of this directory in a process of its own. With `fileBlocksMax` no file of it can grow beyond so many blocks (RLIMIT_FSIZE,
 * 512 or 1,024 bytes each, as the shell has it): Node ignores the signal, so writes fail as they do under a quota. With `disk` that directory is a
 * disk of its own, in a mount namespace, which needs no root where user namespaces are allowed.
 */
export function child (script: string, args: string[], limit: { fileBlocksMax?: number, disk?: { dir: string, MiB: number } } = {}): Child {
  const command = [process.execPath, join(import.meta.dirname, script), ...args]
  const shell = ['/bin/sh', '-c', `ulimit -f ${limit.fileBlocksMax ?? 'unlimited'}; exec "$0" "$@"`]
  const mounted = ['unshare', '-rm', '/bin/sh', '-c', `mkdir -p ${limit.disk?.dir} && mount -t tmpfs -o size=${limit.disk?.MiB}m none ${limit.disk?.dir} && exec "$0" "$@"`]
  const [program = '', ...rest] = limit.disk !== undefined ? [...mounted, ...command] : limit.fileBlocksMax === undefined ? command : [...shell, ...command]
  const process_ = spawn(program, rest, { stdio: ['ignore', 'pipe', 'inherit'] })
  const exited = new Promise<number | null>((resolve) => { process_.once('exit', (status) => { resolve(status) }) })
  undo.push(async () => {
    process_.kill('SIGKILL')
    await exited
  })
  return { process: process_, lines: createInterface({ input: process_.stdout })[Symbol.asyncIterator](), exited }
}
