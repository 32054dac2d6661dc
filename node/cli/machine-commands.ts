/** create, query, list, collect, exec, console, why: CONTRACT.md, Commands. */
import { randomUUID } from 'node:crypto'
import type { Command } from 'commander'
import { PlantError, asPlantError, keyIdOf, type VmId } from '../../protocols/kit/index.ts'
import type { MachineView } from '../../protocols/machine/index.ts'
import { vmIdOf } from '../../protocols/order/index.ts'
import { clientOptions, runCommand, vmIdArgument, type Context } from './context.ts'
import { orderCredentials } from './domain-keys.ts'
import { machineText, machinesTable } from './machine-text.ts'
import { readOrders } from './order-files.ts'
import { openConsole } from './console.ts'
import { printable } from './output.ts'
import { whyText } from './why-text.ts'

/** Machines that one create asks for at once; the rest follow as they end. */
const CREATE_AT_ONCE_MAX = 16
const COUNT_MAX = 10_000
/** What a signed order takes. */
const ID_CHARS_MAX = 253
const CLEAN_UP_TIMEOUT_MS = 15_000

export function machineCommands (program: Command): void {
  clientOptions(program.command('create').description('make the machines that an order asks for'))
    .requiredOption('-f, --file <order>', 'order file (YAML, JSON or XML; - for standard input)')
    .option('--count <n>', 'how many of each', wholeNumber, 1)
    .option('--id <id>', 'the order\'s id: asked twice, it is made once (default: a new one)')
    .option('--strict', 'refuse rather than make a provisional machine while the mesh is cut')
    .addHelpText('after', '\nExample:\n  plantmesh create -f order.yaml --id homework-3')
    .action(async (options) => runCommand(options, async (c) => create(c, options)))

  clientOptions(program.command('query').description('show a machine').argument('<vmid>'))
    .addHelpText('after', '\nExample:\n  plantmesh query 0123456789abcdef0123456789abcdef --json')
    .action(async (vmid, options) => runCommand(options, async (c) => {
      const machine = await machineCall(c, 'query', vmid)
      c.out.answer(machine, machineText(machine))
    }))

  clientOptions(program.command('list').description('every machine of the mesh that you may see'))
    .option('--all', 'collected ones too')
    .addHelpText('after', '\nExample:\n  plantmesh list --json')
    .action(async (options) => runCommand(options, async (c) => {
      const { machines } = await listMachines(c, options.all === true)
      c.out.answer(machines, machinesTable(machines))
    }))

  clientOptions(program.command('collect').description('destroy machines').argument('[vmid...]'))
    .option('--all', 'every machine that you own')
    .addHelpText('after', '\nExample:\n  plantmesh collect 0123456789abcdef0123456789abcdef')
    .action(async (vmids, options) => runCommand(options, async (c) => collect(c, vmids, options.all === true)))

  clientOptions(program.command('exec').description('run a command in the guest; its exit status is ours').argument('<vmid>').argument('<command...>'))
    .option('--timeout <ms>', `end it after so many milliseconds, ${EXEC_TIMEOUT_MS_MAX} (a day) at most`, execTimeoutMs, 600_000)
    .option('--stdin', 'feed it our standard input (1 MiB at most)')
    .addHelpText('after', '\nExample:\n  plantmesh exec 0123456789abcdef0123456789abcdef -- uname -a')
    .action(async (vmid, command, options) => runCommand(options, async (c) => exec(c, vmid, command, options)))

  clientOptions(program.command('console').description('the serial console; Ctrl-] leaves').argument('<vmid>'))
    .addHelpText('after', '\nExample:\n  plantmesh console 0123456789abcdef0123456789abcdef')
    .action(async (vmid, options) => runCommand(options, async (c) => openConsole(c, vmIdArgument(vmid))))

  clientOptions(program.command('why').description('how an order was decided').argument('<order-id>'))
    .addHelpText('after', '\nExample:\n  plantmesh why homework-3')
    .action(async (orderId, options) => runCommand(options, async (c) => {
      const decision = await c.api.post('/v1/why', { signedCall: await c.sign({ kind: 'why', body: { orderId } }) }, c.signal)
      c.out.answer(decision, whyText(decision))
    }))
}

/** CONTRACT.md: no command takes longer than a day. */
const EXEC_TIMEOUT_MS_MAX = 86_400_000

function execTimeoutMs (text: string): number {
  const ms = wholeNumber(text)
  if (ms > EXEC_TIMEOUT_MS_MAX) throw new PlantError('USAGE', { option: '--timeout', found: text, allowed: `1 to ${EXEC_TIMEOUT_MS_MAX} milliseconds` })
  return ms
}

