/** `plantmesh proxy` as a user starts it. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { TestPlant } from './plants.ts'

const MAIN = join(import.meta.dirname, '../../node/main.ts')

export interface TestProxy {
  readonly process: ChildProcess
  /** What it says when it is ready: with --json that is all there is on its standard output. */
  readonly ready: { network: string, networkId: string, address?: string, socks?: string, published?: Array<{ at: string }>, tap?: string, mac?: string }
  /** What it wrote to stderr so far. */
  log (): string
  /** Ends it as Ctrl-C does; gives its exit status. */
  stop (): Promise<number | null>
}

/** Starts one with this plant and key; throws with what it said when it is not ready. */
export async function startProxy (plant: TestPlant, key: string, args: string[], wrap: (command: string[]) => string[] = (command) => command): Promise<TestProxy> {
  const [program = '', ...rest] = wrap([process.execPath, MAIN, 'proxy', ...args, '--json'])
  const child = spawn(program, rest, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, PLANTMESH_API: plant.api, PLANTMESH_KEY: key } })
  let log = ''
  child.stderr.on('data', (bytes: Buffer) => { log = (log + bytes.toString()).slice(-100_000) })
  const gone = once(child, 'exit') as Promise<[number | null]>
  const ready = await new Promise<TestProxy['ready']>((resolve, reject) => {
    let said = ''
    createInterface({ input: child.stdout }).on('line', (line) => {
      said += line
      const value = JSON.parse(line) as TestProxy['ready'] & { error?: unknown }
      if (value.error === undefined) resolve(value)
    })
    void gone.then(([status]) => { reject(new Error(`the proxy ended (${status}): ${said} ${log}`)) })
  })
  return {
    process: child,
    ready,
    log: () => log,
    async stop () {
      child.kill('SIGINT')
      return (await gone)[0]
    }
  }
}
