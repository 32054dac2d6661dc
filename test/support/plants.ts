/** Real plants as processes, and the command line run against them as a user would. */
import { spawn, type ChildProcess } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, readlinkSync, renameSync, rmSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

const ROOT = new URL('../../', import.meta.url).pathname
const MAIN = join(ROOT, 'node/main.ts')

/** How a command ended; `json` is its standard output parsed, undefined when it is no JSON. */
export interface CliResult { status: number, stdout: string, stderr: string, json: ReturnType<typeof JSON.parse> }

export interface CliOptions { api?: string, key?: string, input?: string, signal?: AbortSignal, /** Runs the command by another. */ wrap?: (command: string[]) => string[] }

export interface TestPlant {
  readonly dataDir: string
  readonly process: ChildProcess
  readonly peerId: string
  readonly addresses: string[]
  readonly api: string
  /** What it wrote to stderr so far. */
  log (): string
  /** Runs `plantmesh …` against this plant, with the key of the test unless told otherwise. */
  cli (args: string[], options?: CliOptions): Promise<CliResult>
  kill (signal: NodeJS.Signals): Promise<void>
}

/** A directory of this test's, removed at the end by `cleanUp`. */
export class TestHost {
  readonly dir = mkdtempSync(join(tmpdir(), 'pm-'))
  readonly plants: TestPlant[] = []
  #count = 0

  key (name: string): string { return join(this.dir, 'keys', name, 'key') }

  /** Starts a plant; `dataDir` of an earlier one starts that again. */
  async plant (options: { dataDir?: string, bootstrap?: string[], args?: string[], golden?: boolean, wrap?: (command: string[]) => string[] } = {}): Promise<TestPlant> {
    const dataDir = options.dataDir ?? join(this.dir, `p${++this.#count}`)
    const golden = options.golden === false ? [] : ['--import', await tinyWarehouse()]
    const args = ['up', '--data', dataDir, '--listen', '/ip4/127.0.0.1/tcp/0', '--no-mdns', '--with-parent', ...(options.bootstrap ?? []).flatMap((a) => ['--bootstrap', a]), ...golden, ...(options.args ?? [])]
    const plant = await startPlant(dataDir, args, this.key('owner'), options.wrap)
    this.plants.push(plant)
    return plant
  }

  /** `count` plants that know each other. */
  async mesh (count: number, args: string[] = []): Promise<TestPlant[]> {
    const first = await this.plant({ args })
    const rest = await Promise.all(Array.from({ length: count - 1 }, async () => this.plant({ bootstrap: first.addresses, args })))
    const all = [first, ...rest]
    await until(async () => (await Promise.all(all.map(async (p) => p.cli(['plants', '--json'])))).every((r) => r.json.length === count), 20_000, 'the plants see each other')
    return all
  }

  /** Collects all that is left and stops everything. */
  async cleanUp (): Promise<void> {
    for (const plant of this.plants) {
      if (plant.process.exitCode !== null || plant.process.signalCode !== null) continue
      await plant.kill('SIGTERM')
    }
    for (const pid of machinesOf(this.dir)) process.kill(pid, 'SIGKILL')
    rmSync(this.dir, { recursive: true, force: true })
  }
}

async function startPlant (dataDir: string, args: string[], key: string, wrap: (command: string[]) => string[] = (command) => command): Promise<TestPlant> {
  const [program = '', ...rest] = wrap([process.execPath, MAIN, ...args])
  const child = spawn(program, rest, { stdio: ['pipe', 'pipe', 'pipe'] })
  let log = ''
  child.stderr.on('data', (bytes: Buffer) => { log = (log + bytes.toString()).slice(-100_000) })
  const lines = createInterface({ input: child.stdout })
  const ready = await new Promise<{ peerId: string, addresses: string[], api: string }>((resolve, reject) => {
    lines.on('line', (line) => { if (line.startsWith('ready ')) resolve(JSON.parse(line.slice(6))) })
    child.once('exit', (status, signal) => { reject(new Error(`the plant ended (${status ?? signal}): ${log}`)) })
  })
  return {
    ...ready,
    dataDir,
    process: child,
    log: () => log,
    cli: async (cliArgs, options = {}) => cli(cliArgs, { api: ready.api, key: options.key ?? key, ...options }),
    async kill (signal) {
      if (child.exitCode !== null || child.signalCode !== null) return
      const gone = once(child, 'exit')
      child.kill(signal)
      await gone
    }
  }
}

