/** `npm start`: everything set up, a small mesh on this machine, a machine from the sample order (CONTRACT.md, Commands). */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { cpus, freemem } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Command } from 'commander'
import { PlantError, keyIdOf } from '../../protocols/kit/index.ts'
import type { MachineView } from '../../protocols/machine/index.ts'
import { ensureQemu } from '../setup/qemu.ts'
import { apiClient, type ApiClient } from './api-client.ts'
import { clientOptions, runCommand, type Context } from './context.ts'
import { orderCredentials } from './domain-keys.ts'
import { machineText } from './machine-text.ts'
import { readOrders } from './order-files.ts'
import { whyText } from './why-text.ts'

const PLANTS_MAX = 32
const SAMPLE = fileURLToPath(new URL('./sample-order.yaml', import.meta.url))
const MAIN = fileURLToPath(new URL('../main.ts', import.meta.url))
/** A plant is up within a second; one that adopts many machines takes longer. */
const READY_TIMEOUT_MS = 60_000
/** A plant that collects some machines takes a second or two. */
const STOP_TIMEOUT_MS = 30_000

export function startCommand (program: Command): void {
  clientOptions(program.command('start').description('set everything up, run some plants on this machine, make a machine from the sample order'))
    .option('--once', 'collect the machine, stop the plants and exit')
    .option('--plants <n>', 'how many plants', Number, 3)
    .addHelpText('after', '\nExample:\n  plantmesh start --once')
    .action(async (options) => runCommand(options, async (c) => start(c, options)))
}

interface PlantProcess { process: ChildProcess, dataDir: string, ready: { peerId: string, addresses: string[], api: string } }

async function start (c: Context, options: { once?: boolean, plants: number }): Promise<void> {
  const count = options.plants
  if (!Number.isSafeInteger(count) || count < 1 || count > PLANTS_MAX) throw new PlantError('USAGE', { option: '--plants', found: String(count), allowed: `1 to ${PLANTS_MAX}` })
  const step = (text: string): void => { c.out.note(`• ${text}`) }
  const qemu = await ensureQemu({ dataDir: c.dataDir, onStep: (text) => { c.out.note(`  ${text}`) }, signal: c.signal })
  step(`virtual machine monitor: ${qemu.how}`)
  const plants: PlantProcess[] = []
  try {
    plants.push(await startPlant(c, 1, count, []))
    const api = apiClient(plants[0]?.ready.api ?? '')
    const { accelerator } = await api.get('/v1/self', c.signal)
    step(accelerator === 'tcg' ? 'KVM does not work here (plantmesh doctor says why): machines are emulated, some ten times slower' : `accelerator: ${String(accelerator)}`)
    await haveTiny(c, api, step)
    const first = plants[0] as PlantProcess
    const started = await Promise.allSettled(Array.from({ length: count - 1 }, async (_, i) =>
      startPlant(c, i + 2, count, ['--bootstrap', first.ready.addresses[0] ?? '', '--import', join(first.dataDir, 'warehouse')])))
    // Those that did start are stopped again even when another did not.
    for (const one of started) if (one.status === 'fulfilled') plants.push(one.value)
    for (const one of started) if (one.status === 'rejected') throw one.reason
    await meshComplete(c, api, count)
    step(`${count} ${count === 1 ? 'plant' : 'plants'} found each other: ${plants.map((p) => p.ready.peerId.slice(-8)).join(', ')}`)
    const machine = await sampleMachine(c, api, step)
    if (options.once === true) {
      await api.lines('/v1/calls', { signedCall: await c.sign({ kind: 'collect', vmId: machine.vmid as never, body: {} }, api) }, () => {}, c.signal)
      step('machine collected')
      return
    }
    c.out.note(whatToTry(plants, machine))
    await new Promise((resolve) => { c.signal.addEventListener('abort', resolve, { once: true }) })
  } finally {
    step('stopping the plants')
    await Promise.all(plants.map(stopPlant))
  }
}

async function startPlant (c: Context, number: number, of: number, more: string[]): Promise<PlantProcess> {
  const dataDir = join(c.dataDir, 'plants', String(number))
  const share = { cpus: Math.max(1, Math.floor(4 * cpus().length / of)), memoryMiB: Math.max(512, Math.floor(freemem() / 2 ** 20 * 0.7 / of)) }
  const child = spawn(process.execPath, [MAIN, 'up', '--data', dataDir, '--listen', '/ip4/127.0.0.1/tcp/0', '--no-mdns', '--collect-on-exit', '--with-parent', '--log-level', 'error',
    '--capacity', `cpus=${share.cpus},memoryMiB=${share.memoryMiB}`, ...more], { stdio: ['pipe', 'pipe', 'inherit'], detached: true })
  try {
    return { process: child, dataDir, ready: await readyLine(child, c.signal) }
  } catch (error) {
    child.kill('SIGTERM')
    throw error
  }
}

