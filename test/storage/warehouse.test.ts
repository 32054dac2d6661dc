import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { appendFile, chmod, mkdir, open, readFile, readdir, rm, stat, symlink, truncate, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeEach, describe, expect, test } from 'vitest'
import type { GoldenId } from '../../protocols/kit/index.ts'
import type { Golden } from '../../protocols/order/golden.ts'
import { openWarehouse, type FsWarehouse } from '../../storage/drivers/fs-warehouse.ts'
import { HASH_THREAD_BYTES_MIN, QUARANTINE_MAX, REMOVED_KEPT_MS } from '../../storage/drivers/warehouse-limits.ts'
import { FakeStandingClock, child, quietLog, tempDir } from './support.ts'
import { descriptionOf } from './records-support.ts'

/** Keeps what is to be called later, until the test calls it. */
class FakeAlarmClock extends FakeStandingClock {
  alarms: Array<{ ms: number, fn: () => void }> = []
  override after (ms?: number, fn?: () => void): () => void {
    if (ms !== undefined && fn !== undefined) this.alarms.push({ ms, fn })
    return () => {}
  }
}

let dir = ''
let clock = new FakeAlarmClock()
let warehouse: FsWarehouse
const openHere = async (): Promise<FsWarehouse> => openWarehouse({ dir, clock, log: quietLog })
beforeEach(async () => {
  dir = join(await tempDir(), 'warehouse')
  clock = new FakeAlarmClock()
  warehouse = await openHere()
  return () => { warehouse.close() }
})

const ramBytes = HASH_THREAD_BYTES_MIN + 1
async function put (name = 'tiny', into = warehouse): Promise<Golden> {
  const draft = await into.draft()
  await writeFile(join(draft.dir, 'kernel'), `kernel of ${name}`)
  await writeFile(join(draft.dir, 'ram'), Buffer.alloc(ramBytes, 7))
  return draft.commit(descriptionOf(name))
}
const left = async (part: string): Promise<string[]> => readdir(join(dir, part))

async function until (condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let i = 0; i < 1_000; i++) {
    if (await condition()) return
    await new Promise((resolve) => { setTimeout(resolve, 5) })
  }
  throw new Error('not within five seconds')
}

/** Changes one byte in place, whatever the mode, and puts the times back as they were. */
async function alter (path: string, at = 3): Promise<void> {
  const { atime, mtime } = await stat(path)
  await chmod(path, 0o600)
  const file = await open(path, 'r+')
  await file.write(Uint8Array.of(0x5a), 0, 1, at)
  await file.close()
  await utimes(path, atime, mtime)
}

describe('a draft', () => {
  test('is on the shelf whole when committed, read-only, and there again after opening anew', async () => {
    let changes = 0
    warehouse.onChange(() => changes++)
    const golden = await put()
    expect(changes).toBe(1)
    expect(warehouse.list()).toEqual([golden])
    expect(golden.files).toEqual([
      { name: 'kernel', bytes: 14, sha256: createHash('sha256').update('kernel of tiny').digest('hex') },
      { name: 'ram', bytes: ramBytes, sha256: createHash('sha256').update(Buffer.alloc(ramBytes, 7)).digest('hex') }
    ])
    const goldenDir = await warehouse.verified(golden.goldenId)
    expect((await stat(join(goldenDir, 'kernel'))).mode & 0o777).toBe(0o444)
    expect((await stat(join(goldenDir, 'ram'))).mode & 0o777).toBe(process.getuid?.() === 0 ? 0o444 : 0o644)
    warehouse = await openHere()
    expect(warehouse.list()).toEqual([golden])
    expect(await warehouse.verified(golden.goldenId)).toBe(goldenDir)
    expect(await left('drafts')).toEqual([])
  })

  test('leaves nothing when discarded, refused, aborted or left by a crash', async () => {
    const draft = await warehouse.draft()
    await writeFile(join(draft.dir, 'kernel'), 'k')
    await draft.discard()
    const empty = await warehouse.draft()
    await expect(empty.commit(descriptionOf('e'))).rejects.toThrow('GOLDEN_BUILD_FAILED')
    const linked = await warehouse.draft()
    await symlink('/etc/passwd', join(linked.dir, 'kernel'))
    await expect(linked.commit(descriptionOf('l'))).rejects.toThrow('GOLDEN_BUILD_FAILED')
    const aborted = await warehouse.draft()
    await writeFile(join(aborted.dir, 'ram'), Buffer.alloc(ramBytes))
    await expect(aborted.commit(descriptionOf('a'), AbortSignal.abort(new Error('enough')))).rejects.toThrow('enough')
    expect(await left('drafts')).toEqual([])
    await writeFile(join((await warehouse.draft()).dir, 'ram'), 'half')
    warehouse = await openHere()
    expect([await left('drafts'), await left('golden')]).toEqual([[], []])
  })

  test('says that the disk is full, and leaves nothing, when there is no room', async () => {
    const golden = await put()
    const other = join(await tempDir(), 'other')
    const full = child('warehouse-full.ts', [dir, other], { fileBlocksMax: 0 })
    const lines: string[] = []
    for await (const line of full.lines) lines.push(line)
    expect(lines).toEqual(['commit DISK_FULL', 'import DISK_FULL', 'shelf 0'])
    expect([await readdir(join(other, 'drafts')), await readdir(join(other, 'golden'))]).toEqual([[], []])
    expect(await warehouse.verified(golden.goldenId)).toContain(golden.goldenId)
  })
})

