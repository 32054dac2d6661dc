/** create, query, list, collect, exec, console, why: CONTRACT.md, Commands. */
import type { Command } from 'commander'
import { PlantError, asPlantError, keyIdOf } from '../../protocols/kit/index.ts'
import type { MachineView } from '../../protocols/machine/index.ts'
import { clientOptions, runCommand, vmIdArgument, type Context } from './context.ts'
import { machineText, machinesTable } from './machine-text.ts'
import { openConsole } from './console.ts'
import { create } from './create.ts'
import { listMachines } from './list-machines.ts'
import { shellText } from './shell-text.ts'
import { whyText } from './why-text.ts'

export function machineCommands (program: Command): void {
  clientOptions(program.command('create').description('make the machines that an order asks for'))
    .requiredOption('-f, --file <order>', 'order or topology file (YAML, JSON or XML; - for standard input)')
    .option('--count <n>', 'how many of each', wholeNumber, 1)
    .option('--id <id>', 'the order\'s id: asked twice, it is made once (default: a new one; a topology\'s follows from what it says)')
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
    .option('--order <id>', 'those of one order or topology (create says its id)')
    .addHelpText('after', '\nExample:\n  plantmesh collect 0123456789abcdef0123456789abcdef')
    .action(async (vmids, options) => runCommand(options, async (c) => collect(c, vmids, options)))

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

async function machineCall (c: Context, kind: 'query' | 'collect', vmid: string): Promise<MachineView> {
  const answer = await c.api.lines('/v1/calls', { signedCall: await c.sign({ kind, vmId: vmIdArgument(vmid), body: {} }) }, () => {}, c.signal) as { machine: MachineView }
  return answer.machine
}

async function collect (c: Context, vmids: string[], { all = false, order }: { all?: boolean, order?: string }): Promise<number> {
  const ways = [vmids.length > 0, all, order !== undefined].filter(Boolean).length
  if (ways !== 1) throw new PlantError('USAGE', { problem: ways === 0 ? 'neither a VMID nor --all nor --order' : 'more than one of VMIDs, --all and --order' })
  // Machines that a grant lets us see are not ours to sweep away.
  const owner = keyIdOf((await c.signer()).publicKey)
  const listed = vmids.length === 0 ? await listMachines(c, false) : undefined
  const ids = listed?.machines.filter((m) => m.attributes['Owner'] === owner && (order === undefined || m.orderId === order)).map((m) => m.vmid) ?? vmids.map(vmIdArgument)
  const silent = listed?.silent ?? []
  const collected: MachineView[] = []
  const failures: Array<{ vmid: string, error: ReturnType<PlantError['report']> }> = []
  for (const vmid of ids) {
    try {
      collected.push(await machineCall(c, 'collect', vmid))
    } catch (error) {
      if (c.signal.aborted) throw new PlantError('INTERRUPTED', { collected: collected.map((machine) => machine.vmid), left: ids.slice(ids.indexOf(vmid)) })
      if (listed === undefined && ids.length === 1) throw error
      failures.push({ vmid, error: asPlantError(error).report() })
    }
  }
  const text = [...collected.map((m) => `${m.vmid} collected`), ...failures.map((f) => `${f.vmid} failed: ${f.error.message} (${f.error.code})`)].join('\n')
  c.out.answer(listed === undefined && ids.length === 1 ? collected[0] : { machines: collected, failures, ...(silent.length > 0 && { silent }) }, text)
  return failures.length + silent.length > 0 ? 1 : 0
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
