/** The life cycle of templates on real plants: copies are taken ahead of use, shown with their reasons, kept while pinned, and go when nobody uses them. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { TestHost, until, type CliResult, type TestPlant } from '../support/plants.ts'

let host = new TestHost()
afterEach(async () => {
  await host.cleanUp()
  host = new TestHost()
})

const TEST_MS = 360_000
const WAIT_MS = 120_000
/** Hold-off 0.6 s: hours of the cool-down. */
const COOL_DOWN = ['--cool-down', '0.002']

/** A holder of tiny, and plants that have nothing; each may have options of its own. */
async function meshOf (empty: number, args: { holder?: string[], empty?: string[] } = {}): Promise<[TestPlant, ...TestPlant[]]> {
  const holder = await host.plant({ args: [...COOL_DOWN, ...args.holder ?? []] })
  const rest = await Promise.all(Array.from({ length: empty }, async () => host.plant({ bootstrap: holder.addresses, golden: false, args: [...COOL_DOWN, ...args.empty ?? []] })))
  return [holder, ...rest]
}
const why = async (plant: TestPlant, name = 'tiny'): Promise<CliResult> => plant.cli(['template', 'why', name, '--json'])
const holdersOf = async (plants: TestPlant[], name = 'tiny'): Promise<TestPlant[]> => {
  const lists = await Promise.all(plants.map(async (plant) => (await plant.cli(['golden', 'list', '--json'])).json as Array<{ name: string }>))
  return plants.filter((_, i) => lists[i]?.some((one) => one.name === name))
}

test('what only one plant has is copied to one more ahead of use, and the command says why', async () => {
  // Hold-off 3 s, so that copying is over before the next plant's turn on a loaded host, too.
  const slower = ['--cool-down', '0.01']
  const [a, ...rest] = await meshOf(2, { holder: slower, empty: slower })
  const all = [a, ...rest]
  await until(async () => (await holdersOf(rest)).length === 1, WAIT_MS, 'another plant has a copy')
  const taker = (await holdersOf(rest))[0] as TestPlant
  await until(async () => (await why(taker)).json?.templates?.[0]?.here === 'copy', WAIT_MS, 'the plant has looked again')
  expect((await why(taker)).json).toMatchObject({ lookedAtMs: expect.any(Number), templates: [{ template: 'tiny@1', here: 'copy', holders: 2, target: 2, does: 'leave', pins: 0, why: expect.stringContaining('2 of 2 copies') }] })
  const text = (await taker.cli(['template', 'why', 'tiny'])).stdout
  expect(text).toMatch(/^tiny@1 .*\n {2}used .* an hour here, .* in the mesh\n {2}copies {2}2 of 2, one of them here, fetched from others\n {2}does {4}nothing: /)
  expect((await a.cli(['template', 'why', 'nothing'])).status).toBe(4)
  expect((await a.cli(['template', 'why', '--json'])).json.templates).toHaveLength(1)
  // A pin is seen everywhere, and taken off again.
  expect((await taker.cli(['template', 'pin', 'tiny', '--json'])).json).toMatchObject({ template: 'tiny@1', pinned: true })
  await until(async () => (await why(a)).json.templates[0]?.pins === 1, WAIT_MS, 'the pin is seen')
  expect((await taker.cli(['template', 'unpin', 'tiny', '--json'])).json).toMatchObject({ pinned: false })
  await until(async () => (await why(a)).json.templates[0]?.pins === 0, WAIT_MS, 'the pin is off')
  expect(await holdersOf(all)).toHaveLength(2)
}, TEST_MS)

test('a copy that an order brought goes after the cool-down when the others have enough, and not while its machine is there', async () => {
  const [a, b] = await meshOf(1, { holder: ['--copies', '1'], empty: ['--copies', '1', '--copies-disk', '0'] }) as [TestPlant, TestPlant]
  await until(async () => (await b.cli(['golden', 'list', '--mesh', '--json'])).json?.length === 1, WAIT_MS, 'tiny is known')
  const path = join(host.dir, 'order.json')
  writeFileSync(path, JSON.stringify({ apiVersion: 'plantmesh/v1', kind: 'Machine', software: { os: 'tiny', actions: [] }, requirements: `other.PeerId == "${b.peerId}"` }))
  const made = await a.cli(['create', '-f', path, '--json'])
  expect(made.json).toMatchObject({ state: 'running', plant: b.peerId })
  await until(async () => (await why(b)).json?.templates?.[0]?.holders === 2, WAIT_MS, 'both have it')
  await new Promise((resolve) => setTimeout(resolve, 12_000)) // Longer than the cool-down of 7.2 s: nothing may happen.
  expect(await holdersOf([a, b])).toHaveLength(2)
  expect((await why(b)).json.templates[0].why).toContain('made from it')
  expect((await a.cli(['collect', made.json.vmid])).status).toBe(0)
  await until(async () => (await holdersOf([b])).length === 0, WAIT_MS, 'the copy has gone')
  expect(await holdersOf([a])).toHaveLength(1)
  expect((await b.cli(['golden', 'list', '--mesh', '--json'])).json).toMatchObject([{ name: 'tiny', plants: [a.peerId] }])
}, TEST_MS)

test('what nobody uses is disposed of with its copies where that was asked for, and stays while it is pinned', async () => {
  const options = ['--dispose-after', '0.004']
  const [a, b] = await meshOf(1, { holder: options, empty: [...options, '--copies-disk', '0'] }) as [TestPlant, TestPlant]
  const path = join(host.dir, 'order.json')
  writeFileSync(path, JSON.stringify({ apiVersion: 'plantmesh/v1', kind: 'Machine', software: { os: 'tiny', actions: [] }, requirements: `other.PeerId == "${a.peerId}"` }))
  expect((await a.cli(['template', 'pin', 'tiny'])).status).toBe(0)
  const made = await a.cli(['create', '-f', path, '--json'])
  for (const name of ['junk', 'wanted']) expect((await a.cli(['golden', 'publish', made.json.vmid, '--name', name, '--json'])).json).toMatchObject({ version: 1 })
  expect((await a.cli(['template', 'pin', 'wanted'])).status).toBe(0)
  expect((await a.cli(['collect', made.json.vmid])).status).toBe(0)
  await until(async () => (await b.cli(['golden', 'fetch', 'junk', '--json'])).status === 0, WAIT_MS, 'junk is fetched')
  await until(async () => (await holdersOf([a, b], 'junk')).length === 0, WAIT_MS, 'junk is gone everywhere')
  expect(await holdersOf([a], 'wanted')).toHaveLength(1)
  expect(await holdersOf([a], 'tiny')).toHaveLength(1)
}, TEST_MS)

test('options out of bounds are refused by name', async () => {
  const [a] = await meshOf(0)
  for (const [option, field] of [['--copies', 'copies'], ['--cool-down', 'coolDown'], ['--dispose-after', 'disposeAfter'], ['--copies-disk', 'copiesDisk']]) {
    const refused = await a.cli(['up', '--data', join(host.dir, 'other'), option ?? '', '-1'])
    expect([refused.status, refused.stderr.includes(field ?? '?')]).toEqual([2, true])
  }
})
