/** Scenario files: what is taken, with which defaults, and what a bad one is told. */
import { expect, test } from 'vitest'
import { PlantError } from '../../../protocols/kit/index.ts'
import { plantsOf, readScenario, type Point, type ReadInit } from '../../../sim/scenario/index.ts'

const HEAD = 'apiVersion: plantmesh-sim/v1\nkind: Scenario\nname: x\n'
const init: ReadInit = { constantsOf: (set) => set === 'paper' ? ['resumeMs', 'actionMs', 'storeBytesPerMs'] : [] }
const points = (text: string, more: Partial<ReadInit> = {}): Point[] => readScenario(HEAD + text, { ...init, ...more }).points

interface Told { path: string, found: string, allowed: string, message: string, line?: number }
function problems (text: string, more: Partial<ReadInit> = {}): Told[] {
  try {
    readScenario(text, { ...init, ...more })
  } catch (error) {
    if (error instanceof PlantError && error.code === 'SCENARIO_INVALID') return error.details['problems'] as Told[]
    throw error
  }
  return []
}

test('a scenario of three lines and an end has defaults for all else', () => {
  const [point] = points('until: { ms: 1000 }\n')
  expect(point?.scenario).toMatchObject({ mode: 'cores', plants: [{ name: 'plant', count: 1, host: { memoryMiB: 1_536 } }], policy: { costModel: 'time-to-done', k: 16 }, timings: { set: 'measured' }, orders: [] })
})

test('plants are named by their group and numbered through', () => {
  const [point] = points('until: { ms: 1 }\nplants: [{ name: a, count: 2 }, { name: b }]\n')
  expect(Array.from(plantsOf(point?.scenario ?? { plants: [] }), ({ name, index }) => [name, index])).toEqual([['a-1', 0], ['a-2', 1], ['b', 2]])
})

test('cases and sweeps make a point for each combination, also of fields that the file leaves to their defaults', () => {
  const all = points('until: { ms: 1 }\ncases: [{ name: few, set: {} }, { name: many, set: { "plants[0].count": 50 } }]\nsweep: { policy.k: [1, 2], "links.within.latencyMs": [5] }\n')
  expect(all.map(({ name }) => name)).toEqual(['few, policy.k=1, links.within.latencyMs=5', 'few, policy.k=2, links.within.latencyMs=5', 'many, policy.k=1, links.within.latencyMs=5', 'many, policy.k=2, links.within.latencyMs=5'])
  expect(all.map(({ scenario }) => [scenario.plants[0]?.count, scenario.policy.k])).toEqual([[1, 1], [1, 2], [50, 1], [50, 2]])
})

test('the command line sets fields before cases do, and may replace what is swept', () => {
  const all = points('until: { ms: 1 }\nsweep: { policy.k: [1, 2] }\n', { set: [{ path: 'plants[*].count', value: 3, where: ['--set'] }], sweep: { 'policy.k': [7] } })
  expect(all.map(({ scenario }) => [scenario.plants[0]?.count, scenario.policy.k])).toEqual([[3, 7]])
})

test('orders of a list may differ from their source in single fields', () => {
  const [point] = points('orders: [{ kind: list, machine: { os: linux, memoryMiB: 64, domain: d }, orders: [{ atMs: 3, machine: { memoryMiB: 128 } }] }]\n')
  const [source] = point?.scenario.orders ?? []
  expect(source?.kind === 'list' && source.orders[0]?.machine).toEqual({ memoryMiB: 128 })
})