function wholeNumber (text: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 1) throw new PlantError('USAGE', { found: text, allowed: 'a whole number of at least 1' })
  return value
}

async function create (c: Context, options: { file: string, count: number, id?: string, strict?: boolean }): Promise<number> {
  if (options.count > COUNT_MAX) throw new PlantError('USAGE', { option: '--count', found: options.count, allowed: `at most ${COUNT_MAX}` })
  if (options.id !== undefined && (options.id === '' || options.id.length > ID_CHARS_MAX)) throw new PlantError('USAGE', { option: '--id', allowed: `1 to ${ID_CHARS_MAX} characters` })
  const documents = await readOrders(options.file)
  const orderId = options.id ?? randomUUID()
  const owner = keyIdOf((await c.signer()).publicKey)
  const begun: VmId[] = []
  const jobs = documents.flatMap((document, documentIndex) => Array.from({ length: options.count }, (_, copyIndex) => ({ document, documentIndex, copyIndex })))
  const single = jobs.length === 1
  if (!c.out.json) c.out.note(`order ${printable(orderId)}`)
  const machines: MachineView[] = []
  const failures: Array<{ documentIndex: number, copyIndex: number, error: ReturnType<PlantError['report']> }> = []
  const queue = jobs.values()
  const worker = async (): Promise<void> => {
    for (const { document, documentIndex, copyIndex } of queue) {
      if (c.signal.aborted) return
      try {
        const signedOrder = await c.sign({ kind: 'order', body: { orderId, documentIndex, copyIndex, order: document, ...await orderCredentials(c, document.domain) } })
        begun.push(vmIdOf({ owner, domain: document.domain, orderId, documentIndex, copyIndex }))
        machines.push(await c.api.lines('/v1/orders', { signedOrder, strict: options.strict === true }, (event) => {
          if (single && event['event'] === 'progress') c.out.progress(printable(String(event['step'])), Number(event['share']))
        }, c.signal) as MachineView)
        if (!single) c.out.progress(`${machines.length + failures.length} of ${jobs.length} machines`, (machines.length + failures.length) / jobs.length)
      } catch (error) {
        if (c.signal.aborted) return
        if (single) throw error
        failures.push({ documentIndex, copyIndex, error: asPlantError(error).report() })
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(CREATE_AT_ONCE_MAX, jobs.length) }, worker))
  if (c.signal.aborted) throw new PlantError('INTERRUPTED', { orderId, ...await cleanUp(c, begun, options.id === undefined) })
  if (single) {
    c.out.answer(machines[0], machineText(machines[0] as MachineView))
    return 0
  }
  const text = [machinesTable(machines), ...failures.map((f) => `failed: document ${f.documentIndex}, copy ${f.copyIndex}: ${f.error.message} (${f.error.code})`)].join('\n')
  c.out.answer({ machines, failures }, text)
  return failures.length > 0 ? 1 : 0
}

/**
 * After an interruption (CONTRACT.md: 130, after cleaning up): machines of an order whose id this run made are collected, as nobody else
 * knows of it; those of an id that the user gave stay, to be asked for again, and are named.
 */
async function cleanUp (c: Context, begun: VmId[], ours: boolean): Promise<Record<string, unknown>> {
  if (!ours) return { machines: begun }
  const limit = AbortSignal.timeout(CLEAN_UP_TIMEOUT_MS)
  const left: VmId[] = []
  await Promise.all(begun.map(async (vmId) => {
    try {
      await c.api.lines('/v1/calls', { signedCall: await c.sign({ kind: 'collect', vmId, body: {} }) }, () => {}, limit)
    } catch (error) {
      if (asPlantError(error).code !== 'VM_UNKNOWN') left.push(vmId) // Unknown: it was never begun.
    }
  }))
  return left.length === 0 ? {} : { notCollected: left }
}

async function machineCall (c: Context, kind: 'query' | 'collect', vmid: string): Promise<MachineView> {
  const answer = await c.api.lines('/v1/calls', { signedCall: await c.sign({ kind, vmId: vmIdArgument(vmid), body: {} }) }, () => {}, c.signal) as { machine: MachineView }
  return answer.machine
}

/** Plants that do not answer are named on stderr: their machines may go on, unlisted. */
async function listMachines (c: Context, all: boolean): Promise<{ machines: MachineView[], silent: string[] }> {
  const machines: MachineView[] = []
  const { silent } = await c.api.lines('/v1/calls', { signedCall: await c.sign({ kind: 'list', body: { all } }) }, (event) => {
    if (event['event'] === 'machines') machines.push(...event['machines'] as MachineView[])
  }, c.signal) as { silent: Array<{ plant: string, code: string }> }
  for (const { plant, code } of silent) c.out.note(`plant ${plant} did not answer (${code}): machines that it has are not in this list`)
  return { machines: machines.sort((a, b) => a.vmid < b.vmid ? -1 : 1), silent: silent.map(({ plant }) => plant) }
}

