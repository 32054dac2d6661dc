import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { simulateAtScale } from '../../../sim/scale/index.ts'
import { scenarioFile, type Scenario, type SimEvent } from '../../../sim/scenario/index.ts'

const SCALE = join(import.meta.dirname, '../../../sim/scenarios/scale.yaml')

/** The shipped scenario at this size, with changes. */
async function scaleScenario (plants: number, changes: Record<string, unknown> = {}): Promise<Scenario> {
  const file = scenarioFile.parse({ ...parse(await readFile(SCALE, 'utf8')), ...changes })
  return { ...file, plants: file.plants.map((group) => ({ ...group, count: plants })), orders: file.orders as Scenario['orders'] }
}

test('the shipped scale scenario places orders, states its memory and how far its gossip is off', async () => {
  const { figures, events, views, endedMs, ended } = await simulateAtScale(await scaleScenario(1_000), 1)
  expect(ended).toBe('time')
  expect(endedMs).toBe(60_000)
  // 1,000 plants that each order once a minute, for one.
  expect(figures['orders']).toBeGreaterThan(850)
  expect(figures['orders']).toBeLessThan(1_150)
  expect((figures['granted'] ?? 0) + (figures['refused'] ?? 0)).toBeLessThanOrEqual(figures['orders'] ?? 0)
  expect(figures['running']).toBe((figures['granted'] ?? 0) - (figures['released'] ?? 0))
  expect(events).toBeGreaterThan(5 * (figures['orders'] ?? 0))
  expect(figures['bytesPerPlant']).toBeGreaterThan(100)
  expect(figures['gossip.spreadDeviationShare']).toBeLessThan(0.1)
  expect(figures['gossip.ageDeviationShare']).toBeLessThan(0.05)
  expect(views.at(-1)?.machines).toBe(figures['running'])
})

test('a plant takes less than half a KiB at 10,000 plants', async () => {
  const { figures } = await simulateAtScale(await scaleScenario(10_000), 1)
  expect(figures['bytesPerPlant']).toBeLessThan(512)
})

test('one seed gives one trace, heard or not; another seed another', async () => {
  const scenario = await scaleScenario(300, {
    plants: [{ capacity: { cpus: 4, memoryMiB: 1_024, diskMiB: 8_192 } }],
    links: { default: { latencyMs: 30 } },
    policy: { costModel: 'compute+network' },
    orders: [{ kind: 'poisson', per: 'plant', meanIntervalMs: 10_000, machine: { os: 'linux' }, hold: { kind: 'exponential', meanMs: 25_000 } }],
    scale: { viewEntries: 20, gossipPeriodMs: 500, sampledPlants: 100 },
    until: { ms: 60_000 }
  })
  const events: SimEvent[] = []
  const heard = await simulateAtScale(scenario, 7, { onEvent: (event) => { events.push(event) } })
  expect(heard).toEqual(await simulateAtScale(scenario, 7))
  expect((await simulateAtScale(scenario, 8)).traceHash).not.toBe(heard.traceHash)
  expect(events.filter(({ kind }) => kind === 'order.ended')).toHaveLength((heard.figures['granted'] ?? 0) + (heard.figures['refused'] ?? 0))
  expect(events.every(({ atMs }, i) => i === 0 || atMs >= (events[i - 1]?.atMs ?? 0))).toBe(true)
  // What a seed gives on one machine it must give on every other: this must only change when the model does.
  expect(heard.traceHash).toMatchInlineSnapshot(`"91d365e2e5533ec7c47c8b22dfe78cab2414e46d360c85dd95b6444aa9531116"`)
})

test('views made by messages place orders as the aggregate model\'s do', async () => {
  // Nearly full plants, where views matter most. A view by messages keeps most of its entries from one order to the next, one in aggregate is drawn anew.
  const changes = { orders: [{ kind: 'poisson', per: 'plant', meanIntervalMs: 5_000, machine: { os: 'linux', memoryMiB: 4_096 }, hold: { kind: 'exponential', meanMs: 19_000 } }] }
  const scale = { viewEntries: 16, gossipPeriodMs: 1_000, sampledPlants: 0 }
  const shares = await Promise.all((['message', 'aggregate'] as const).map(async (gossip) => {
    const { figures } = await simulateAtScale(await scaleScenario(2_000, { ...changes, scale: { ...scale, gossip } }), 3)
    const orders = figures['orders'] ?? 0
    return { bids: (figures['bids'] ?? 0) / orders, awardsRefused: (figures['awardsRefused'] ?? 0) / orders, granted: (figures['granted'] ?? 0) / orders }
  }))
  const [message, aggregate] = shares
  console.log('bids, refused awards and leases an order, nearly full plants, views by messages and in aggregate', message, aggregate)
  expect(aggregate?.bids).toBeLessThan(15.5)
  for (const name of ['bids', 'granted'] as const) expect(Math.abs((message?.[name] ?? 0) / (aggregate?.[name] ?? NaN) - 1)).toBeLessThan(0.06)
  expect(Math.abs((message?.awardsRefused ?? 0) - (aggregate?.awardsRefused ?? NaN))).toBeLessThan(0.02)
})

test('it stops when told to, and says how far it is', async () => {
  const stop = new AbortController()
  const shares: number[] = []
  const { ended, endedMs } = await simulateAtScale(await scaleScenario(100), 1, {
    signal: stop.signal,
    onProgress: (share) => {
      shares.push(share)
      if (share >= 0.5) stop.abort()
    }
  })
  expect([ended, endedMs]).toEqual(['stopped', 30_000])
  expect(shares.at(-1)).toBe(0.5)
})

describe('what only the daemon\'s cores run is refused by the field', () => {
  const machine = { os: 'linux' }
  test.each([
    ['faults', { faults: [{ kind: 'crash', atMs: 1, target: { plants: ['plant-1'] } }] }],
    ['links', { links: { default: { lossShare: 0.1 } } }],
    ['until.ms', { until: {} }],
    ['plants', { plants: [{ name: 'a', site: 'a' }, { name: 'b', site: 'b' }] }],
    ['policy.k', { policy: { k: 17 } }],
    ['policy.file', { policy: { file: 'x.ts' } }],
    ['orders[0].kind', { orders: [{ kind: 'series', count: 3, machine }] }],
    ['orders[0].machine', { orders: [{ kind: 'poisson', meanIntervalMs: 5, machine: { ...machine, rank: '1' } }] }],
    ['orders', { orders: [] }],
    ['latencyMs', { links: { default: { latencyMs: 800 } } }]
  ])('%s', async (field, changes) => {
    await expect(simulateAtScale(await scaleScenario(10, changes), 1)).rejects.toMatchObject({ code: 'CONFIG_INVALID', details: { field } })
  })
})