describe('a golden machine', () => {
  test('is refused, named and set aside when a file is altered, also with its times put back', async () => {
    for (const file of ['kernel', 'ram']) {
      const golden = await put(file)
      const goldenDir = await warehouse.verified(golden.goldenId)
      await alter(join(goldenDir, file))
      const expected = golden.files.find((f) => f.name === file)?.sha256
      await expect(warehouse.verified(golden.goldenId)).rejects.toMatchObject({ code: 'GOLDEN_CORRUPT', details: { file, expected, found: expect.stringMatching(/^[0-9a-f]{64}$/) } })
      expect(warehouse.list()).toEqual([])
      await expect(warehouse.verified(golden.goldenId)).rejects.toThrow('GOLDEN_UNKNOWN')
      expect(existsSync(goldenDir)).toBe(false)
    }
    expect((await left('quarantine')).length).toBe(2)
  })

  test('is refused at first use when it was altered while no plant ran', async () => {
    const golden = await put()
    await alter(join(await warehouse.verified(golden.goldenId), 'ram'))
    warehouse = await openHere()
    expect(await Promise.allSettled([warehouse.verified(golden.goldenId), warehouse.verified(golden.goldenId)]).then((all) => all.map((r) => r.status))).toEqual(['rejected', 'rejected'])
    expect(warehouse.list()).toEqual([])
  })

  test('is refused when a file is missing, grown or cut', async () => {
    const spoil: Array<(path: string) => Promise<void>> = [rm, async (path) => appendFile(path, 'x'), async (path) => writeFile(path, '')]
    for (const [n, how] of spoil.entries()) {
      const golden = await put(`g${n}`)
      const path = join(await warehouse.verified(golden.goldenId), 'kernel')
      await chmod(path, 0o600)
      await how(path)
      await expect(warehouse.verified(golden.goldenId)).rejects.toThrow('GOLDEN_CORRUPT')
    }
  })

  test('is set aside at opening when its description was altered, and few such are kept', async () => {
    for (let n = 0; n < QUARANTINE_MAX + 2; n++) {
      const golden = await put(`g${n}`)
      const path = join(await warehouse.verified(golden.goldenId), 'description.json')
      const text = await readFile(path, 'utf8')
      await chmod(path, 0o600)
      await writeFile(path, n === 0 ? '{' : text.replace('"isa": "x86_64"', '"isa": "x86_63"'))
      warehouse = await openHere()
      expect(warehouse.list()).toEqual([])
    }
    expect((await left('quarantine')).length).toBe(QUARANTINE_MAX)
    expect(await left('golden')).toEqual([])
  })

  test('is not hashed again when nothing changed', async () => {
    const draft = await warehouse.draft()
    await writeFile(join(draft.dir, 'ram'), '')
    await truncate(join(draft.dir, 'ram'), 64 * 1024 * 1024)
    const golden = await draft.commit(descriptionOf('large'))
    warehouse = await openHere()
    const took = async (): Promise<number> => {
      const sinceMs = performance.now()
      await warehouse.verified(golden.goldenId)
      return performance.now() - sinceMs
    }
    // Hashing 64 MiB takes some 150 ms, looking at a file's times under one.
    expect(await took() / Math.min(await took(), await took(), await took())).toBeGreaterThan(4)
  })

  test('stays where it is while it is pinned, and goes with the last pin', async () => {
    const golden = await put()
    const goldenDir = await warehouse.verified(golden.goldenId)
    const [one, two] = [warehouse.pin(golden.goldenId), warehouse.pin(golden.goldenId)]
    await warehouse.remove(golden.goldenId)
    expect(warehouse.list()).toEqual([])
    await expect(warehouse.verified(golden.goldenId)).rejects.toThrow('GOLDEN_UNKNOWN')
    one()
    one()
    expect(existsSync(join(goldenDir, 'ram'))).toBe(true)
    // A restart: whoever adopts pins anew.
    warehouse = await openHere()
    expect([warehouse.list(), warehouse.get(golden.goldenId)]).toEqual([[], golden])
    expect(clock.alarms.map(({ ms }) => ms)).toEqual([REMOVED_KEPT_MS])
    const again = warehouse.pin(golden.goldenId)
    for (const { fn } of clock.alarms) fn()
    expect(existsSync(join(goldenDir, 'ram'))).toBe(true)
    again()
    await until(() => !existsSync(goldenDir))
    await until(async () => (await left('drafts')).length === 0)
    two()
    expect(warehouse.get(golden.goldenId)).toBeUndefined()
  })

  test('goes after a while when it was removed and no clone pins it anew', async () => {
    const golden = await put()
    const goldenDir = await warehouse.verified(golden.goldenId)
    warehouse.pin(golden.goldenId)
    await warehouse.remove(golden.goldenId)
    warehouse = await openHere()
    for (const { fn } of clock.alarms) fn()
    await until(() => !existsSync(goldenDir))
  })

  test('is not known when it never was there', async () => {
    const nobody = 'ab'.repeat(16) as GoldenId
    await expect(warehouse.verified(nobody)).rejects.toThrow('GOLDEN_UNKNOWN')
    await expect(warehouse.remove(nobody)).rejects.toThrow('GOLDEN_UNKNOWN')
    expect(() => warehouse.pin(nobody)).toThrow('GOLDEN_UNKNOWN')
  })

  test('stops being verified when nobody waits for it any more, and can be asked for again', async () => {
    const golden = await put()
    warehouse = await openHere()
    const stop = new AbortController()
    const waiting = warehouse.verified(golden.goldenId, stop.signal)
    stop.abort(new Error('enough'))
    await expect(waiting).rejects.toThrow('enough')
    expect(await warehouse.verified(golden.goldenId)).toContain(golden.goldenId)
  })
})

