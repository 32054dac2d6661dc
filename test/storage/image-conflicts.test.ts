/** Images that lie of each other's packs, are asked for twice, removed and wanted again, or used while they are cleaned up. */
import { readFile, readdir, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeEach, expect, test, vi } from 'vitest'
import { makeKey } from '../../node/drivers/key-file.ts'
import { encodeInfo, infoHashOf, signManifest, type Manifest } from '../../protocols/image/index.ts'
import { keyIdOf, type GoldenId } from '../../protocols/kit/index.ts'
import { goldenIdOf } from '../../protocols/order/golden-schema.ts'
import type { Golden } from '../../protocols/order/golden.ts'
import { FsPack } from '../../storage/drivers/fs-pack.ts'
import type { FsWarehouse } from '../../storage/drivers/fs-warehouse.ts'
import { RENDERED_IDLE_MS, RENDERED_LOOK_MS } from '../../storage/drivers/warehouse-limits.ts'
import { FakeTurnedClock, carry, closeAll, offered, openAt, randomPieces, shelved } from './image-support.ts'
import { keys, tempDir } from './support.ts'

let dir = ''
let clock = new FakeTurnedClock()
let here: FsWarehouse
let there: FsWarehouse
beforeEach(async () => {
  const parent = await tempDir()
  dir = join(parent, 'here')
  clock = new FakeTurnedClock()
  here = await openAt(dir, clock)
  there = await openAt(join(parent, 'there'))
  return closeAll
})

/** A base of eight pieces and a child that takes all but the last of them. */
async function family (): Promise<{ base: Golden, child: Golden }> {
  const content = randomPieces(8)
  const base = await shelved(there, 'base', { disk: content })
  return { base, child: await shelved(there, 'child', { disk: Buffer.concat([content.subarray(0, -65_536), randomPieces(1)]) }, base.goldenId) }
}

/** The manifest of a child as a stranger would forge it: signed by him, sound by itself, and with another word of its base's pack. */
async function forged (of: GoldenId, lie: (manifest: Manifest) => void): Promise<{ manifest: Uint8Array, info: Uint8Array }> {
  const found = await there.manifestOf(of)
  if (found === undefined) throw new Error('it has a manifest')
  const manifest = structuredClone(found)
  const signer = makeKey()
  lie(manifest)
  const { goldenId: _, ...rest } = manifest.golden
  const description = { ...rest, name: 'forged', publisher: keyIdOf(signer.publicKey) }
  const goldenId = goldenIdOf(description)
  const info = encodeInfo(goldenId, new Uint8Array(20 * (manifest.packs[0]?.pieces ?? 0)))
  const own = { goldenId, infoHash: infoHashOf(info), pieces: manifest.packs[0]?.pieces ?? 0 }
  return { info, manifest: signManifest(keys.crypto, signer, { ...manifest, golden: { goldenId, ...description }, packs: [own, ...manifest.packs.slice(1)] }) }
}

async function fetched (id: GoldenId): Promise<void> {
  const { manifest, info } = await offered(there, id)
  const image = await here.receive(manifest, info)
  await carry(there, image)
  await image.complete
}

async function until (condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let i = 0; i < 2_000; i++) {
    if (await condition()) return
    await new Promise((resolve) => { setTimeout(resolve, 5) })
  }
  throw new Error('not within ten seconds')
}

test('a pack is as long as its own manifest says, whoever said otherwise first', async () => {
  const { base, child } = await family()
  const lie = await forged(child.goldenId, ({ packs }) => { if (packs[1] !== undefined) packs[1].pieces = 7 })
  const liar = await here.receive(lie.manifest, lie.info)
  const honest = await offered(there, child.goldenId)
  await expect(here.receive(honest.manifest, honest.info)).rejects.toThrow('MANIFEST_INVALID')
  await fetched(base.goldenId)
  await until(() => here.get(liar.goldenId) === undefined)
  await fetched(child.goldenId)
  expect((await readFile(join(await here.verified(child.goldenId), 'disk'))).equals(await readFile(join(await there.verified(child.goldenId), 'disk')))).toBe(true)
})

