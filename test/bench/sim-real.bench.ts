/**
 * The same scenarios on real plants (processes, libp2p on loopback, QEMU) and in the simulator (set `measured`), both reported: what the
 * simulator only models - gossipsub, kad-dht, TCP, QEMU - is checked against the real thing by this (sim/README.md). Times of this host differ from
 * those of the set as far as it is faster or slower than the one measured; counts and orders of magnitude must agree.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { apiClient } from '../../node/cli/api-client.ts'
import { simulateScenario } from '../../sim/drivers/simulate.ts'
import { readScenario, type RunResult } from '../../sim/scenario/index.ts'
import { constantsOf } from '../../sim/timings/index.ts'
import { TestHost, machinesOf, until, type TestPlant } from '../support/plants.ts'

const ONE_AFTER_THE_OTHER = 6
const AT_ONCE = [4, 8]
const PLANTS = 3
const MACHINES_EACH = 4
const SIM_RUNS = 5
/** The plants of the real runs share this host's two processors. */
const HOST = { cpus: 2, memoryMiB: 16_384 }
const MACHINE = { os: 'tiny', memoryMiB: 256, diskMiB: 512, actions: [{ id: 'one' }, { id: 'two', after: ['one'] }] }
const ORDER = { apiVersion: 'plantmesh/v1', kind: 'Machine', metadata: { name: 'bench' }, hardware: { memoryMiB: 256, diskMiB: 512 }, software: { os: 'tiny', actions: [{ id: 'one', script: 'echo one > /root/one' }, { id: 'two', after: ['one'], script: 'cat /root/one' }] } }

interface Figure { name: string, unit: string, real: number, simulated: number[] }
const figures: Figure[] = []
const mean = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length

async function simulated (more: Record<string, unknown>): Promise<RunResult[]> {
  const text = JSON.stringify({
    apiVersion: 'plantmesh-sim/v1', kind: 'Scenario', name: 'sim-real', sites: [{ name: 'host' }], timings: { set: 'measured' }, golden: [{ name: 'tiny', memoryMiB: 256, diskMiB: 512 }],
    links: { within: { latencyMs: 0.1 } }, ...more
  })
  const [point] = readScenario(text, { constantsOf: (set) => Object.keys(constantsOf(set)) }).points
  if (point === undefined) throw new Error('a scenario without a point')
  const runs: RunResult[] = []
  for (let seed = 1; seed <= SIM_RUNS; seed++) runs.push(await simulateScenario(point.scenario, seed))
  return runs
}

const plantGroup = (count: number, machines: number): Record<string, unknown> => ({
  name: 'plant', count, site: 'host', host: HOST, capacity: { cpus: 64, memoryMiB: 16_384, diskMiB: 262_144, machines, networks: 4 }
})

interface Created { plant: string, phasesMs: Record<string, number> }

async function createReal (plant: TestPlant, host: TestHost, count: number, id: string): Promise<Created[]> {
  const file = join(host.dir, 'order.json')
  writeFileSync(file, JSON.stringify(ORDER))
  const made = await plant.cli(['create', '-f', file, '--count', String(count), '--id', id, '--json'])
  if (made.status !== 0) throw new Error(`create ended with ${made.status}: ${made.stdout}${made.stderr}`)
  return Array.isArray(made.json) ? made.json : made.json.machines ?? [made.json]
}

async function onePlant (): Promise<void> {
  const host = new TestHost()
  try {
    const [plant] = await host.mesh(1) as [TestPlant]
    await createReal(plant, host, 1, 'warm-up')
    const alone: Created[] = []
    for (let n = 0; n < ONE_AFTER_THE_OTHER; n++) alone.push(...await createReal(plant, host, 1, `alone-${n}`))
    await plant.cli(['collect', '--all'])
    const sim = await simulated({ plants: [plantGroup(1, 64)], orders: [{ kind: 'series', count: ONE_AFTER_THE_OTHER, fromMs: 15_000, machine: MACHINE }] })
    const jobs = sim.flatMap((run) => run.jobs)
    const phase = (name: string, real: string, ...parts: string[]): void => {
      figures.push({ name, unit: 'ms', real: mean(alone.map(({ phasesMs }) => phasesMs[real] ?? 0)), simulated: jobs.map(({ phasesMs }) => parts.reduce((sum, part) => sum + ((phasesMs as Record<string, number>)[part] ?? 0), 0)) })
    }
    phase('one at a time: bid', 'bid', 'bid')
    phase('one at a time: clone', 'clone', 'copy', 'resume')
    phase('one at a time: identity', 'identity', 'identity')
    phase('one at a time: two actions', 'configure', 'actions')
    figures.push({ name: 'one at a time: order to classad', unit: 'ms', real: mean(alone.map(({ phasesMs }) => phasesMs['total'] ?? 0)), simulated: jobs.map((job) => (job.runningMs ?? NaN) - job.submittedMs) })
    for (const count of AT_ONCE) {
      const together = await createReal(plant, host, count, `together-${count}`)
      await plant.cli(['collect', '--all'])
      const runs = await simulated({ plants: [plantGroup(1, 64)], orders: [{ kind: 'series', count, clients: count, fromMs: 15_000, machine: MACHINE }] })
      figures.push({ name: `${count} at once: until the last classad`, unit: 'ms', real: Math.max(...together.map(({ phasesMs }) => phasesMs['total'] ?? 0)), simulated: runs.map((run) => Math.max(...run.jobs.map((job) => (job.runningMs ?? NaN) - job.submittedMs))) })
    }
  } finally {
    await host.cleanUp()
  }
}