test.each<[string, string, Partial<Told>]>([
  ['a misspelt field', 'until: { ms: 1 }\nplantz: 3\n', { path: 'plantz', line: 5, message: 'unknown field; did you mean plants?' }],
  ['a misspelt field within', 'until: { ms: 1 }\nplants:\n  - count: 2\n    hots: {}\n', { path: 'plants[0].hots', line: 7, allowed: expect.stringContaining('host') as string }],
  ['a word that is none of the choices', 'until: { ms: 1 }\nmode: core\n', { path: 'mode', found: '"core"', allowed: 'cores or arrays or swarm' }],
  ['a kind of fault that is none', 'until: { ms: 1 }\nfaults: [{ kind: crsh, atMs: 1 }]\n', { path: 'faults[0].kind', allowed: expect.stringContaining('crash, restart') as string }],
  ['a field of another kind of order', 'orders: [{ kind: series, count: 1, machine: { os: linux }, meanIntervalMs: 3 }]\n', { path: 'orders[0].meanIntervalMs', allowed: expect.stringContaining('clients') as string }],
  ['a number out of bounds', 'until: { ms: 1 }\nlinks: { default: { lossShare: 2 } }\n', { path: 'links.default.lossShare', found: 'number 2', allowed: 'at most 1' }],
  ['text where a number belongs', 'until: { ms: soon }\n', { path: 'until.ms', found: '"soon"', allowed: 'a number' }],
  ['a run of no time', 'until: { ms: 0 }\n', { path: 'until.ms', line: 4, found: 'number 0', allowed: 'more than 0' }],
  ['no plants', 'until: { ms: 1 }\nplants: []\n', { path: 'plants', allowed: 'at least 1 items' }],
  ['a system that no golden machine has', 'orders: [{ kind: series, count: 1, machine: { os: linx } }]\n', { path: 'orders[0].machine.os', message: expect.stringContaining('did you mean linux?') as string }],
  ['a site that is not there', 'until: { ms: 1 }\nfaults: [{ kind: siteOutage, atMs: 1, site: nort }]\n', { path: 'faults[0].site', allowed: 'site' }],
  ['a plant that is not there', 'until: { ms: 1 }\nplants: [{ count: 3 }]\nfaults: [{ kind: crash, atMs: 1, target: { plants: [plant-4] } }]\n', { path: 'faults[0].target.plants[0]', allowed: 'plant-1, plant-2, plant-3' }],
  ['a target that is nobody', 'until: { ms: 1 }\nfaults: [{ kind: crash, atMs: 1, target: {} }]\n', { path: 'faults[0].target', allowed: 'at least one of plants, sites and groups' }],
  ['a fault that is over before it begins', 'until: { ms: 9 }\nfaults: [{ kind: diskFull, atMs: 5, untilMs: 3, target: { groups: [plant] } }]\n', { path: 'faults[0].untilMs', allowed: 'a time after atMs, which is 5' }],
  ['orders that are over before they begin', 'orders: [{ kind: poisson, fromMs: 9, toMs: 9, meanIntervalMs: 5, machine: { os: linux } }]\n', { path: 'orders[0].toMs', line: 4, allowed: 'a time after fromMs, which is 9' }],
  ['two cases of one name', 'until: { ms: 1 }\ncases: [{ name: a, set: {} }, { name: b, set: {} }, { name: a, set: {} }]\n', { path: 'cases[2].name', line: 5, message: expect.stringContaining('the name is there twice') as string }],
  ['a number that the timings do not have', 'until: { ms: 1 }\ntimings: { set: paper, constants: { resumeM: 3 } }\n', { path: 'timings.constants.resumeM', message: expect.stringContaining('did you mean resumeMs?') as string }],
  ['a rate of nothing', 'until: { ms: 1 }\ntimings: { set: paper, constants: { storeBytesPerMs: 0 } }\n', { path: 'timings.constants.storeBytesPerMs', line: 5, allowed: 'more than 0, as it is a rate' }],
  ['a line of another set', 'until: { ms: 1 }\ntimings: { set: paper, line: qemu }\n', { path: 'timings.line', allowed: 'vmware, uml, xen' }],
  ['an expression that does not parse', 'orders: [{ kind: series, count: 1, machine: { os: linux, requirements: "Cpus >" } }]\n', { path: 'orders[0].machine.requirements', allowed: 'a ClassAd expression' }],
  ['an action after one that is not there', 'orders: [{ kind: series, count: 1, machine: { os: linux, actions: [{ id: a, after: [b] }] } }]\n', { path: 'orders[0].machine.actions[0].after[0]' }],
  ['a run without an end', 'orders: [{ kind: poisson, meanIntervalMs: 5, machine: { os: linux } }]\n', { path: 'orders[0]', message: 'the run has no end' }],
  ['no orders and no end', '', { path: 'until.ms', message: 'the run has no end' }],
  ['two groups of one name', 'until: { ms: 1 }\nplants: [{ name: a }, { name: a }]\n', { path: 'plants[1].name', message: 'the name is there twice' }],
  ['too many plants for the daemon\'s cores', 'until: { ms: 1 }\nplants: [{ count: 30000 }]\n', { path: 'plants', allowed: expect.stringContaining('mode: arrays') as string }],
  ['a cost model from no file', 'until: { ms: 1 }\npolicy: { costModel: file }\n', { path: 'policy.file' }],
  ['a case that sets what is not there', 'until: { ms: 1 }\ncases: [{ name: a, set: { "plants[3].count": 1 } }]\n', { path: 'cases[0].set["plants[3].count"]', message: expect.stringContaining('leads nowhere') as string }],
  ['a sweep over nonsense', 'until: { ms: 1 }\nsweep: { policy.k: [1, many] }\n', { path: 'policy.k', found: '"many"', message: expect.stringContaining('point 2: policy.k=many') as string }],
  ['a value that a sweep has twice', 'until: { ms: 1 }\nsweep: { policy.k: [1, 2, 1] }\n', { path: 'sweep["policy.k"][2]', message: 'the value is there twice' }],
  ['a sample a nanosecond', 'until: { ms: 1 }\nsampleEveryMs: 0.000001\n', { path: 'sampleEveryMs', allowed: 'at least 0.001' }],
  ['gossip a nanosecond', 'until: { ms: 1 }\nscale: { gossipPeriodMs: 0.000001 }\n', { path: 'scale.gossipPeriodMs', allowed: 'at least 0.001' }],
  ['an order a nanosecond', 'until: { ms: 1 }\norders: [{ kind: poisson, meanIntervalMs: 0.000001, machine: { os: linux } }]\n', { path: 'orders[0].meanIntervalMs', allowed: 'at least 0.001' }],
  ['a site whose plants take no orders', 'plants: [{ name: a, site: s, count: 2, shop: false }, { name: b, site: t }]\norders: [{ kind: series, count: 1, shop: { site: s }, machine: { os: linux } }]\n', { path: 'orders[0].shop.site', message: 'no plant of this site takes orders' }],
  ['a plant that takes no orders', 'plants: [{ name: a, count: 2, shop: false }, { name: b }]\norders: [{ kind: series, count: 1, shop: { plant: a-2 }, machine: { os: linux } }]\n', { path: 'orders[0].shop.plant', allowed: 'plants of the groups that take orders: b (site site)' }],
  ['a field given twice', 'mode: cores\nmode: arrays\n', { found: 'the field "mode" twice' }]
])('%s is told with its path, what was found and what is allowed', (_what, text, told) => {
  expect(problems(HEAD + text)).toContainEqual(expect.objectContaining(told))
})

