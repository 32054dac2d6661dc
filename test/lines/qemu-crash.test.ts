/** kill -9 of a plant at any point of what it does with its line: what runs is adopted, the rest is swept, nothing is left. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { processesIn } from '../../node/lines/qemu/processes.ts'
import { sh } from '../contracts/shell.ts'
import { drawPoints } from '../support/points.ts'
import { testLine, tinyGolden } from '../support/tiny.ts'
import { until } from './tiny-machine.ts'

/** Milliseconds after the plant is ready: the first clone takes some 150, publishing some 700, the copy's clone and end 250. */
const POINTS = [...Array.from({ length: 32 }, (_, i) => i * 8), ...Array.from({ length: 40 }, (_, i) => 260 + i * 40)]
const POINT_MS = 2_000
const BUDGET_MS = 20_000

/** A spare takes some 300 ms to make; handing it out and growing its disk takes the next 100. */
const SPARE_POINTS = Array.from({ length: 60 }, (_, i) => i * 12)

const draw = drawPoints(POINTS, { name: 'kill -9 of a plant with its line', pointMs: POINT_MS, budgetMs: BUDGET_MS })

test('a plant killed at any point leaves machines that are adopted and nothing else', async () => {
  const { goldenDir, clean } = await tinyGolden()
  try {
    for (const afterMs of draw.points) await killedAfter(afterMs, goldenDir)
  } finally {
    await clean()
  }
}, draw.points.length * 20 * POINT_MS)

const drawSpares = drawPoints(SPARE_POINTS, { name: 'kill -9 of a plant with spares', pointMs: POINT_MS, budgetMs: BUDGET_MS })

test('a plant killed while it makes and hands out spares leaves what can be adopted or swept, and nothing else', async () => {
  const { goldenDir, clean } = await tinyGolden()
  try {
    for (const afterMs of drawSpares.points) await killedAfter(afterMs, goldenDir, 'spares')
  } finally {
    await clean()
  }
}, drawSpares.points.length * 20 * POINT_MS)

async function killedAfter (afterMs: number, goldenDir: string, ...what: string[]): Promise<void> {
  const dataDir = await mkdtemp(join(tmpdir(), 'plantmesh-crash-'))
  const child = spawn(process.execPath, [join(import.meta.dirname, 'qemu-crash-child.ts'), dataDir, goldenDir, ...what], { stdio: ['ignore', 'pipe', 'inherit'] })
  try {
    const said: string[] = []
    const lines = createInterface({ input: child.stdout }).on('line', (line) => { said.push(line) })
    await once(lines, 'line')
    await pause(afterMs) // The point itself: what is tested is that any will do.
    child.kill('SIGKILL')
    await once(child, 'close')
    const line = await testLine(dataDir)
    const acknowledged = said.find((text) => text.startsWith('kept '))?.slice('kept '.length)
    const found = await line.leftovers()
    if (acknowledged !== undefined) expect(found, `killed after ${afterMs} ms`).toContain(acknowledged)
    for (const vmId of found) {
      const machine = await line.adopt(vmId)
      if (vmId === acknowledged) expect(machine, `killed after ${afterMs} ms`).toBeDefined()
      if (machine === undefined) {
        await line.sweep(vmId)
        continue
      }
      // It goes on, also when it was stopped for its copy just then.
      expect(await sh(machine, 'echo alive')).toBe('alive\n')
      await machine.destroy()
    }
    expect(await line.leftovers()).toEqual([])
    await until(async () => (await processesIn(dataDir, '')).length === 0 || undefined)
    expect(await readdir(join(dataDir, 'machines')).catch(() => [])).toEqual([])
    expect(await readdir(join(dataDir, 'helpers')).catch(() => [])).toEqual([])
  } finally {
    child.kill('SIGKILL')
    await rm(dataDir, { recursive: true, force: true })
  }
}
