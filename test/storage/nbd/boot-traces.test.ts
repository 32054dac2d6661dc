/** Orders of boots on disk: kept, replaced, bounded, and never in the way. */
import { mkdtemp, readdir, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { GoldenId } from '../../../protocols/kit/index.ts'
import { BootTraces } from '../../../storage/drivers/boot-traces.ts'
import { BOOT_TRACES_MAX, BOOT_TRACE_BYTES_MAX } from '../../../storage/drivers/warehouse-limits.ts'
import { fakeLog } from '../../support/fake-log.ts'

let dir = ''
beforeEach(async () => { dir = await mkdtemp(join(tmpdir(), 'pm-traces-')) })
afterEach(async () => { await rm(dir, { recursive: true, force: true }) })

test('a trace is found again, by another run too, and replaced by the next', async () => {
  const id = 'a'.repeat(32) as GoldenId
  const there = join(dir, 'traces')
  await new BootTraces(there, fakeLog()).put(id, 'disk', [[3, 2]])
  expect(await new BootTraces(there, fakeLog()).get(id, 'disk')).toEqual([[3, 2]])
  await new BootTraces(there, fakeLog()).put(id, 'disk', [[1, 1]])
  expect(await new BootTraces(there, fakeLog()).get(id, 'disk')).toEqual([[1, 1]])
})

test('what is cut off, too long or cannot be kept is none', async () => {
  const traces = new BootTraces(dir, fakeLog())
  expect(await traces.get('none' as GoldenId, 'disk')).toBeUndefined()
  await writeFile(join(dir, 'cut.disk.json'), '[[1,')
  await truncate(join(dir, 'cut.disk.json'), 3)
  expect(await traces.get('cut' as GoldenId, 'disk')).toBeUndefined()
  await writeFile(join(dir, 'long.disk.json'), ' '.repeat(BOOT_TRACE_BYTES_MAX) + '[]')
  expect(await traces.get('long' as GoldenId, 'disk')).toBeUndefined()
  await new BootTraces(join(dir, 'cut.disk.json'), fakeLog()).put('x' as GoldenId, 'disk', [[1, 1]])
})

test('so many are kept and no more', async () => {
  const traces = new BootTraces(dir, fakeLog())
  for (let i = 0; i < BOOT_TRACES_MAX; i++) await writeFile(join(dir, `${i}.json`), '[]')
  await traces.put('last' as GoldenId, 'disk', [[0, 1]])
  expect((await readdir(dir)).length).toBe(BOOT_TRACES_MAX)
  expect(await traces.get('last' as GoldenId, 'disk')).toEqual([[0, 1]])
})
