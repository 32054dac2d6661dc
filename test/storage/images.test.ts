import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chmod, mkdir, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeEach, describe, expect, test } from 'vitest'
import { keyIdOf, type GoldenId } from '../../protocols/kit/index.ts'
import { PIECE_BYTES, encodeInfo, fileRoot, infoHashOf, openInfo, openManifest, signManifest, type Manifest } from '../../protocols/image/index.ts'
import { goldenIdOf } from '../../protocols/order/golden-schema.ts'
import type { Golden } from '../../protocols/order/golden.ts'
import type { FsWarehouse } from '../../storage/drivers/fs-warehouse.ts'
import { HAVE_FLUSH_MS, INCOMING_MAX, REMOVED_KEPT_MS, RENDERED_IDLE_MS, RENDERED_LOOK_MS } from '../../storage/drivers/warehouse-limits.ts'
import { alterByte, carry, closeAll, FakeTurnedClock, offered, openAt, randomPieces, roomOf, shelved } from './image-support.ts'
import { child, descriptionOf, keys, tempDir } from './support.ts'

let [dir, otherDir] = ['', '']
let clock = new FakeTurnedClock()
let here: FsWarehouse
let there: FsWarehouse
beforeEach(async () => {
  const parent = await tempDir()
  ;[dir, otherDir] = [join(parent, 'here'), join(parent, 'there')]
  clock = new FakeTurnedClock()
  here = await openAt(dir, clock)
  there = await openAt(otherDir, clock)
  return async () => {
    await closeAll()
  }
})

const manifestOf = async (warehouse: FsWarehouse, id: GoldenId): Promise<Manifest> => {
  const manifest = await warehouse.manifestOf(id)
  if (manifest === undefined) throw new Error('it has a manifest')
  return manifest
}
const contentOf = async (warehouse: FsWarehouse, golden: Golden, file: string): Promise<Buffer> => readFile(join(await warehouse.verified(golden.goldenId), file))
const packsOf = async (at: string): Promise<string[]> => readdir(join(at, 'packs'))

async function until (condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let i = 0; i < 2_000; i++) {
    if (await condition()) return
    await new Promise((resolve) => { setTimeout(resolve, 5) })
  }
  throw new Error('not within ten seconds')
}

/** Changes that reach the disk are small and many: content with some pieces replaced. */
function changed (content: Buffer, ...pieces: number[]): Buffer {
  const other = Buffer.from(content)
  for (const piece of pieces) randomPieces(1).copy(other, piece * PIECE_BYTES)
  return other
}

