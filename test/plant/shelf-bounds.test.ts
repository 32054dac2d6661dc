/** What clients can make grow on a plant's shelf has a bound: golden machines that they publish, and sizes that they order. */
import { createHash } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { LiveMachine, ProductionLine } from '../../node/lines/line.ts'
import { PUBLISHED_PER_DOMAIN_MAX, publishMachine, type Publishing } from '../../node/plant/publish.ts'
import { SIZES_KEPT_MAX, resizer } from '../../node/plant/resizer.ts'
import { keyIdOf } from '../../protocols/kit/index.ts'
import { checkOrder } from '../../protocols/order/index.ts'
import { openWarehouse, type FsWarehouse } from '../../storage/drivers/fs-warehouse.ts'
import type { MachineRecord } from '../../storage/records/records.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { keys } from '../storage/records-support.ts'
import { fakeLog } from '../support/fake-log.ts'

const never = new AbortController().signal
const clock = new FakeClock()
const order = checkOrder({ apiVersion: 'plantmesh/v1', kind: 'Machine', metadata: { name: 'm' }, software: { os: 'tiny', actions: [{ id: 'a', script: 'true' }] } })
let warehouse: FsWarehouse
let dir: string
let published = 0

/** Writes a small file where a line would write gigabytes. */
const fakeLine = {
  kind: 'qemu', isa: 'x86_64', fingerprint: 'fake',
  publish: async (_machine: LiveMachine, to: string) => {
    await writeFile(join(to, 'ram'), String(published++))
    return { diskMiB: 512 }
  },
  resize: async (_golden: unknown, _from: string, { memoryMiB }: { memoryMiB: number }, to: string) => writeFile(join(to, 'ram'), String(memoryMiB))
} as unknown as ProductionLine

const record = (domainKey: string, more: Partial<MachineRecord> = {}): MachineRecord => ({
  domain: 'd', domainKey: keyIdOf(createHash('sha256').update(domainKey).digest()), lease: { cpus: 1, memoryMiB: 256, diskMiB: 512 }, plan: { goldenId: 'none', goldenName: 'tiny', actionsDone: [], actionsRun: ['a'] }, attributes: {}, ...more
} as MachineRecord)

async function publish (name: string, of: MachineRecord, publishing: Publishing = new Set()): Promise<unknown> {
  return publishMachine({ record: of, order, machine: {} as LiveMachine, name }, { clock, warehouse, line: fakeLine, publishing, templates: { named: async () => warehouse.list(), removedVersion: () => 0 } }, () => {}, never)
}

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'plantmesh-shelf-'))
  warehouse = await openWarehouse({ dir, clock, log: fakeLog(), ...keys })
})
afterEach(async () => {
  await warehouse.close()
  await rm(dir, { recursive: true })
})

test('a domain publishes so many golden machines and no more, another still may', async () => {
  for (let n = 0; n < PUBLISHED_PER_DOMAIN_MAX; n++) await publish(`mine-${n}`, record('greedy'))
  await expect(publish('one-more', record('greedy'))).rejects.toMatchObject({ code: 'LIMIT', details: { max: PUBLISHED_PER_DOMAIN_MAX } })
  await publish('one-more', record('modest'))
  expect(warehouse.list()).toHaveLength(PUBLISHED_PER_DOMAIN_MAX + 1)
})

test('two that a domain publishes under one name at once are two versions', async () => {
  const publishing: Publishing = new Set()
  const both = await Promise.all([publish('same', record('d'), publishing), publish('same', record('d'), publishing)])
  expect(both).toMatchObject([{ name: 'same', version: 1 }, { name: 'same', version: 2 }])
  expect(publishing.size).toBe(0)
})

test('of two domains that publish under one name at once, one is refused before its machine is touched', async () => {
  const publishing: Publishing = new Set()
  const before = published
  const [one, two] = await Promise.allSettled([publish('same', record('d'), publishing), publish('same', record('e'), publishing)])
  expect([one.status, two.status].sort()).toEqual(['fulfilled', 'rejected'])
  expect(published).toBe(before + 1)
  expect(publishing.size).toBe(0)
})

test('a machine whose failed action was mended is refused before it is touched', async () => {
  const before = published
  await expect(publish('mended', record('d', { plan: { goldenId: 'none', goldenName: 'tiny', actionsDone: [], actionsRun: [] } }))).rejects.toMatchObject({ code: 'VM_STATE' })
  expect(published).toBe(before)
})

test('of ever new sizes the latest are kept', async () => {
  const base = await publish('base', record('d')) as Parameters<ReturnType<typeof resizer>['resized']>[0]
  const { resized } = resizer({ warehouse, line: fakeLine, clock, log: fakeLog() })
  for (let n = 0; n < SIZES_KEPT_MAX + 3; n++) {
    await clock.advance(1)
    await resized(base, { cpus: 1, memoryMiB: 512 + n }, never)
  }
  const sizes = warehouse.list().filter((golden) => golden.from === base.goldenId).map(({ hardware }) => hardware.memoryMiB).sort((a, b) => a - b)
  expect(sizes).toHaveLength(SIZES_KEPT_MAX)
  expect(sizes[0]).toBe(512 + 3)
  expect(warehouse.get(base.goldenId)).toBeDefined()
})
