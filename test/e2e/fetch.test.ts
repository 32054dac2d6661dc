/** Golden machines of the mesh on real plants: cloned where they never were, fetched once, through kills of either side. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { TestHost, until, type TestPlant } from '../support/plants.ts'

let host = new TestHost()
afterEach(async () => {
  await host.cleanUp()
  host = new TestHost()
})

const MIB = 2 ** 20
/** Fetches here take seconds by their caps; on a busy host a start of a plant takes as long. */
const TEST_MS = 360_000
const WAIT_MS = 90_000

function orderFile (name: string, more: Record<string, unknown> = {}, software: Record<string, unknown> = {}): string {
  const path = join(host.dir, `${name}.json`)
  writeFileSync(path, JSON.stringify({ apiVersion: 'plantmesh/v1', kind: 'Machine', metadata: { name }, software: { os: 'tiny', actions: [], ...software }, ...more }))
  return path
}
const on = (plant: TestPlant): Record<string, unknown> => ({ requirements: `other.PeerId == "${plant.peerId}"` })

/** A holder of tiny, and plants that have nothing; all see each other and what the first holds. */
async function meshOf (empty: number, args: { holder?: string[], empty?: string[] } = {}): Promise<[TestPlant, ...TestPlant[]]> {
  const holder = await host.plant({ args: args.holder ?? [] })
  const rest = await Promise.all(Array.from({ length: empty }, async () => host.plant({ bootstrap: holder.addresses, golden: false, args: args.empty ?? [] })))
  for (const plant of rest) await knows(plant, 'tiny')
  await until(async () => (await Promise.all([holder, ...rest].map(async (p) => p.cli(['plants', '--json'])))).every((r) => r.json.length === 1 + empty), WAIT_MS, 'the plants see each other')
  return [holder, ...rest]
}

interface InMesh { name: string, goldenId: string, plants: string[], totalBytes: number, missingBytes: number, ownBytes: number }

async function meshList (plant: TestPlant): Promise<InMesh[]> { return (await plant.cli(['golden', 'list', '--mesh', '--json'])).json as InMesh[] }

async function knows (plant: TestPlant, name: string): Promise<InMesh> {
  let found: InMesh | undefined
  await until(async () => {
    found = (await meshList(plant)).find((one) => one.name === name)
    return found !== undefined
  }, WAIT_MS, `${name} is known`)
  return found as unknown as InMesh
}

interface Item { item: string, cost: number, why: string }
async function bidsOf (shop: TestPlant, order: string): Promise<Map<string, Item[]>> {
  const why = (await shop.cli(['why', order, '--json'])).json
  const answers = why.attempts.at(-1).decision.answers as Array<{ plant: string, bid?: { items: Item[] } }>
  return new Map(answers.flatMap(({ plant, bid }) => bid === undefined ? [] : [[plant, bid.items]]))
}

test('an order that leaves out the only holder is cloned elsewhere by fetching, once, at a cost that is itemised', async () => {
  const [a, b, c] = await meshOf(2) as [TestPlant, TestPlant, TestPlant]
  const inMesh = await knows(b, 'tiny')
  expect(inMesh).toMatchObject({ plants: [a.peerId], missingBytes: inMesh.totalBytes })
  expect((await b.cli(['golden', 'list'])).stdout).toMatch(/in the mesh.*\n.*MISSING HERE.*\n.*tiny/)
  const elsewhere = { requirements: `other.PeerId != "${a.peerId}"` }
  const first = await a.cli(['create', '-f', orderFile('first', elsewhere), '--id', 'first', '--json'])
  expect(first.stdout + first.stderr).toContain('"state":"running"')
  const maker = [b, c].find(({ peerId }) => peerId === first.json.plant) as TestPlant
  expect(first.json.phasesMs.fetch).toBeGreaterThan(0)
  expect((await a.cli(['exec', first.json.vmid, '--', 'echo', 'works'])).stdout).toBe('works\n')
  const items = (await bidsOf(a, 'first')).get(maker.peerId) ?? []
  expect(items.find(({ item }) => item === 'fetch')).toMatchObject({ why: expect.stringMatching(new RegExp(`${inMesh.totalBytes} bytes at \\d`)) })
  expect((await a.cli(['why', 'first'])).stdout).toMatch(/fetch +\d/)

  // Now there are two holders, and the one that has fetched is the cheaper of those that are left.
  const second = await a.cli(['create', '-f', orderFile('second', elsewhere), '--id', 'second', '--json'])
  expect(second.json).toMatchObject({ state: 'running', plant: maker.peerId })
  const bids = await bidsOf(a, 'second')
  expect(bids.get(maker.peerId)?.some(({ item }) => item === 'fetch')).toBe(false)
  await until(async () => (await knows(a, 'tiny')).plants.length === 2, WAIT_MS, 'the fetched one is offered')
  expect((await maker.cli(['golden', 'list', '--json'])).json).toMatchObject([{ name: 'tiny', goldenId: inMesh.goldenId }])
}, TEST_MS)