describe('the store', () => {
  test('keeps each piece once, and nothing of zeros', async () => {
    const piece = randomPieces(1)
    const before = await roomOf(dir)
    const golden = await shelved(here, 'sparse', { disk: Buffer.concat([piece, Buffer.alloc(20 * PIECE_BYTES), ...Array.from({ length: 30 }, () => piece)]), ram: 256 * 2 ** 20, state: piece.subarray(0, 100) })
    const manifest = await manifestOf(here, golden.goldenId)
    expect(manifest.packs.map(({ pieces }) => pieces)).toEqual([2])
    expect(await roomOf(join(dir, 'packs')) - 2 * PIECE_BYTES).toBeLessThan(40_000)
    // What the draft wrote for the disk, and directories: 256 MiB of memory take no room.
    expect(await roomOf(dir) - before).toBeLessThan(54 * PIECE_BYTES + 100_000)
    expect((await contentOf(here, golden, 'disk')).subarray(-PIECE_BYTES).equals(piece)).toBe(true)
    expect(openInfo(manifest.packs[0] as Manifest['packs'][number], (await offered(here, golden.goldenId)).info)).toHaveLength(40)
  })

  test('keeps of a child, at any depth, what differs from its base, and renders the same bytes at each', async () => {
    let content = randomPieces(64)
    let golden = await shelved(here, 'depth0', { disk: content, kernel: Buffer.from('kernel') })
    const family: Array<{ golden: Golden, content: Buffer }> = [{ golden, content }]
    for (let depth = 1; depth <= 8; depth++) {
      content = changed(content, depth, 20 + depth)
      const before = await roomOf(dir)
      golden = await shelved(here, `depth${depth}`, { disk: content, kernel: Buffer.from('kernel') }, golden.goldenId)
      expect(await roomOf(dir) - before).toBeLessThan(2 * PIECE_BYTES + 60_000)
      family.push({ golden, content })
    }
    here = await openAt(dir, clock)
    for (const [depth, one] of family.entries()) {
      const { packs } = await manifestOf(here, one.golden.goldenId)
      expect(packs.map(({ pieces }) => pieces).sort((a, b) => a - b)).toEqual([...Array.from({ length: depth }, () => 2), 65])
      expect((await contentOf(here, one.golden, 'disk')).equals(one.content)).toBe(true)
    }
  })

  test('keeps a base\'s pack, unlisted, until its last child goes; also over a restart', async () => {
    const content = randomPieces(8)
    const base = await shelved(here, 'base', { disk: content })
    const other = changed(content, 3)
    const child = await shelved(here, 'child', { disk: other }, base.goldenId)
    const same = await shelved(here, 'same', { disk: other }, child.goldenId)
    expect((await manifestOf(here, same.goldenId)).packs.map(({ pieces }) => pieces)).toEqual([0, 8, 1])
    await here.remove(base.goldenId)
    expect([here.list().map(({ name }) => name), here.get(base.goldenId), (await packsOf(dir)).length]).toEqual([['child', 'same'], undefined, 2])
    await here.remove(child.goldenId)
    here = await openAt(dir, clock)
    expect((await contentOf(here, same, 'disk')).equals(other)).toBe(true)
    await here.remove(same.goldenId)
    await until(async () => (await packsOf(dir)).length === 0)
    expect(await readdir(join(dir, 'golden'))).toEqual([])
  })

  test('drops rendered files that nobody uses, and beyond a budget the longest unused first', async () => {
    here = await openAt(dir, clock, { renderedBytesMax: 10 * PIECE_BYTES })
    const [one, two] = [await shelved(here, 'one', { disk: randomPieces(8) }), await shelved(here, 'two', { disk: randomPieces(8) })]
    const rendered = (golden: Golden): boolean => existsSync(join(dir, 'golden', golden.goldenId, 'files'))
    const release = here.pin(two.goldenId)
    clock.turn(RENDERED_LOOK_MS)
    clock.turn(REMOVED_KEPT_MS)
    await here.verified(one.goldenId)
    clock.turn(RENDERED_LOOK_MS)
    await until(() => !rendered(one))
    expect(rendered(two)).toBe(true)
    expect((await stat(join(await here.verified(one.goldenId), 'disk'))).size).toBe(8 * PIECE_BYTES)
    const unpin = here.pin(one.goldenId)
    clock.turn(RENDERED_LOOK_MS)
    await here.verified(one.goldenId)
    expect([rendered(one), rendered(two)]).toEqual([true, true])
    release()
    unpin()
    clock.turn(RENDERED_IDLE_MS + RENDERED_LOOK_MS)
    await until(() => !rendered(one) && !rendered(two))
    expect(here.list()).toHaveLength(2)
  })

  test('still clones what earlier versions kept, and takes no pieces of it', async () => {
    const disk = randomPieces(2)
    const description = { ...descriptionOf('old'), files: [{ name: 'disk', bytes: disk.length, sha256: createHash('sha256').update(disk).digest('hex') }] }
    const old: Golden = { goldenId: goldenIdOf(description), ...description }
    const at = join(dir, 'golden', old.goldenId)
    await mkdir(at)
    await writeFile(join(at, 'disk'), disk)
    await writeFile(join(at, 'description.json'), JSON.stringify(old))
    here = await openAt(dir, clock)
    expect([here.list(), await here.manifestOf(old.goldenId), await here.signedManifest(old.goldenId)]).toEqual([[old], undefined, undefined])
    expect(await here.verified(old.goldenId)).toBe(at)
    await expect(here.lazy(old.goldenId)).rejects.toThrow('GOLDEN_UNKNOWN')
    expect(await there.importFrom(dir)).toEqual([old])
    expect((await contentOf(there, old, 'disk')).equals(disk)).toBe(true)
    const child = await shelved(here, 'child', { disk }, old.goldenId)
    expect((await manifestOf(here, child.goldenId)).packs.map(({ pieces }) => pieces)).toEqual([2])
    await alterByte(join(at, 'disk'), 9)
    await expect(here.verified(old.goldenId)).rejects.toMatchObject({ code: 'GOLDEN_CORRUPT', details: { file: 'disk' } })
    expect(here.list()).toEqual([child])
  })
})