test('what only a liar said of a pack is forgotten with it, though others still keep the pack', async () => {
  const { base, child } = await family()
  const other = await shelved(there, 'other', { disk: (await readFile(join(await there.verified(base.goldenId), 'disk'))).subarray(0, 65_536) }, base.goldenId)
  await fetched(other.goldenId)
  // Of pieces 1 and 2 of the base's pack it says that they are each other.
  const lie = await forged(child.goldenId, (manifest) => {
    const { hashes } = manifest
    const first = (manifest.places.find(({ pack }) => pack === 1)?.first ?? 0) + 1
    const [a, b] = [hashes.slice(32 * first, 32 * first + 32), hashes.slice(32 * first + 32, 32 * first + 64)]
    hashes.set(b, 32 * first)
    hashes.set(a, 32 * first + 32)
    for (const file of manifest.files) file.extents = file.extents.flatMap(({ at, count, piece }) => Array.from({ length: count }, (_, i) => ({ at: at + i, count: 1, piece: piece + i === first ? first + 1 : piece + i === first + 1 ? first : piece + i })))
  })
  const { goldenId } = await here.receive(lie.manifest, lie.info)
  const honest = await offered(there, child.goldenId)
  await expect(here.receive(honest.manifest, honest.info)).rejects.toThrow('MANIFEST_INVALID')
  await here.remove(goldenId)
  await fetched(child.goldenId)
  expect(here.list().map(({ name }) => name).sort()).toEqual(['child', 'other'])
})

test('two who ask for one image at once get the same', async () => {
  const { base } = await family()
  const { manifest, info } = await offered(there, base.goldenId)
  const [one, two] = await Promise.all([here.receive(manifest, info), here.receive(manifest, info)])
  expect(one).toBe(two)
  await carry(there, one)
  await two.complete
  expect(await readdir(join(dir, 'drafts'))).toEqual([])
})

test('what was removed while machines use it is put back when it is wanted again, also over a restart', async () => {
  const { base } = await family()
  await fetched(base.goldenId)
  const unpin = here.pin(base.goldenId)
  await here.remove(base.goldenId)
  expect(here.list()).toEqual([])
  const { manifest, info } = await offered(there, base.goldenId)
  const again = await here.receive(manifest, info)
  expect([again.missing(), here.list().length]).toEqual([0, 1])
  await again.complete
  unpin()
  expect((await readFile(join(await here.verified(base.goldenId), 'disk'))).length).toBe(8 * 65_536)
  await here.close()
  expect((await openAt(dir)).list().length).toBe(1)
})

test('rendered files that are wanted while they are dropped are made again', async () => {
  const { base } = await family()
  await fetched(base.goldenId)
  for (let i = 0; i < 20; i++) {
    await here.verified(base.goldenId)
    clock.turn(RENDERED_IDLE_MS)
    clock.turn(RENDERED_LOOK_MS)
    for (let turn = 0; turn < i; turn++) await new Promise((resolve) => { setImmediate(resolve) })
    const unpin = here.pin(base.goldenId)
    const at = await here.verified(base.goldenId)
    await new Promise((resolve) => { setTimeout(resolve, 2) })
    expect(await readdir(at)).toEqual(['disk'])
    unpin()
  }
})

test('a golden machine that is removed while its files are rendered leaves nothing', async () => {
  const content = randomPieces(100) // Rendered in a thread, which takes longer to start than the removal.
  const base = await shelved(there, 'base', { disk: content })
  const same = await shelved(there, 'same', { disk: content }, base.goldenId) // All that it is made of stays here.
  await fetched(base.goldenId)
  await fetched(same.goldenId)
  const rendering = here.verified(same.goldenId).catch(() => undefined)
  await here.remove(same.goldenId)
  await rendering
  expect([await readdir(join(dir, 'golden')), (await readdir(join(dir, 'packs'))).length, await readdir(join(dir, 'drafts'))]).toEqual([[base.goldenId], 1, []])
})

test('a pack that could not be opened once is opened the next time', async () => {
  const { base } = await family()
  const { manifest, info } = await offered(there, base.goldenId)
  const image = await here.receive(manifest, info)
  const path = join(dir, 'packs', image.packs[0]?.pack.infoHash ?? '', 'pack')
  await rename(path, `${path}.away`)
  await expect(carry(there, image)).rejects.toThrow('ENOENT')
  await rename(`${path}.away`, path)
  expect(await carry(there, image)).toBe(8)
  await image.complete
})

test('a shelf of many children is opened without comparing each with each', async () => {
  const { base } = await family()
  const content = await readFile(join(await there.verified(base.goldenId), 'disk'))
  const count = 40
  for (let i = 0; i < count; i++) await shelved(there, `child${i}`, { disk: Buffer.concat([content, randomPieces(1)]) }, base.goldenId)
  await there.close()
  const compared = vi.spyOn(FsPack.prototype, 'agrees')
  const again = await openAt(join(dir, '..', 'there'))
  expect(again.list().length).toBe(count + 2)
  expect(compared.mock.calls.length).toBeLessThan(2 * 8 * (count + 2))
  compared.mockRestore()
})
