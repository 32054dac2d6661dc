/** Templates as a user has them: versions, labels, orders by them, following, removal; on real plants. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { TestHost, machinesOf, until, type CliResult, type TestPlant } from '../support/plants.ts'

const host = new TestHost()
let plants: TestPlant[] = []
const plant = (i: number): TestPlant => plants[i] as TestPlant
const MOTD = { id: 'motd', script: 'echo "hello" > /etc/motd' }

/** Placed at the first plant's shop unless told otherwise. */
async function order (os: string, actions: unknown[] = [], more: { via?: number, key?: string, requirements?: string } = {}): Promise<CliResult> {
  const path = join(host.dir, 'order.json')
  writeFileSync(path, JSON.stringify({ apiVersion: 'plantmesh/v1', kind: 'Machine', software: { os, actions }, requirements: more.requirements ?? 'true' }))
  return plant(more.via ?? 0).cli(['create', '-f', path, '--json'], more.key === undefined ? {} : { key: more.key })
}
const template = async (i: number, args: string[], options: { key?: string } = {}): Promise<CliResult> => plant(i).cli(['template', ...args, '--json'], options)
const made = (result: CliResult): unknown => {
  expect(result.stderr + result.stdout).toContain('"state":"running"')
  return result.json.golden.version
}
const namesOf = (result: CliResult): string[] => result.json.map((one: { name: string }) => one.name)
const collectAll = async (): Promise<void> => {
  expect((await plant(0).cli(['collect', '--all'])).status).toBe(0)
  await until(() => machinesOf(host.dir).length === 0, 10_000, 'the machines are gone')
}

beforeAll(async () => { plants = await host.mesh(2) })
afterAll(async () => { await host.cleanUp() })

test('publishing twice under one name makes two versions', async () => {
  const source = (await order('tiny', [MOTD], { requirements: `PeerId == "${plant(0).peerId}"` })).json
  const publish = async (key?: string): Promise<CliResult> => plant(0).cli(['golden', 'publish', source.vmid, '--name', 'workspace', '--json'], key === undefined ? {} : { key })
  expect([(await publish()).json.version, (await publish()).json.version]).toEqual([1, 2])
  const series = await template(0, ['series', 'workspace'])
  expect(series.json).toMatchObject([{ name: 'workspace@2', version: 2, here: true, base: { name: 'tiny@1' }, depth: 1 }, { name: 'workspace@1' }])
  const tree = await template(0, ['tree', 'tiny'])
  expect(tree.json[0].children.map((one: { name: string }) => one.name)).toEqual(['workspace@1', 'workspace@2'])
  expect((await plant(0).cli(['template', 'tree'])).stdout).toMatch(/^tiny@1 .*\n├─ workspace@1 .*\n└─ workspace@2 /)
  await collectAll()
})

test('a name is its owner\'s: somebody else cannot publish under it', async () => {
  const key = host.key('stranger')
  const own = (await order('tiny', [], { key, requirements: `PeerId == "${plant(0).peerId}"` })).json
  const refused = await plant(0).cli(['golden', 'publish', own.vmid, '--name', 'workspace', '--json'], { key })
  expect(refused.json.error).toMatchObject({ code: 'GOLDEN_EXISTS', details: { name: 'workspace' } })
  expect((await plant(0).cli(['collect', '--all'], { key })).status).toBe(0)
})

test('an order by series gets the newest, by version that one, and then by series the most recently used', async () => {
  const requirements = `PeerId == "${plant(0).peerId}"`
  const first = await order('workspace', [], { requirements })
  expect(made(first)).toBe(2)
  expect(first.json.attributes.Golden).toBe('workspace@2')
  expect((await plant(0).cli(['exec', first.json.vmid, '--', 'cat', '/etc/motd'])).stdout).toBe('hello\n')
  expect(made(await order('workspace@1', [], { requirements }))).toBe(1)
  const third = await order('workspace', [], { via: 1, requirements })
  expect(made(third)).toBe(1)
  expect((await plant(1).cli(['why', third.json.orderId])).stdout).toContain('golden machine workspace@1')
  const none = await order('workspace@9')
  expect([none.status, none.json.error.code]).toEqual([3, 'ORDER_REFUSED'])
  await collectAll()
})

test('a label put on at one plant is found at another, followed, and taken off again', async () => {
  expect((await template(0, ['label', 'tiny', 'stable'])).json).toMatchObject({ template: 'tiny@1', label: 'stable', on: true })
  const find = async (): Promise<string[]> => namesOf(await template(1, ['find', 'member("stable", Labels) && Isa != "z80"']))
  await until(async () => (await find()).length === 1, 10_000, 'the label is found')
  expect(await find()).toEqual(['tiny@1'])
  expect((await template(1, ['follow', 'stable'])).json).toMatchObject([{ name: 'tiny@1', new: true }])
  expect((await template(0, ['follow', 'stable'])).json).toMatchObject([{ name: 'tiny@1', new: false }])
  const stranger = await template(1, ['unlabel', 'tiny', 'stable'], { key: host.key('stranger') })
  expect(stranger.json).toMatchObject({ on: false, others: [expect.any(String)] })
  expect(await find()).toEqual(['tiny@1'])
  expect((await template(1, ['unlabel', 'tiny', 'stable'])).json).toMatchObject({ others: [] })
  await until(async () => namesOf(await template(0, ['find', 'member("stable", Labels)'])).length === 0, 10_000, 'the label is off')
  expect((await template(0, ['unfollow', 'stable'])).json).toMatchObject({ was: true })
})