describe('an image on its way', () => {
  test('is on the shelf once its last piece has come, and not before', async () => {
    const content = randomPieces(20)
    const golden = await shelved(there, 'far', { disk: content })
    const { manifest, info } = await offered(there, golden.goldenId)
    const image = await here.receive(manifest, info)
    expect(await here.receive(manifest, info)).toBe(image)
    expect([here.list(), here.get(golden.goldenId), here.incoming(), image.missing()]).toEqual([[], golden, [image], 20])
    expect(await carry(there, image, 19)).toBe(19)
    await expect(here.verified(golden.goldenId)).rejects.toMatchObject({ code: 'IMAGE_INCOMPLETE', details: { missing: 1 } })
    let changes = 0
    here.onChange(() => changes++)
    await carry(there, image)
    await image.complete
    expect([here.list(), here.incoming(), changes]).toEqual([[golden], [], 1])
    expect((await contentOf(here, golden, 'disk')).equals(content)).toBe(true)
    await expect(here.receive(manifest, info)).rejects.toThrow('GOLDEN_EXISTS')
    expect(await offered(here, golden.goldenId)).toEqual({ manifest, info })
    here = await openAt(dir, clock)
    expect(here.list()).toEqual([golden])
  })

  test('takes no piece that is not the one, and says what it has as BitTorrent does', async () => {
    const golden = await shelved(there, 'far', { disk: randomPieces(11) })
    const { manifest, info } = await offered(there, golden.goldenId)
    const image = await here.receive(manifest, info)
    const [{ pack }] = image.packs as [typeof image.packs[number]]
    const [source] = there.packs()
    const seen: number[] = []
    pack.onHave((index) => seen.push(index))
    const piece = await source?.read(9) ?? new Uint8Array()
    for (const [index, bytes] of [[8, piece], [9, piece.subarray(1)], [9, new Uint8Array(PIECE_BYTES)], [11, piece], [-1, piece], [1e12, piece]] as const) expect(await pack.write(index, bytes)).toBe(false)
    expect([await pack.write(9, piece), await pack.write(9, piece)]).toEqual([true, true])
    expect([seen, pack.bitfield()]).toEqual([[9], Uint8Array.of(0, 0b0100_0000)])
    expect(Buffer.compare(await pack.read(9), piece)).toBe(0)
    await expect(pack.read(8)).rejects.toThrow('IMAGE_INCOMPLETE')
  })

  test('goes on where it was after a crash, without the pieces that the bits did not know yet', async () => {
    const golden = await shelved(there, 'far', { disk: randomPieces(40) })
    const { manifest, info } = await offered(there, golden.goldenId)
    const image = await here.receive(manifest, info)
    await carry(there, image, 10)
    clock.turn(HAVE_FLUSH_MS)
    await until(async () => (await readFile(join(dir, 'packs', image.packs[0]?.pack.infoHash ?? '', 'have'))).some((byte) => byte > 0))
    await carry(there, image, 7)
    // Not closed: what was open is as a kill leaves it.
    here = await openAt(dir, clock)
    expect(here.incoming().map((one) => one.missing())).toEqual([23])
    const [again] = here.incoming()
    expect(await carry(there, again as typeof image)).toBe(23)
    await again?.complete
    expect(here.list()).toEqual([golden])
  })

  test('takes the packs of its bases from where they are here, and wants the rest', async () => {
    const content = randomPieces(30)
    const base = await shelved(there, 'base', { disk: content })
    const child = await shelved(there, 'child', { disk: changed(content.subarray(0, 20 * PIECE_BYTES), 5) }, base.goldenId)
    const [ofBase, ofChild] = [await offered(there, base.goldenId), await offered(there, child.goldenId)]
    // The child alone: part of its base's pack comes too, and is not on the shelf.
    const alone = await here.receive(ofChild.manifest, ofChild.info)
    expect(alone.packs.map((pack) => [pack.goldenId, pack.missing()])).toEqual([[child.goldenId, 1], [base.goldenId, 19]])
    await carry(there, alone)
    await alone.complete
    expect(here.list()).toEqual([child])
    const expected = await contentOf(there, child, 'disk')
    here = await openAt(dir, clock)
    expect((await contentOf(here, child, 'disk')).equals(expected)).toBe(true)
    // The base after it: only what the child does not use.
    const later = await here.receive(ofBase.manifest, ofBase.info)
    expect(later.missing()).toBe(11)
    await carry(there, later)
    await later.complete
    // And the child again, whose base is here: its own piece only.
    await here.remove(child.goldenId)
    const again = await here.receive(ofChild.manifest, ofChild.info)
    expect(again.missing()).toBe(1)
    await here.remove(child.goldenId)
    await expect(again.complete).rejects.toThrow('GOLDEN_UNKNOWN')
    expect((await packsOf(dir)).length).toBe(1)
  })

  test('is refused, and leaves nothing, when its manifest or info is not sound', async () => {
    const golden = await shelved(there, 'far', { disk: randomPieces(3) })
    const { manifest, info } = await offered(there, golden.goldenId)
    await expect(here.receive(manifest.map((byte, i) => i === 200 ? byte ^ 1 : byte), info)).rejects.toThrow('MANIFEST_INVALID')
    await expect(here.receive(manifest, info.subarray(1))).rejects.toThrow('MANIFEST_INVALID')
    expect([here.incoming(), await packsOf(dir), await readdir(join(dir, 'golden')), await readdir(join(dir, 'drafts'))]).toEqual([[], [], [], []])
  })

  test('is refused when it lies about another\'s pack, and goes when the truth comes later', async () => {
    const base = await shelved(there, 'base', { disk: randomPieces(4) })
    const [ofBase] = (await manifestOf(there, base.goldenId)).packs
    if (ofBase === undefined) throw new Error('it has a pack')
    // A publisher of its own says that the base's pack has other pieces.
    const hashes = new Uint8Array(createHash('sha256').update('not of that pack').digest())
    const files = [{ name: 'disk', bytes: PIECE_BYTES, extents: [{ at: 0, count: 1, piece: 0 }] }]
    const description = { ...descriptionOf('liar'), publisher: keyIdOf(keys.signer.publicKey), files: [{ name: 'disk', bytes: PIECE_BYTES, root: '' }] }
      description.files = [{ name: 'disk', bytes: PIECE_BYTES, root: fileRoot(keys.crypto, files[0] as typeof files[number], hashes) }]
    const golden: Golden = { goldenId: goldenIdOf(description), ...description }
    const info = encodeInfo(golden.goldenId, new Uint8Array(0))
    const lie = signManifest(keys.crypto, keys.signer, { golden, hashes, files, places: [{ first: 0, count: 1, pack: 1, index: 2 }], packs: [{ goldenId: golden.goldenId, infoHash: infoHashOf(info), pieces: 0 }, ofBase] })
    expect(openManifest(keys.crypto, lie).golden).toEqual(golden)
    await expect(there.receive(lie, info)).rejects.toThrow('MANIFEST_INVALID')
    await here.receive(lie, info)
    const truth = await offered(there, base.goldenId)
    const image = await here.receive(truth.manifest, truth.info)
    await carry(there, image)
    await image.complete
    await until(() => here.get(golden.goldenId) === undefined)
    expect(here.list()).toEqual([base])
  })

  test('is one of so many at once', async () => {
    for (let n = 0; n <= INCOMING_MAX; n++) {
      const golden = await shelved(there, `g${n}`, { disk: randomPieces(1) })
      const { manifest, info } = await offered(there, golden.goldenId)
      if (n < INCOMING_MAX) await here.receive(manifest, info)
      else await expect(here.receive(manifest, info)).rejects.toMatchObject({ code: 'LIMIT', details: { bound: 'INCOMING_MAX' } })
    }
    const [first] = here.incoming()
    await here.remove(first?.goldenId as GoldenId)
    expect(here.incoming()).toHaveLength(INCOMING_MAX - 1)
  })

  test('is imported by a plant of the same host with what has come of its bases\' packs', async () => {
    const content = randomPieces(12)
    const base = await shelved(there, 'base', { disk: content })
    const child = await shelved(there, 'child', { disk: changed(content.subarray(0, 6 * PIECE_BYTES), 1) }, base.goldenId)
    const { manifest, info } = await offered(there, child.goldenId)
    const image = await here.receive(manifest, info)
    await carry(there, image)
    await image.complete
    await here.close()
    const thirdDir = join(dir, '..', 'third')
    const third = await openAt(thirdDir, clock)
    expect(await third.importFrom(dir)).toEqual([child])
    expect((await contentOf(third, child, 'disk')).equals(await contentOf(there, child, 'disk'))).toBe(true)
    // Its base from elsewhere: the pack that is here in part takes what it has not.
    expect(await third.importFrom(otherDir)).toEqual([base])
    expect((await contentOf(third, base, 'disk')).equals(content)).toBe(true)
    await third.close()
  })
})