/** Runs the command line to its end. */
export async function cli (args: string[], options: CliOptions = {}): Promise<CliResult> {
  const command = [process.execPath, MAIN, ...args]
  const [program = '', ...rest] = options.wrap?.(command) ?? command
  const child = spawn(program, rest, {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, ...(options.api !== undefined && { PLANTMESH_API: options.api }), ...(options.key !== undefined && { PLANTMESH_KEY: options.key }) }
  })
  options.signal?.addEventListener('abort', () => { child.kill('SIGINT') })
  const out: Buffer[] = []
  const err: Buffer[] = []
  child.stdout.on('data', (b: Buffer) => { out.push(b) })
  child.stderr.on('data', (b: Buffer) => { err.push(b) })
  child.stdin.on('error', () => {})
  child.stdin.end(options.input ?? '')
  const [status, signal] = await once(child, 'close') as [number | null, string | null]
  const stdout = Buffer.concat(out).toString()
  let json: unknown
  try { json = JSON.parse(stdout) } catch { json = undefined }
  return { status: status ?? (signal === 'SIGINT' ? 130 : 255), stdout, stderr: Buffer.concat(err).toString(), json }
}

/** Waits for a condition; fails after the time with its name. */
export async function until (condition: () => boolean | Promise<boolean>, withinMs: number, what: string): Promise<void> {
  const end = Date.now() + withinMs
  while (!await condition()) {
    if (Date.now() > end) throw new Error(`not within ${withinMs} ms: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

/** Pids of VMMs that work in this directory or were started with files of it. */
export function machinesOf (dir: string): number[] {
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number).filter((pid) => {
    try {
      const line = readFileSync(`/proc/${pid}/cmdline`, 'latin1')
      return line.includes('qemu-system') && (line.includes(dir) || readlinkSync(`/proc/${pid}/cwd`).startsWith(dir))
    } catch {
      return false // It ended meanwhile.
    }
  })
}

/** How warehouses keep golden machines: raised when that changes, as one that is kept is read by plants of today. */
const SHELF = 'packs'

let warehouse: Promise<string> | undefined

/** A warehouse that holds `tiny`, built once for all tests with the real command and kept until the sources of the image change. */
export async function tinyWarehouse (): Promise<string> {
  return (warehouse ??= buildWarehouse())
}

async function buildWarehouse (): Promise<string> {
  const cache = join(process.env['PLANTMESH_CACHE'] ?? join(homedir(), '.cache', 'plantmesh'), 'test')
  const kept = join(cache, `tiny-${SHELF}-${imageHash()}`)
  if (existsSync(kept)) return join(kept, 'warehouse')
  mkdirSync(cache, { recursive: true })
  const dataDir = mkdtempSync(join(cache, 'building-'))
  const plant = await startPlant(dataDir, ['up', '--data', dataDir, '--listen', '/ip4/127.0.0.1/tcp/0', '--no-mdns', '--with-parent'], join(dataDir, 'client', 'key'))
  const built = await plant.cli(['golden', 'build', 'tiny', '--json'])
  await plant.kill('SIGTERM')
  if (built.status !== 0) throw new Error(`tiny could not be built: ${built.stdout}${built.stderr}`)
  try {
    renameSync(dataDir, kept)
  } catch {
    rmSync(dataDir, { recursive: true, force: true }) // Another test run was first: either will do.
  }
  return join(kept, 'warehouse')
}

function imageHash (): string {
  const hash = createHash('sha256')
  const walk = (dir: string): void => {
    for (const entry of readdirSync(dir, { withFileTypes: true }).sort((a, b) => a.name < b.name ? -1 : 1)) {
      const path = join(dir, entry.name)
      if (entry.isDirectory()) walk(path)
      else hash.update(entry.name).update(readFileSync(path))
    }
  }
  walk(join(ROOT, 'node/lines/qemu'))
  return hash.digest('hex').slice(0, 16)
}