async function collect (c: Context, vmids: string[], all: boolean): Promise<number> {
  if (all === (vmids.length > 0)) throw new PlantError('USAGE', { problem: all ? 'VMIDs and --all together' : 'neither a VMID nor --all' })
  // Machines that a grant lets us see are not ours to sweep away.
  const owner = keyIdOf((await c.signer()).publicKey)
  const listed = all ? await listMachines(c, false) : undefined
  const ids = listed?.machines.filter((m) => m.attributes['Owner'] === owner).map((m) => m.vmid) ?? vmids.map(vmIdArgument)
  const silent = listed?.silent ?? []
  const collected: MachineView[] = []
  const failures: Array<{ vmid: string, error: ReturnType<PlantError['report']> }> = []
  for (const vmid of ids) {
    try {
      collected.push(await machineCall(c, 'collect', vmid))
    } catch (error) {
      if (c.signal.aborted) throw new PlantError('INTERRUPTED', { collected: collected.map((machine) => machine.vmid), left: ids.slice(ids.indexOf(vmid)) })
      if (ids.length === 1 && !all) throw error
      failures.push({ vmid, error: asPlantError(error).report() })
    }
  }
  const text = [...collected.map((m) => `${m.vmid} collected`), ...failures.map((f) => `${f.vmid} failed: ${f.error.message} (${f.error.code})`)].join('\n')
  c.out.answer(ids.length === 1 && !all ? collected[0] : { machines: collected, failures, ...(silent.length > 0 && { silent }) }, text)
  return failures.length + silent.length > 0 ? 1 : 0
}

/** The guest's shell gets the words quoted, so that they arrive as they were typed; one word alone is taken as shell text. */
function shellText (words: string[]): string {
  return words.length === 1 ? words[0] ?? '' : words.map((word) => `'${word.replaceAll('\'', '\'\\\'\'')}'`).join(' ')
}

async function exec (c: Context, vmid: string, command: string[], options: { timeout: number, stdin?: boolean, json?: boolean }): Promise<number> {
  const stdin = options.stdin === true ? await readStdin() : undefined
  const output = tailBuffer(OUTPUT_KEPT_BYTES_MAX)
  const body = { script: shellText(command), timeoutMs: options.timeout, ...(stdin !== undefined && { stdin }) }
  try {
    const answer = await c.api.lines('/v1/calls', { signedCall: await c.sign({ kind: 'exec', vmId: vmIdArgument(vmid), body }) }, (event) => {
      if (event['event'] !== 'output') return
      const bytes = Buffer.from(String(event['bytes']), 'base64')
      if (c.out.json) output.push(bytes)
      else (event['source'] === 'stderr' ? process.stderr : process.stdout).write(bytes)
    }, c.signal) as { status: number }
    if (c.out.json) c.out.answer({ status: answer.status, output: output.text() }, '')
    return answer.status
  } catch (error) {
    const failure = asPlantError(error)
    const { printError } = await import('./output.ts')
    printError(failure, c.out.json)
    return failure.code === 'INTERRUPTED' ? 130 : 255 // CONTRACT.md: 255 when it was not run
  }
}

/** With --json the output is held here, so only so much of its end is kept. */
const OUTPUT_KEPT_BYTES_MAX = 16 * 1024 * 1024

function tailBuffer (bytesMax: number): { push (piece: Buffer): void, text (): string } {
  let held = Buffer.alloc(0)
  let fresh: Buffer[] = []
  let freshBytes = 0
  const fold = (): void => {
    held = Buffer.concat([held, ...fresh])
    held = held.subarray(Math.max(0, held.length - bytesMax))
    fresh = []
    freshBytes = 0
  }
  return {
    push (piece) {
      fresh.push(piece)
      freshBytes += piece.length
      if (freshBytes > bytesMax) fold() // Each byte is copied at most twice.
    },
    text () {
      fold()
      return held.toString('utf8')
    }
  }
}

async function readStdin (): Promise<Uint8Array> {
  const parts: Buffer[] = []
  let bytes = 0
  for await (const part of process.stdin) {
    bytes += (part as Buffer).length
    if (bytes > 1024 * 1024) throw new PlantError('USAGE', { option: '--stdin', allowed: 'at most 1 MiB' })
    parts.push(part as Buffer)
  }
  return Buffer.concat(parts)
}