const ARRAYS = `${HEAD}mode: arrays\nuntil: { ms: 9 }\nplants: [{ count: 9 }]\norders: [{ kind: poisson, meanIntervalMs: 5, machine: { os: linux } }]\n`

test.each<[string, string, string, number]>([
  ['a policy file', 'policy: { file: x.ts }\n', 'policy.file', 8],
  ['a policy file that prices', 'policy: { costModel: file, file: x.ts }\n', 'policy.file', 8],
  ['more bids than the daemon asks for', 'policy: { k: 17 }\n', 'policy.k', 8],
  ['another deadline', 'policy: { bidDeadlineMs: 900 }\n', 'policy.bidDeadlineMs', 8],
  ['a warm-up', 'warmUpShare: 0.1\n', 'warmUpShare', 8],
  ['faults', 'faults: [{ kind: crash, atMs: 1, target: { groups: [plant] } }]\n', 'faults', 8],
  ['failures of clones', 'timings: { failureShare: 0.5 }\n', 'timings', 8]
])('%s with mode: arrays is refused before anything runs', (_what, text, path, line) => {
  expect(problems(ARRAYS)).toEqual([])
  expect(problems(ARRAYS + text)).toMatchObject([{ path, line, message: 'is only for mode: cores', allowed: expect.stringContaining('mode: arrays') as string }])
})

test.each<[string, string, number]>([
  ['lists', `title: x\nsites: ${'['.repeat(5_000)}${']'.repeat(5_000)}\n`, 5],
  ['maps', `sites:\n${Array.from({ length: 1_300 }, (_, i) => `${' '.repeat(i + 1)}b:\n`).join('')}`, 4]
])('nesting of %s that the reader cannot hold is told with the field that it lies in, its line and what is allowed', (_what, text, line) => {
  const [told, ...more] = problems(HEAD + text)
  expect(told).toMatchObject({ path: 'sites', message: 'is nested too deeply', allowed: 'at most 24 levels' })
  expect(told?.line).toBeGreaterThanOrEqual(line)
  expect(more).toEqual([])
})

test.each<[string, string]>([
  ['an empty file', ''],
  ['no YAML', '['],
  ['two documents', `${HEAD}until: { ms: 1 }\n---\n${HEAD}`],
  ['a list', '- a\n- b\n'],
  ['a bomb of aliases', `${HEAD}a: &a [1,2,3,4,5,6,7,8,9,0]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c,*c,*c,*c]\n`],
  ['nesting without end', `${HEAD}a: ${'['.repeat(5_000)}${']'.repeat(5_000)}\n`],
  ['a file of two megabytes', HEAD + '#'.repeat(2_100_000)],
  ['more points than are run', `${HEAD}until: { ms: 1 }\nsweep: { policy.k: [${Array.from({ length: 100 }, (_, i) => i + 1).join(',')}], sampleEveryMs: [${Array.from({ length: 100 }, (_, i) => i + 1).join(',')}] }\n`],
  ['__proto__ as a path', `${HEAD}until: { ms: 1 }\nsweep: { "__proto__.polluted": [1] }\n`]
])('%s is refused within bounds', (_what, text) => {
  const since = performance.now()
  expect(problems(text).length).toBeGreaterThan(0)
  expect(performance.now() - since).toBeLessThan(2_000)
  expect(({} as Record<string, unknown>)['polluted']).toBeUndefined()
})

test('a scenario in JSON is the same scenario', () => {
  const value = { apiVersion: 'plantmesh-sim/v1', kind: 'Scenario', name: 'x', until: { ms: 5 } }
  expect(readScenario(JSON.stringify(value), init)).toEqual(readScenario(`${HEAD}until: { ms: 5 }\n`, init))
})