test('orders at once share one fetch, and a fetch by hand shows how far it is', async () => {
  const [a, b] = await meshOf(1, { empty: ['--download-max', '80'] }) as [TestPlant, TestPlant]
  const { totalBytes } = await knows(b, 'tiny')
  const begunMs = Date.now()
  const [byHand, ...made] = await Promise.all([
    b.cli(['golden', 'fetch', 'tiny', '--json']),
    ...[1, 2].map(async (n) => a.cli(['create', '-f', orderFile(`both${n}`, on(b)), '--id', `both${n}`, '--json']))
  ])
  expect(byHand?.json).toMatchObject({ name: 'tiny' })
  for (const one of made) expect(one.json).toMatchObject({ state: 'running', plant: b.peerId })
  // At 10 MB/s twice would take twice as long.
  expect(Date.now() - begunMs).toBeGreaterThan(0.8 * totalBytes / 10_000)
  expect(b.log().split('fetched a golden machine').length).toBeLessThanOrEqual(2)
  expect((await b.cli(['golden', 'fetch', 'nothing', '--json'])).json.error).toMatchObject({ code: 'GOLDEN_UNKNOWN' })
}, TEST_MS)

test('a plant killed in the middle of a fetch goes on where it was, and makes the machine', async () => {
  const [a, b] = await meshOf(1, { empty: ['--download-max', '40'] }) as [TestPlant, TestPlant]
  const { totalBytes } = await knows(b, 'tiny')
  const asked = a.cli(['create', '-f', orderFile('cut', on(b)), '--id', 'cut', '--json'])
  await until(async () => { const { missingBytes } = await knows(b, 'tiny'); return missingBytes < totalBytes / 2 }, WAIT_MS, 'half has come')
  await new Promise((resolve) => setTimeout(resolve, 1_100)) // What is noted of it is a second old at most.
  await b.kill('SIGKILL')
  const again = await host.plant({ dataDir: b.dataDir, bootstrap: a.addresses, golden: false })
  expect((await knows(again, 'tiny')).missingBytes).toBeLessThan(totalBytes * 0.6)
  await asked
  await until(async () => (await a.cli(['create', '-f', orderFile('cut', on(b)), '--id', 'cut', '--json'])).json?.state === 'running', WAIT_MS, 'the machine runs')
  const found = (await a.cli(['list', '--json'])).json
  expect(found).toHaveLength(1)
  expect(found[0]).toMatchObject({ plant: again.peerId, state: 'running' })
}, TEST_MS)

test('when the only holder dies in the middle of a fetch the order is given back and fails by name, and goes through once it is back', async () => {
  const [a, b] = await meshOf(1, { empty: ['--download-max', '40'] }) as [TestPlant, TestPlant]
  const { totalBytes, goldenId } = await knows(b, 'tiny')
  const asked = b.cli(['create', '-f', orderFile('orphan', on(b)), '--id', 'orphan', '--json'])
  await until(async () => { const { missingBytes } = await knows(b, 'tiny'); return missingBytes < totalBytes * 0.9 }, WAIT_MS, 'some has come')
  await a.kill('SIGKILL')
  const failed = await asked
  expect(failed.status).not.toBe(0)
  expect(JSON.stringify(failed.json)).toContain('FETCH_STALLED')
  expect(JSON.stringify(failed.json)).toContain(goldenId)
  expect((await b.cli(['list', '--json'])).json).toEqual([])
  const back = await host.plant({ dataDir: a.dataDir, bootstrap: b.addresses })
  await until(async () => (await knows(b, 'tiny')).plants.includes(back.peerId), WAIT_MS, 'the holder is back')
  expect((await b.cli(['create', '-f', orderFile('orphan', on(b)), '--id', 'orphan', '--json'])).json).toMatchObject({ state: 'running', plant: b.peerId })
}, TEST_MS)

test('a child of what is here is fetched by what it differs in only', async () => {
  const [a, b] = await meshOf(1) as [TestPlant, TestPlant]
  expect((await b.cli(['golden', 'fetch', 'tiny'])).status).toBe(0)
  const actions = [{ id: 'mark', script: 'echo marked > /etc/mark' }]
  const { vmid } = (await a.cli(['create', '-f', orderFile('parent', on(a), { actions }), '--json'])).json
  expect((await a.cli(['golden', 'publish', vmid, '--name', 'marked'])).status).toBe(0)
  const child = await knows(b, 'marked')
  expect(child.missingBytes).toBe(child.ownBytes)
  expect(child.missingBytes).toBeLessThan(child.totalBytes)
  const made = await a.cli(['create', '-f', orderFile('child', on(b), { os: 'marked' }), '--id', 'child', '--json'])
  expect(made.json).toMatchObject({ state: 'running', plant: b.peerId, golden: { name: 'marked' } })
  expect((await a.cli(['exec', made.json.vmid, '--', 'cat', '/etc/mark'])).stdout).toBe('marked\n')
  const fetch = (await bidsOf(a, 'child')).get(b.peerId)?.find(({ item }) => item === 'fetch')
  expect(fetch?.why).toContain(`${child.missingBytes} bytes`)
  expect(child.missingBytes).toBeLessThan(200 * MIB)
}, TEST_MS)

test('nobody\'s golden machine takes a family\'s name', async () => {
  const [a] = await meshOf(0) as [TestPlant]
  const { vmid } = (await a.cli(['create', '-f', orderFile('impostor'), '--json'])).json
  for (const name of ['tiny', 'debian']) expect((await a.cli(['golden', 'publish', vmid, '--name', name, '--json'])).json.error).toMatchObject({ code: 'GOLDEN_EXISTS' })
}, TEST_MS)