async function readyLine (child: ChildProcess, signal: AbortSignal): Promise<PlantProcess['ready']> {
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream })
  const limit = AbortSignal.any([signal, AbortSignal.timeout(READY_TIMEOUT_MS)])
  const ready = new Promise<PlantProcess['ready']>((resolve, reject) => {
    lines.on('line', (line) => { if (line.startsWith('ready ')) resolve(JSON.parse(line.slice(6)) as PlantProcess['ready']) })
    child.once('exit', (status) => { reject(new PlantError('SETUP_FAILED', { problem: 'a plant ended while it was starting', status })) })
    limit.addEventListener('abort', () => { reject(signal.aborted ? signal.reason : new PlantError('SETUP_FAILED', { problem: 'a plant was not ready in time', timeoutMs: READY_TIMEOUT_MS })) }, { once: true })
  })
  return ready
}

async function stopPlant (plant: PlantProcess): Promise<void> {
  if (plant.process.exitCode !== null || plant.process.signalCode !== null) return
  const gone = once(plant.process, 'exit')
  plant.process.kill('SIGTERM')
  const timer = setTimeout(() => { plant.process.kill('SIGKILL') }, STOP_TIMEOUT_MS)
  await gone
  clearTimeout(timer)
}

async function haveTiny (c: Context, api: ApiClient, step: (text: string) => void): Promise<void> {
  const { golden } = await api.get('/v1/golden', c.signal) as { golden: Array<{ name: string }> }
  if (golden.some((g) => g.name === 'tiny')) {
    step('golden machine tiny is there')
    return
  }
  step('building the golden machine tiny')
  await api.lines('/v1/golden', { name: 'tiny' }, (event) => { c.out.progress(String(event['step']), Number(event['share'])) }, c.signal)
  c.out.settle()
}

async function meshComplete (c: Context, api: ApiClient, count: number): Promise<void> {
  const limit = AbortSignal.any([c.signal, AbortSignal.timeout(READY_TIMEOUT_MS)])
  for (;;) {
    const { plants } = await api.get('/v1/plants', limit) as { plants: Array<{ ad: { GoldenMachines?: unknown[] } }> }
    if (plants.length >= count && plants.every((p) => (p.ad.GoldenMachines?.length ?? 0) > 0)) return
    await new Promise((resolve) => setTimeout(resolve, 100))
    limit.throwIfAborted()
  }
}

async function sampleMachine (c: Context, api: ApiClient, step: (text: string) => void): Promise<MachineView> {
  const [document] = (await readOrders(SAMPLE)).orders
  if (document === undefined) throw new PlantError('INTERNAL', { problem: 'no sample order' })
  const orderId = `sample-${Date.now().toString(36)}`
  step(`ordering a machine from the sample order, as ${keyIdOf((await c.signer()).publicKey).slice(-8)}`)
  const signedOrder = await c.sign({ kind: 'order', body: { orderId, documentIndex: 0, copyIndex: 0, order: document, ...await orderCredentials(c, document.domain) } }, api)
  const machine = await api.lines('/v1/orders', { signedOrder }, (event) => {
    if (event['event'] === 'progress') c.out.progress(String(event['step']), Number(event['share']))
  }, c.signal) as MachineView
  c.out.settle()
  const decision = await api.post('/v1/why', { signedCall: await c.sign({ kind: 'why', body: { orderId } }, api) }, c.signal)
  // Where the time went is told with the decision.
  c.out.answer(c.out.json ? { machine, decision } : machine, `${whyText(decision)}\n\n${machineText({ ...machine, phasesMs: {} })}`)
  return machine
}

function whatToTry (plants: PlantProcess[], machine: MachineView): string {
  const cli = 'npx --no-install plantmesh'
  return ['', 'The plants stay up; Ctrl-C collects the machines and stops them. Try in another terminal:', '',
    `  export PLANTMESH_API=${plants[1]?.ready.api ?? plants[0]?.ready.api ?? ''}`,
    `  ${cli} plants`, `  ${cli} exec ${machine.vmid} -- cat /etc/motd`, `  ${cli} console ${machine.vmid}`,
    `  ${cli} golden publish ${machine.vmid} --name workspace   # plantmesh why shows that the next such order skips its actions`,
    `  ${cli} create -f node/cli/sample-order.yaml --count 4`, `  ${cli} collect ${machine.vmid}`].join('\n')
}
