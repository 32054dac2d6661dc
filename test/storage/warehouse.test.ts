import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { appendFile, chmod, mkdir, open, readFile, readdir, rm, stat, symlink, truncate, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeEach, describe, expect, test } from 'vitest'
import { PIECE_BYTES } from '../../protocols/image/index.ts'
import { encode, keyIdOf, type GoldenId, type PlantError } from '../../protocols/kit/index.ts'
import type { Golden } from '../../protocols/order/golden.ts'
import { openWarehouse, type FsWarehouse } from '../../storage/drivers/fs-warehouse.ts'
import { HASH_THREAD_BYTES_MIN, QUARANTINE_MAX, REMOVED_KEPT_MS } from '../../storage/drivers/warehouse-limits.ts'
import { FakeStandingClock, child, keys, quietLog, tempDir } from './support.ts'
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
const opened: FsWarehouse[] = []
/** A plant that ended without closing it leaves its files open until the test ends. */
const openHere = async (): Promise<FsWarehouse> => {
  const made = await openWarehouse({ dir, clock, log: quietLog, ...keys })
  opened.push(made)
  return made
}
beforeEach(async () => {
  dir = join(await tempDir(), 'warehouse')
  clock = new FakeAlarmClock()
  warehouse = await openHere()
  return async () => { for (const one of opened.splice(0)) await one.close().catch(() => {}) } // What another one has removed.
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
    const pieces = (bytes: Buffer): Buffer => Buffer.concat(Array.from({ length: Math.ceil(bytes.length / PIECE_BYTES) }, (_, i) => createHash('sha256').update(Buffer.concat([bytes.subarray(i * PIECE_BYTES, (i + 1) * PIECE_BYTES)], PIECE_BYTES)).digest()))
    const root = (bytes: Buffer): string => createHash('sha256').update(encode(['plantmesh/file-root/1', bytes.length])).update(pieces(bytes)).digest('hex')
    expect(golden.files).toEqual([
      { name: 'kernel', bytes: 14, root: root(Buffer.from('kernel of tiny')) },
      { name: 'ram', bytes: ramBytes, root: root(Buffer.alloc(ramBytes, 7)) }
    ])
    expect(golden.publisher).toBe(keyIdOf(keys.signer.publicKey))
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
  test('has its files made again when they are altered, also with their times put back, missing, grown or cut', async () => {
    const golden = await put()
    const goldenDir = await warehouse.verified(golden.goldenId)
    const spoil: Array<(path: string) => Promise<void>> = [alter, rm, async (path) => appendFile(path, 'x'), async (path) => writeFile(path, '')]
    for (const how of spoil) {
      for (const file of ['kernel', 'ram']) {
        await chmod(join(goldenDir, file), 0o600)
        await how(join(goldenDir, file))
        if (how === spoil[0]) warehouse = await openHere() // While no plant ran.
        expect(await warehouse.verified(golden.goldenId)).toBe(goldenDir)
        expect((await readFile(join(goldenDir, file))).equals(file === 'ram' ? Buffer.alloc(ramBytes, 7) : Buffer.from('kernel of tiny'))).toBe(true)
        expect((await stat(join(goldenDir, 'kernel'))).mode & 0o777).toBe(0o444)
      }
    }
    expect(warehouse.list()).toEqual([golden])
    expect(await left('drafts')).toEqual([])
  })

  test('is refused and named when a piece of its pack is altered, and back on the shelf when that is fetched again', async () => {
    const golden = await put()
    const goldenDir = await warehouse.verified(golden.goldenId)
    const [pack] = warehouse.packs()
    if (pack === undefined) throw new Error('it has a pack')
    const first = await pack.read(0)
    await alter(join(dir, 'packs', pack.infoHash, 'pack'))
    await rm(join(goldenDir, 'kernel'))
    warehouse = await openHere()
    const both = await Promise.allSettled([warehouse.verified(golden.goldenId), warehouse.verified(golden.goldenId)])
    expect(both.map((one) => one.status === 'rejected' && (one.reason as PlantError).report())).toEqual([0, 1].map(() => expect.objectContaining({ code: 'GOLDEN_CORRUPT', details: expect.objectContaining({ file: 'kernel', pieces: 1 }) })))
    expect([warehouse.list(), warehouse.incoming().map((image) => image.missing())]).toEqual([[], [1]])
    await expect(warehouse.verified(golden.goldenId)).rejects.toMatchObject({ code: 'IMAGE_INCOMPLETE', details: { missing: 1 } })
    const [damaged] = warehouse.packs()
    expect([damaged?.has(0), damaged?.has(1)]).toEqual([false, true])
    const [incoming] = warehouse.incoming()
    expect(await damaged?.write(0, new Uint8Array(PIECE_BYTES))).toBe(false)
    expect(await damaged?.write(0, first)).toBe(true)
    await incoming?.complete
    expect(await readFile(join(await warehouse.verified(golden.goldenId), 'kernel'), 'utf8')).toBe('kernel of tiny')
    expect(warehouse.list()).toEqual([golden])
  })

  test('is set aside at opening when its description was altered, and few such are kept', async () => {
    for (let n = 0; n < QUARANTINE_MAX + 2; n++) {
      const golden = await put(`g${n}`)
      const path = join(dir, 'golden', golden.goldenId, 'description.json')
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
    // Going over 64 MiB takes a thread and some 50 ms, looking at a file's times under one.
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
    clock.alarms = []
    warehouse = await openHere()
    expect([warehouse.list(), warehouse.get(golden.goldenId)]).toEqual([[], golden])
    expect(clock.alarms.map(({ ms }) => ms)).toEqual([REMOVED_KEPT_MS])
    const again = warehouse.pin(golden.goldenId)
    for (const { fn } of clock.alarms) fn()
    expect(existsSync(join(goldenDir, 'ram'))).toBe(true)
    again()
    await until(() => !existsSync(goldenDir))
    await until(async () => (await left('packs')).length + (await left('drafts')).length === 0)
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
    const other = await openWarehouse({ dir: join(await tempDir(), 'other'), clock, log: quietLog, ...keys })
    expect(await other.importFrom(dir)).toEqual([golden])
    expect(await other.importFrom(dir)).toEqual([])
    await other.verifyAll()
    const [from, to] = [await warehouse.verified(golden.goldenId), await other.verified(golden.goldenId)]
    expect((await stat(join(to, 'ram'))).ino).toBe((await stat(join(from, 'ram'))).ino)
    await other.remove(golden.goldenId)
    expect(await warehouse.verified(golden.goldenId)).toBe(from)
    await expect(other.importFrom(join(dir, 'nowhere'))).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
    await other.close()
  })

  test('leaves out what is broken in the source and takes the rest', async () => {
    const [broken, missing, sound] = [await put('broken'), await put('missing'), await put('sound')]
    const description = join(dir, 'golden', broken.goldenId, 'description.json')
    await chmod(description, 0o600)
    await appendFile(description, 'x')
    await rm(join(dir, 'golden', missing.goldenId, 'manifest'))
    await mkdir(join(dir, 'golden', 'rubbish'))
    const otherDir = join(await tempDir(), 'other')
    const other = await openWarehouse({ dir: otherDir, clock, log: quietLog, ...keys })
    expect(await other.importFrom(dir)).toEqual([sound])
    expect(other.list()).toEqual([sound])
    expect(await readdir(join(otherDir, 'drafts'))).toEqual([])
    await other.close()
  })
})
