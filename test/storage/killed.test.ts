/** What a kill leaves at every step that changes the disk: whole or not at all, nothing beside it, and no verified piece fetched twice. */
import { randomInt } from 'node:crypto'
import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { FsWarehouse } from '../../storage/drivers/fs-warehouse.ts'
import { carry, closeAll, offered, openAt, randomPieces, shelved } from './image-support.ts'
import { child, tempDir } from './support.ts'

interface Stage { dir: string, source: string, snapshots: string, content: Buffer }

async function stage (): Promise<Stage> {
  const parent = await tempDir()
  const [dir, source, snapshots] = [join(parent, 'warehouse'), join(parent, 'disk'), join(parent, 'snapshots')]
  await mkdir(snapshots)
  const content = randomPieces(6)
  await writeFile(source, content)
  return { dir, source, snapshots, content }
}

async function steps (job: string, { dir, source, snapshots }: Stage, killAt?: number): Promise<{ status: number | null, count: number }> {
  const run = child('warehouse-steps.ts', [job, dir, source, snapshots, ...(killAt === undefined ? [] : [String(killAt)])])
  let count = 0
  for await (const line of run.lines) count = Number(/^steps (\d+)$/.exec(line)?.[1] ?? 0)
  return { status: await run.exited, count }
}

/** Each copy, opened as the next start would, in the order of the steps. */
async function eachLeft (of: Stage, check: (left: FsWarehouse, dir: string, acknowledged: number) => Promise<void>): Promise<number> {
  const names = (await readdir(of.snapshots)).sort((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10))
  for (const name of names) {
    const dir = join(of.snapshots, name)
    const left = await openAt(dir)
    expect(await readdir(join(dir, 'drafts'))).toEqual([])
    await check(left, dir, Number(name.split('-')[1]))
    await closeAll()
  }
  return names.length
}

const filesOf = async (warehouse: FsWarehouse, name: string): Promise<Buffer | undefined> => {
  const golden = warehouse.list().find((one) => one.name === name)
  return golden === undefined ? undefined : readFile(join(await warehouse.verified(golden.goldenId), 'disk'))
}

for (const job of ['commit', 'child']) {
  test(`${job}: a golden machine is there whole or not at all`, async () => {
    const of = await stage()
    const before = await openAt(of.dir)
    const base = Buffer.from(of.content)
    randomPieces(1).copy(base)
    await shelved(before, 'base', { disk: base })
    await closeAll()
    expect(await steps(job, of)).toMatchObject({ status: 0 })
    let whole = 0
    const count = await eachLeft(of, async (left, dir) => {
      expect((await filesOf(left, 'base'))?.equals(base)).toBe(true)
      const made = await filesOf(left, job)
      if (made !== undefined) expect(made.equals(of.content)).toBe(true)
      whole += made === undefined ? 0 : 1
      expect((await readdir(join(dir, 'packs'))).length).toBe(made === undefined ? 1 : 2)
      expect([left.list().length, left.incoming()]).toEqual([made === undefined ? 1 : 2, []])
    })
    expect(count).toBeGreaterThan(12)
    expect(whole).toBeGreaterThan(0)
  })
}

test('receive: what was acknowledged is not fetched again, and the rest ends on the shelf', async () => {
  const of = await stage()
  const source = join(of.dir, '..', 'source')
  const from = await openAt(source)
  const base = await shelved(from, 'base', { disk: randomPieces(8) })
  const content = Buffer.concat([await readFile(join(await from.verified(base.goldenId), 'disk')), of.content])
  const far = await shelved(from, 'far', { disk: content.subarray(2 * 65_536) }, base.goldenId)
  const offer = await offered(from, far.goldenId)
  await closeAll()
  expect(await steps('receive', { ...of, source })).toMatchObject({ status: 0 })
  let partly = 0
  const count = await eachLeft(of, async (left, _dir, acknowledged) => {
    const seed = await openAt(source)
    const [image] = left.incoming()
    if (image !== undefined) {
      expect(image.missing()).toBeLessThanOrEqual(12 - acknowledged)
      partly += image.missing() < 12 ? 1 : 0
    } else if (left.list().length === 0) {
      expect(acknowledged).toBe(0)
    }
    if (left.list().length === 0) {
      const again = await left.receive(offer.manifest, offer.info)
      await carry(seed, again)
      await again.complete
    }
    expect((await filesOf(left, 'far'))?.equals(content.subarray(2 * 65_536))).toBe(true)
    expect(await left.signedManifest(far.goldenId)).toEqual(offer)
  })
  expect(count).toBeGreaterThan(30)
  expect(partly).toBeGreaterThan(10)
})

test('remove: a golden machine is there whole, or gone with all it had', async () => {
  const of = await stage()
  await shelved(await openAt(of.dir), 'base', { disk: of.content })
  await closeAll()
  expect(await steps('remove', of)).toMatchObject({ status: 0 })
  await eachLeft(of, async (left, dir) => {
    const there = await filesOf(left, 'base')
    if (there !== undefined) expect(there.equals(of.content)).toBe(true)
    const [golden, packs] = [await readdir(join(dir, 'golden')), await readdir(join(dir, 'packs'))]
    // Taken off, and kept for those who may pin it anew after a restart.
    expect([golden.length, packs.length]).toEqual(golden.length === 0 ? [0, 0] : [1, 1])
  })
})

test('a process that is killed leaves what the copies of its steps say', async () => {
  for (const job of ['child', 'receive']) {
    const of = await stage()
    const source = job === 'receive' ? join(of.dir, '..', 'source') : of.source
    const seed = await openAt(job === 'receive' ? source : of.dir)
    const golden = await shelved(seed, job === 'receive' ? 'far' : 'base', { disk: of.content })
    await closeAll()
    for (let n = 0; n < 3; n++) {
      const run = await steps(job, { ...of, source }, randomInt(1, 11)) // A child of no new piece takes ten steps.
      expect(run).toEqual({ status: null, count: 0 })
      const left = await openAt(of.dir)
      if (job === 'child') expect((await filesOf(left, 'base'))?.equals(of.content)).toBe(true)
      else expect(left.incoming().every((image) => image.goldenId === golden.goldenId)).toBe(true)
      expect(await readdir(join(of.dir, 'drafts'))).toEqual([])
      for (const image of left.incoming()) await left.remove(image.goldenId)
      await closeAll()
    }
  }
})