describe('a lazy read', () => {
  test('gives the bytes of any range, fetches what is missing, and nothing for zeros', async () => {
    const content = Buffer.concat([randomPieces(3), Buffer.alloc(5 * PIECE_BYTES), randomPieces(2), randomPieces(1).subarray(0, 999)])
    const golden = await shelved(there, 'far', { disk: content, empty: 0 })
    const { manifest, info } = await offered(there, golden.goldenId)
    const image = await here.receive(manifest, info)
    const lazy = await here.lazy(golden.goldenId)
    const fetched: number[] = []
    const fetch: Parameters<typeof lazy.read>[3] = async ({ pack, index }) => {
      fetched.push(index)
      await pack.write(index, await there.packs()[0]?.read(index) ?? new Uint8Array())
    }
    const same = async (offset: number, length: number): Promise<void> => { expect(Buffer.compare(await lazy.read('disk', offset, length, fetch), content.subarray(offset, offset + length))).toBe(0) }
    await same(3 * PIECE_BYTES, 5 * PIECE_BYTES)
    expect(fetched).toEqual([])
    await same(PIECE_BYTES - 1, 2)
    expect(fetched.sort()).toEqual([0, 1])
    for (let n = 0; n < 200; n++) await same(Math.floor(Math.random() * content.length), Math.floor(Math.random() * 3 * PIECE_BYTES))
    await same(content.length - 10, 100)
    await same(content.length, 10)
    expect(await lazy.read('empty', 0, 10, fetch)).toHaveLength(0)
    await same(0, content.length)
    await image.complete
    expect(lazy.pieces('disk', 0, content.length).map(({ index }) => index)).toEqual([0, 1, 2, 3, 4, 5])
    await expect(lazy.read('other', 0, 1, fetch)).rejects.toThrow('GOLDEN_UNKNOWN')
    await expect(lazy.read('disk', 0, 2 ** 40, fetch)).rejects.toThrow('LIMIT')
    // Held until closed.
    await here.remove(golden.goldenId)
    await same(0, content.length)
    lazy.close()
    await until(async () => (await packsOf(dir)).length === 0)
  })

  test('fetches again what was altered on the disk', async () => {
    const golden = await shelved(here, 'near', { disk: randomPieces(2) })
    await shelved(there, 'near', { disk: await contentOf(here, golden, 'disk') })
    const [pack] = here.packs()
    await chmod(join(dir, 'packs', pack?.infoHash ?? '', 'pack'), 0o600)
    await alterByte(join(dir, 'packs', pack?.infoHash ?? '', 'pack'), PIECE_BYTES + 7)
    const lazy = await here.lazy(golden.goldenId)
    const asked: number[] = []
    const read = await lazy.read('disk', 0, 2 * PIECE_BYTES, async ({ pack: of, index }) => {
      asked.push(index)
      await of.write(index, await there.packs()[0]?.read(index) ?? new Uint8Array())
    })
    expect([asked, Buffer.compare(read, await contentOf(there, golden, 'disk').catch(async () => readFile(join(dir, 'golden', golden.goldenId, 'files', 'disk'))))]).toEqual([[1], 0])
    await until(() => here.list().length === 1)
    lazy.close()
  })
})