async function threePlants (): Promise<void> {
  const host = new TestHost()
  try {
    const plants = await host.mesh(PLANTS, ['--capacity', `machines=${MACHINES_EACH},cpus=64,memoryMiB=16384`])
    const [first, , last] = plants as [TestPlant, TestPlant, TestPlant]
    const made = await createReal(first, host, PLANTS * MACHINES_EACH, 'spread')
    const byPlant = plants.map(({ peerId }) => made.filter(({ plant }) => plant === peerId).length)
    const spread = await simulated({ plants: [plantGroup(PLANTS, MACHINES_EACH)], orders: [{ kind: 'series', count: PLANTS * MACHINES_EACH, clients: PLANTS * MACHINES_EACH, fromMs: 15_000, shop: { plant: 'plant-1' }, machine: MACHINE }] })
    figures.push({ name: `${PLANTS * MACHINES_EACH} at once on ${PLANTS} plants with room for ${MACHINES_EACH} each: most on one`, unit: 'machines', real: Math.max(...byPlant), simulated: spread.map((run) => Math.max(...Object.values(run.machinesByPlant))) })
    await first.cli(['collect', '--all'])
    if (machinesOf(host.dir).length > 0) throw new Error('machines are left')

    const others = plants.slice(0, -1)
    const viewSizes = async (of: TestPlant[]): Promise<number[]> => Promise.all(of.map(async ({ api }) => ((await apiClient(api).get('/v1/plants'))['plants'] as unknown[]).length))
    await last.kill('SIGKILL')
    const killedMs = performance.now()
    await until(async () => (await viewSizes(others)).every((size) => size === PLANTS - 1), 120_000, 'the killed plant is forgotten')
    const forgottenMs = performance.now() - killedMs
    const again = await host.plant({ dataDir: last.dataDir, bootstrap: first.addresses })
    const readyMs = performance.now()
    await until(async () => (await viewSizes([...others, again])).every((size) => size === PLANTS), 30_000, 'all see each other again')
    const agreedMs = performance.now() - readyMs
    const crash = await simulated({
      plants: [plantGroup(PLANTS, MACHINES_EACH)], sampleEveryMs: 50,
      faults: [{ kind: 'crash', atMs: 30_000, target: { plants: ['plant-3'] }, restartAfterMs: 60_000 }], until: { ms: 120_000, ordersEnded: false }
    })
    figures.push({ name: 'killed plant: until no view has it', unit: 'ms', real: forgottenMs, simulated: crash.map((run) => run.faults[0]?.forgottenAfterMs ?? NaN) })
    figures.push({ name: 'started again: until all views agree', unit: 'ms', real: agreedMs, simulated: crash.map((run) => run.faults[0]?.agreedAfterMs ?? NaN) })
  } finally {
    await host.cleanUp()
  }
}

await onePlant()
await threePlants()
console.log(`${'figure'.padEnd(72)} ${'real'.padStart(10)} ${'simulated'.padStart(10)} ${'sim/real'.padStart(9)}`)
for (const { name, unit, real, simulated: sim } of figures) {
  console.log(`${`${name} (${unit})`.padEnd(72)} ${real.toFixed(unit === 'ms' ? 0 : 1).padStart(10)} ${mean(sim).toFixed(unit === 'ms' ? 0 : 1).padStart(10)} ${(mean(sim) / real).toFixed(2).padStart(9)}`)
}
