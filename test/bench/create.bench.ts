/**
 * What a creation costs on this host (issue: The checks): a clone against the cold boot of the same guest and against bare `qemu -incoming`,
 * all until the guest answers a command; several at once; memory of its own. Ratios count, times drift.
 */
import { spawn } from 'node:child_process'
import { openSync, closeSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connectAgent, type AgentClient } from '../../node/lines/qemu/channel/agent-client.ts'
import { connectQmp } from '../../node/lines/qemu/qmp.ts'
import type { LiveMachine } from '../../node/lines/line.ts'
import type { VmId } from '../../protocols/kit/index.ts'
import { tinyGolden, TINY, type TinyGolden } from '../support/tiny.ts'

const ROUNDS = 7
const AT_ONCE = [1, 4, 8, 16]
const STATE_FD = 3
const MIB = 2 ** 20

const median = (values: number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN
let next = 0
const freshId = (): VmId => (next++).toString(16).padStart(32, 'b') as VmId
const TRUE = { script: 'true', parameters: {}, files: {}, timeoutMs: 60_000 }

async function cloneOne (tiny: TinyGolden): Promise<{ ms: number, machine: LiveMachine }> {
  const sinceMs = performance.now()
  const machine = await tiny.line.clone({ vmId: freshId(), golden: tiny.golden, goldenDir: tiny.goldenDir, mac: '02:00:00:00:00:07', diskMiB: TINY.diskMiB })
  await machine.channel('agent').run(TRUE)
  return { ms: performance.now() - sinceMs, machine }
}

interface CloneLine { program: string, args: string[], files: Record<string, Buffer> }

/** The command line of a clone, as the kernel has it: the baselines start the same QEMU with the same devices. */
async function lineOfClone (machine: LiveMachine): Promise<CloneLine> {
  const [program = '', ...args] = (await readFile(`/proc/${machine.pid}/cmdline`, 'utf8')).split('\0').slice(0, -1)
  const [overlay, kernel] = await Promise.all(['overlay.qcow2', 'kernel'].map(async (name) => readFile(`/proc/${machine.pid}/cwd/${name}`)))
  return { program, args, files: { 'overlay.qcow2': overlay as Buffer, kernel: kernel as Buffer } }
}

/** Starts QEMU by hand until its guest answers a command: from power-on, or from the suspended state. */
async function bare (of: CloneLine, state: string | undefined): Promise<number> {
  const dir = await mkdtemp(join(tmpdir(), 'pmbench-'))
  for (const [name, bytes] of Object.entries(of.files)) await writeFile(join(dir, name), bytes)
  const args = state === undefined ? of.args.filter((arg, i) => arg !== '-incoming' && of.args[i - 1] !== '-incoming') : of.args
  const fd = state === undefined ? undefined : openSync(state, 'r')
  const sinceMs = performance.now()
  const child = spawn(of.program, args, { cwd: dir, stdio: ['ignore', 'ignore', 'inherit', ...(fd === undefined ? [] : [fd])] })
  try {
    const qmp = await connectQmp(join(dir, 'qmp.sock'), { alive: () => child.exitCode === null, signal: undefined })
    if (state !== undefined) {
      await qmp.execute('migrate-set-capabilities', { capabilities: [{ capability: 'x-ignore-shared', state: true }] })
      await qmp.execute('migrate-incoming', { uri: `fd:${STATE_FD}` })
      while ((await qmp.execute('query-status') as { status?: unknown }).status === 'inmigrate') await new Promise((resolve) => setTimeout(resolve, 2))
      await qmp.execute('cont')
    }
    const agent: AgentClient = await connectAgent(join(dir, 'agent.sock'), { timeoutMs: 120_000 })
    await agent.run(TRUE)
    const ms = performance.now() - sinceMs
    agent.close()
    return ms
  } finally {
    child.kill('SIGKILL')
    if (fd !== undefined) closeSync(fd)
    await rm(dir, { recursive: true, force: true })
  }
}

async function main (): Promise<void> {
  const tiny = await tinyGolden()
  await mkdir(tiny.dataDir, { recursive: true })
  try {
    const first = await cloneOne(tiny)
    const line = await lineOfClone(first.machine)
    // An empty overlay, as each clone gets one: what the first has written is not in it.
    await first.machine.destroy()
    const clones: number[] = []
    const incoming: number[] = []
    const cold: number[] = []
    for (let round = 0; round < ROUNDS; round++) {
      const { ms, machine } = await cloneOne(tiny)
      clones.push(ms)
      await machine.destroy()
      incoming.push(await bare(line, join(tiny.goldenDir, 'state')))
      cold.push(await bare(line, undefined))
    }
    const [c, i, b] = [median(clones), median(incoming), median(cold)]
    console.log(`clone to a command answered      ${c.toFixed(0)} ms   (${tiny.line.fingerprint}, ${TINY.memoryMiB} MiB, median of ${ROUNDS})`)
    console.log(`bare qemu -incoming              ${i.toFixed(0)} ms   clone / bare = ${(c / i).toFixed(2)}   (aim: at most 1.5)`)
    console.log(`cold boot of the same guest      ${b.toFixed(0)} ms   cold / clone = ${(b / c).toFixed(1)}   (aim: at least 6)`)
    for (const count of AT_ONCE) {
      const sinceMs = performance.now()
      const made = await Promise.all(Array.from({ length: count }, async () => cloneOne(tiny)))
      const allMs = performance.now() - sinceMs
      const own = await Promise.all(made.map(async ({ machine }) => (await machine.stats()).privateMemoryBytes / MIB))
      const share = median(own) / TINY.memoryMiB
      console.log(`${String(count).padStart(2)} at once: all after ${allMs.toFixed(0)} ms, ${(1000 * count / allMs).toFixed(1)} a second; private memory of each ${median(own).toFixed(0)} MiB = ${(100 * share).toFixed(0)} % of the guest's${count === 8 ? '   (aim: under 20 %)' : ''}`)
      for (const { machine } of made) await machine.destroy()
    }
  } finally {
    await tiny.clean()
  }
}

await main()
process.exit(0) // Watchers of machines that are gone must not hold the process.