test('an order by a label gets the template that its owner put it on; a stranger\'s label counts for nobody else', async () => {
  expect((await template(0, ['label', 'workspace@2', 'good'])).status).toBe(0)
  expect((await template(0, ['label', 'workspace@1', 'bad'], { key: host.key('stranger') })).status).toBe(0)
  expect(made(await order('good', [], { via: 1 }))).toBe(2)
  expect((await order('bad')).status).toBe(3)
  expect((await order('good', [], { key: host.key('stranger') })).status).toBe(3)
  await collectAll()
})

test('what is watched comes as it is labelled, a line each', async () => {
  const child = spawn(process.execPath, [new URL('../../node/main.ts', import.meta.url).pathname, 'template', 'follow', 'fresh', '--watch', '--json'], { env: { ...process.env, PLANTMESH_API: plant(1).api, PLANTMESH_KEY: host.key('owner') } })
  let out = ''
  child.stdout.on('data', (bytes: Buffer) => { out += bytes.toString() })
  expect((await template(0, ['label', 'tiny', 'fresh'])).status).toBe(0)
  await until(() => out.includes('\n'), 15_000, 'a line')
  const ended = new Promise((resolve) => { child.on('exit', resolve) })
  child.kill('SIGINT')
  expect(await ended).toBe(130)
  expect(JSON.parse(out.split('\n')[0] ?? '')).toMatchObject({ name: 'tiny@1', new: true })
})

test('removal is refused while machines or children are there, and to who may not; then it is gone, and its number is not given again', async () => {
  const machine = (await order('workspace@1')).json
  expect((await template(0, ['remove', 'workspace@1'])).json.error).toMatchObject({ code: 'TEMPLATE_IN_USE', details: { vmids: [machine.vmid], templates: ['workspace@1'] } })
  await collectAll()
  const stranger = await template(0, ['remove', 'workspace@1'], { key: host.key('stranger') })
  expect([stranger.status, stranger.json.error.code]).toEqual([1, 'NOT_AUTHORISED'])
  expect((await template(0, ['remove', 'workspace@1'])).json).toMatchObject({ removed: ['workspace@1'] })
  expect(namesOf(await template(0, ['series', 'workspace']))).toEqual(['workspace@2'])
  expect((await order('workspace@1')).status).toBe(3)
  expect((await template(0, ['remove', 'workspace@1'])).status).toBe(4)
  const next = (await order('workspace')).json
  expect((await plant(0).cli(['golden', 'publish', next.vmid, '--name', 'workspace', '--json'])).json).toMatchObject({ version: 3, from: expect.any(String) })
  await collectAll()
  expect((await template(0, ['remove', 'workspace@2'])).json.error).toMatchObject({ code: 'TEMPLATE_IN_USE', details: { children: ['workspace@3'], vmids: [] } })
  expect((await template(0, ['remove', 'workspace'])).json.removed.toSorted()).toEqual(['workspace@2', 'workspace@3'])
}, 300_000)

test('a removal asked for at one plant takes the copies of all, and is not fetched again', async () => {
  const source = (await order('tiny', [MOTD], { requirements: `PeerId == "${plant(0).peerId}"` })).json
  expect((await plant(0).cli(['golden', 'publish', source.vmid, '--name', 'spread', '--json'])).json).toMatchObject({ version: 1 })
  await collectAll()
  await until(async () => namesOf(await template(1, ['tree'])).length > 0 && (await template(1, ['series', 'spread'])).status === 0, 20_000, 'the other plant has heard of it')
  expect((await plant(1).cli(['golden', 'fetch', 'spread', '--json'])).status).toBe(0)
  expect((await template(1, ['series', 'spread'])).json).toMatchObject([{ here: true }])
  expect((await template(1, ['remove', 'spread'])).json).toMatchObject({ removed: ['spread@1'], silent: [] })
  for (const i of [0, 1]) await until(async () => (await plant(i).cli(['golden', 'show', 'spread'])).status === 4, 10_000, 'it is off the shelf')
  expect((await order('spread')).status).toBe(3)
}, 300_000)

test('a label that a plant was killed right after, before any other heard of it, is there when it is back', async () => {
  await plant(1).kill('SIGKILL')
  expect((await template(0, ['label', 'tiny', 'kept'])).status).toBe(0)
  await plant(0).kill('SIGKILL')
  const first = await host.plant({ dataDir: plant(0).dataDir })
  plants = [first, await host.plant({ dataDir: plant(1).dataDir, bootstrap: first.addresses })]
  await until(async () => namesOf(await template(1, ['find', 'member("kept", Labels)'])).includes('tiny@1'), 20_000, 'the label has come')
})

test('wrong use says what is wrong, with its exit status', async () => {
  expect((await template(0, ['find', 'Labels &&'])).json.error.code).toBe('EXPRESSION_INVALID')
  expect((await template(0, ['find', 'Labels &&'])).status).toBe(2)
  const long = Array.from({ length: 1_500 }, () => 'Name == "none"').join(' || ')
  for (const expression of [`false && (${'1 + '.repeat(2_000)}1 == 0) || é`, 'x'.repeat(70_000)]) expect((await template(0, ['find', expression])).json.error.code).toBe('EXPRESSION_INVALID')
  expect([0, 2]).toContain((await template(0, ['find', long])).status)
  expect(namesOf(await template(0, ['find', `true || "${'é'.repeat(9_000)}" == Name`]))).toContain('tiny@1')
  expect((await template(0, ['label', 'tiny', 'two words'])).status).toBe(2)
  expect((await template(0, ['label', 'nothing', 'good'])).status).toBe(4)
  expect((await template(0, ['series', 'nothing'])).status).toBe(4)
})