describe('an import', () => {
  test('shares the room of the source and brings each golden machine once', async () => {
    const golden = await put()
    const removed = await put('removed')
    warehouse.pin(removed.goldenId)
    await warehouse.remove(removed.goldenId)
    const other = await openWarehouse({ dir: join(await tempDir(), 'other'), clock, log: quietLog })
    expect(await other.importFrom(dir)).toEqual([golden])
    expect(await other.importFrom(dir)).toEqual([])
    await other.verifyAll()
    const [from, to] = [await warehouse.verified(golden.goldenId), await other.verified(golden.goldenId)]
    expect((await stat(join(to, 'ram'))).ino).toBe((await stat(join(from, 'ram'))).ino)
    await other.remove(golden.goldenId)
    expect(await warehouse.verified(golden.goldenId)).toBe(from)
    await expect(other.importFrom(join(dir, 'nowhere'))).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
    other.close()
  })

  test('leaves out what is broken in the source and takes the rest', async () => {
    const [broken, missing, sound] = [await put('broken'), await put('missing'), await put('sound')]
    const description = join(dir, 'golden', broken.goldenId, 'description.json')
    await chmod(description, 0o600)
    await appendFile(description, 'x')
    await rm(join(dir, 'golden', missing.goldenId, 'ram'))
    await mkdir(join(dir, 'golden', 'rubbish'))
    const otherDir = join(await tempDir(), 'other')
    const other = await openWarehouse({ dir: otherDir, clock, log: quietLog })
    expect(await other.importFrom(dir)).toEqual([sound])
    expect(other.list()).toEqual([sound])
    expect(await readdir(join(otherDir, 'drafts'))).toEqual([])
    other.close()
  })
})