test('a golden machine that is removed while a child of it is made leaves the child whole', async () => {
  const content = randomPieces(40)
  const base = await shelved(here, 'base', { disk: content })
  const draft = await here.draft()
  await writeFile(join(draft.dir, 'disk'), changed(content, 2))
  const committing = draft.commit(descriptionOf('child', base.goldenId))
  await here.remove(base.goldenId)
  const child = await committing
  expect((await contentOf(here, child, 'disk')).equals(content)).toBe(false)
  await rm(join(dir, 'golden', child.goldenId, 'files'), { recursive: true })
  expect((await stat(join(await here.verified(child.goldenId), 'disk'))).size).toBe(content.length)
  expect((await packsOf(dir)).length).toBe(2)
})

test('a full disk is told of in the middle of a fetch, a rendering and a publication, and each goes on once there is room', async () => {
  await shelved(there, 'far', { disk: randomPieces(64) })
  await there.close()
  const small = child('warehouse-small.ts', [join(dir, '..', 'small'), otherDir], { disk: { dir: join(dir, '..', 'small'), MiB: 12 } })
  const lines: string[] = []
  for await (const line of small.lines) lines.push(line)
  expect(lines).toEqual(['fetch DISK_FULL true 0', 'fetched 1', 'render DISK_FULL 0', 'commit DISK_FULL 1 1', 'rendered true', 'made new'])
})
