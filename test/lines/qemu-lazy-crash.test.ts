/** kill -9 of a plant while it starts a machine whose disk has not arrived, switches it to the file, and after: the machine goes on with the right data. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { sh } from '../contracts/shell.ts'
import { drawPoints } from '../support/points.ts'
import { lazyGolden, processesOf, remainsOf, type LazyGolden } from '../support/lazy.ts'
import { until } from './tiny-machine.ts'
import { ALL_FILES } from './whole-disk.ts'

type Kind = 'suspended' | 'booted'
interface Point { kind: Kind, said: string, afterMs: number }

/** Killed so many milliseconds after this was said; the switch itself takes some ten. */
const POINTS: Point[] = [
  { kind: 'booted', said: 'made', afterMs: 0 },
  ...(['suspended', 'booted'] as const).flatMap((kind) => [0, 1, 2, 4, 6, 8, 11, 15, 20].map((afterMs) => ({ kind, said: 'switching', afterMs }))),
  { kind: 'suspended', said: 'made', afterMs: 50 }, { kind: 'suspended', said: 'switched', afterMs: 0 }, { kind: 'booted', said: 'served no more', afterMs: 0 }
]
const POINT_MS = 10_000
const BUDGET_MS = 60_000
const draw = drawPoints(POINTS, { name: 'kill -9 of a plant whose machine\'s disk arrives', pointMs: POINT_MS, budgetMs: BUDGET_MS })

const golden = new Map<Kind, LazyGolden>()
beforeAll(async () => { for (const kind of ['suspended', 'booted'] as const) golden.set(kind, await lazyGolden(kind)) })
afterAll(async () => { for (const lazy of golden.values()) await lazy.clean() })

test('a plant killed before, during or after the switch leaves a machine that goes on, its data right, and nothing else', async () => {
  for (const point of draw.points) await killedAt(point)
}, draw.points.length * 20 * POINT_MS)

async function killedAt ({ kind, said, afterMs }: Point): Promise<void> {
  const lazy = golden.get(kind) as LazyGolden
  const what = `${kind}, killed ${afterMs} ms after it said: ${said}`
  const child = spawn(process.execPath, [join(import.meta.dirname, 'qemu-lazy-child.ts'), lazy.dataDir, lazy.goldenDir, lazy.diskPath, kind], { stdio: ['ignore', 'pipe', 'inherit'] })
  try {
    const lines: string[] = []
    createInterface({ input: child.stdout }).on('line', (line) => { lines.push(line) })
    await until(async () => lines.some((line) => line.startsWith(said)) || child.exitCode !== null || undefined, 1)
    await pause(afterMs) // The point itself.
    child.kill('SIGKILL')
    await once(child, 'close')
    const line = await lazy.reopen()
    const [vmId] = await line.leftovers()
    if (vmId === undefined) throw new Error(`${what}: there is no machine; it said ${lines.join(', ')}`)
    const needed = await line.diskSocketOf(vmId)
    if (lines.includes('switched')) expect(needed, what).toBeUndefined()
    const server = needed === undefined ? undefined : await lazy.serve()
    const machine = await line.adopt(vmId)
    if (machine === undefined) throw new Error(`${what}: it was not adopted`)
    // The guest has been reading all the time; each round gave the same, also the one that waited.
    await sh(machine, 'n=$(wc -l < /run/all || echo 0); while [ $(wc -l < /run/all || echo 0) -lt $((n + 2)) ]; do sleep 0.1; done')
    await machine.arrived(lazy.diskPath)
    expect(machine.diskSocket, what).toBeUndefined()
    await server?.stop()
    expect(await sh(machine, 'sort -u /run/all | wc -l; dmesg | grep -ci "i/o error" || true'), what).toBe('1\n0\n')
    expect(await sh(machine, ALL_FILES), what).toBe(await sh(machine, 'sort -u /run/all'))
    await machine.destroy()
    expect({ leftovers: await line.leftovers(), processes: await processesOf(lazy.dataDir), remains: await remainsOf(lazy.dataDir) }, what).toEqual({ leftovers: [], processes: [], remains: [] })
    expect((await readdir(lazy.dataDir)).filter((name) => !['machines', 'helpers', 'kernels', 'disk.sock'].includes(name)), what).toEqual([])
  } finally {
    child.kill('SIGKILL')
    await rm(lazy.socketPath, { force: true })
  }
}
