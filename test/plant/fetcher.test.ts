/** Fetching golden machines between two warehouses on disk, by a swarm that hands pieces over as the test says. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { PlantError, type GoldenId, type PeerId } from '../../protocols/kit/index.ts'
import { PIECE_BYTES, openManifest, type HeldImage, type Holding, type OpenedImage } from '../../protocols/image/index.ts'
import type { Golden } from '../../protocols/order/golden.ts'
import { ImageFetcher, progressText, type ImageProgress } from '../../node/plant/images/fetcher.ts'
import { missingByHoldings, missingByManifest } from '../../node/plant/images/missing-bytes.ts'
import type { FetchInit } from '../../storage/swarm/index.ts'
import type { FsWarehouse } from '../../storage/drivers/fs-warehouse.ts'
import { INCOMING_MAX } from '../../storage/drivers/warehouse-limits.ts'
import type { Pack } from '../../storage/warehouse/pack.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { fakeLog } from '../support/fake-log.ts'
import { holding } from '../support/holdings.ts'
import { crypto } from '../image/support.ts'
import { closeAll, offered, openAt, randomPieces, shelved } from '../storage/image-support.ts'

const never = new AbortController().signal

/** Hands over what the source has, `batch` pieces a turn of the test; counts the pieces and the fetches. */
class FakeSwarm {
  fetches = 0
  carried = 0
  fail: PlantError | undefined
  readonly #source: FsWarehouse
  readonly #running = new Set<() => Promise<void>>()

  constructor (source: FsWarehouse) { this.#source = source }

  fetch (pack: Pack, init: FetchInit): never {
    this.fetches++
    const wanted = new Set(init.pieces)
    const ended = Promise.withResolvers<void>()
    ended.promise.catch(() => {})
    const end = (error?: unknown): void => {
      this.#running.delete(step)
      if (error === undefined) ended.resolve()
      else ended.reject(error as Error)
    }
    init.signal?.addEventListener('abort', () => { end(init.signal?.reason) })
    const source = this.#source.packs().find(({ infoHash }) => infoHash === pack.infoHash)
    const step = async (): Promise<void> => {
      if (this.fail !== undefined) return end(this.fail)
      const next = wanted.values().next().value
      if (next === undefined) return end()
      wanted.delete(next)
      await pack.write(next, await source?.read(next) ?? new Uint8Array(PIECE_BYTES))
      this.carried++
      if (wanted.size === 0) end()
    }
    this.#running.add(step)
    return { done: ended.promise, progress: {}, urgent: async () => {}, finish: () => {}, more: (pieces: Iterable<number>) => { for (const one of pieces) wanted.add(one) } } as never
  }

  /** So many pieces of each fetch under way. */
  async carry (pieces: number): Promise<void> {
    for (let i = 0; i < pieces; i++) for (const step of this.#running) await step()
  }
}

let dir = ''
let source: FsWarehouse
let here: FsWarehouse
let swarm: FakeSwarm
let clock: FakeClock
let learned: number[] = []
let asked: GoldenId[] = []

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'pm-fetcher-'))
  source = await openAt(join(dir, 'source'))
  here = await openAt(join(dir, 'here'))
  swarm = new FakeSwarm(source)
  clock = new FakeClock()
  learned = []
  asked = []
})
afterEach(async () => {
  await closeAll()
  await rm(dir, { recursive: true, force: true })
})

async function manifestOf (goldenId: GoldenId): Promise<OpenedImage> {
  asked.push(goldenId)
  const signed = await offered(source, goldenId)
  return { manifest: openManifest(crypto, signed.manifest), signed }
}

function fetcher (more: { freeBytes?: number, to?: FsWarehouse } = {}): ImageFetcher {
  const to = more.to ?? here
  return new ImageFetcher({
    clock, log: fakeLog(), mesh: { manifest: manifestOf, providers: async function * () { yield 'source' as PeerId } }, store: to, warehouse: to, swarm,
    freeDiskBytes: () => more.freeBytes, learn: (bytesPerMs) => { learned.push(bytesPerMs) }
  })
}

/** Turns that files and promises need; no time passes by the clock. */
async function until (condition: () => boolean): Promise<void> { while (!condition()) await new Promise((resolve) => setImmediate(resolve)) }

describe('a fetch', () => {
  test('ends with the golden machine on the shelf, teaches the bandwidth and tells how far it is', async () => {
    const golden = await shelved(source, 'web', { disk: randomPieces(32) })
    const told: ImageProgress[] = []
    const fetched = fetcher().fetch(golden.goldenId, (progress) => { told.push(progress) }, never)
    await until(() => swarm.fetches === 1)
    await swarm.carry(16)
    await clock.advance(1_000)
    expect(told.at(-1)).toMatchObject({ bytes: 16 * PIECE_BYTES, totalBytes: 32 * PIECE_BYTES, bytesPerS: 16 * PIECE_BYTES, leftS: 1 })
    expect(told.at(-1) && progressText(told.at(-1) as ImageProgress)).toBe('fetch: 1.0 of 2.0 MiB, 1 s left')
    await clock.advance(1_000)
    await swarm.carry(16)
    expect(await fetched).toEqual(golden)
    expect(here.list()).toEqual([golden])
    expect(learned).toEqual([32 * PIECE_BYTES / 2_000])
  })

  test('ahead of use gives way to one that is waited for, begins none meanwhile, and goes on afterwards', async () => {
    const [ahead, ordered] = [await shelved(source, 'ahead', { disk: randomPieces(8) }), await shelved(source, 'ordered', { disk: randomPieces(4) })]
    const images = fetcher()
    const first = images.fetchAhead(ahead.goldenId, never)
    await until(() => swarm.fetches === 1)
    await swarm.carry(3)
    const waited = images.fetch(ordered.goldenId, () => {}, never)
    await expect(first).rejects.toMatchObject({ code: 'LIMIT' })
    await expect(images.fetchAhead(ahead.goldenId, never)).rejects.toMatchObject({ code: 'LIMIT' })
    await until(() => swarm.fetches === 2)
    await swarm.carry(4)
    expect(await waited).toEqual(ordered)
    const again = images.fetchAhead(ahead.goldenId, never)
    await until(() => swarm.fetches === 3)
    await swarm.carry(5)
    expect(await again).toEqual(ahead)
  })

  test('ahead of use goes on when an order wants the same', async () => {
    const golden = await shelved(source, 'web', { disk: randomPieces(8) })
    const images = fetcher()
    const first = images.fetchAhead(golden.goldenId, never).catch((error: unknown) => error)
    await until(() => swarm.fetches === 1)
    await swarm.carry(3)
    const waited = images.fetch(golden.goldenId, () => {}, never)
    await swarm.carry(5)
    expect(await waited).toEqual(golden)
    expect(swarm.fetches).toBe(1)
    expect(await first).toMatchObject({ code: 'LIMIT' })
  })

  test('is one for all who ask at once, and goes on until the last of them leaves', async () => {
    const golden = await shelved(source, 'web', { disk: randomPieces(8) })
    const images = fetcher()
    const leaving = new AbortController()
    const first = images.fetch(golden.goldenId, () => {}, leaving.signal)
    const second = images.fetch(golden.goldenId, () => {}, never)
    await until(() => swarm.fetches === 1)
    await swarm.carry(4)
    leaving.abort(new PlantError('INTERRUPTED'))
    await expect(first).rejects.toMatchObject({ code: 'INTERRUPTED' })
    await swarm.carry(4)
    expect((await second).goldenId).toBe(golden.goldenId)
    expect([swarm.fetches, swarm.carried, asked.length]).toEqual([1, 8, 1])
    expect((await images.fetch(golden.goldenId, () => {}, never)).goldenId).toBe(golden.goldenId)
    expect(swarm.fetches).toBe(1)
  })

  test('that everybody left goes on where it was, without asking for the manifest again', async () => {
    const golden = await shelved(source, 'web', { disk: randomPieces(8) })
    const images = fetcher()
    const leaving = new AbortController()
    const first = images.fetch(golden.goldenId, () => {}, leaving.signal)
    await until(() => swarm.fetches === 1)
    await swarm.carry(5)
    leaving.abort(new PlantError('INTERRUPTED'))
    await expect(first).rejects.toMatchObject({ code: 'INTERRUPTED' })
    const again = images.fetch(golden.goldenId, () => {}, never)
    await until(() => swarm.fetches === 2)
    await swarm.carry(8)
    await again
    expect([swarm.carried, asked.length]).toEqual([8, 1])
  })

  test('of a child fetches only what its base, which is here, has not', async () => {
    const disk = randomPieces(16)
    const base = await shelved(source, 'tiny', { disk })
    const images = fetcher()
    const first = images.fetch(base.goldenId, () => {}, never)
    await until(() => swarm.fetches === 1)
    await swarm.carry(16)
    await first
    const child = await shelved(source, 'web', { disk: Buffer.concat([disk.subarray(0, 15 * PIECE_BYTES), randomPieces(2)]) }, base.goldenId)
    const { manifest } = await manifestOf(child.goldenId)
    expect(missingByManifest(manifest, new Map(here.packs().map((pack) => [pack.infoHash, pack])))).toBe(2 * PIECE_BYTES)
    expect(missingByManifest(manifest, new Map())).toBe(17 * PIECE_BYTES)
    const second = images.fetch(child.goldenId, () => {}, never)
    await until(() => swarm.fetches === 2)
    await swarm.carry(2)
    expect((await second).goldenId).toBe(child.goldenId)
    expect(swarm.carried).toBe(18)
  })

  test('of two images that need pieces of one pack is one fetch of that pack', async () => {
    const disk = randomPieces(8)
    const base = await shelved(source, 'tiny', { disk })
    const children = await Promise.all([[0, 4], [2, 8]].map(async ([from = 0, to = 0], i) =>
      shelved(source, `child${i}`, { disk: Buffer.concat([disk.subarray(from * PIECE_BYTES, to * PIECE_BYTES), randomPieces(1)]) }, base.goldenId)))
    const images = fetcher()
    const both = children.map(async ({ goldenId }) => images.fetch(goldenId, () => {}, never))
    await until(() => swarm.fetches === 3)
    await swarm.carry(8)
    await Promise.all(both)
    expect(swarm.carried).toBe(8 + 2)
    expect(here.list().map(({ name }) => name).sort()).toEqual(['child0', 'child1'])
  })

  test('for which there is no room is refused before anything comes, with what others hold counted', async () => {
    const [one, two] = [await shelved(source, 'one', { disk: randomPieces(8) }), await shelved(source, 'two', { disk: randomPieces(8) })]
    const needBytes = 16 * PIECE_BYTES
    await expect(fetcher({ freeBytes: needBytes - 1 }).fetch(one.goldenId, () => {}, never)).rejects.toMatchObject({ code: 'DISK_FULL', details: { needBytes, freeBytes: needBytes - 1 } })
    const images = fetcher({ freeBytes: needBytes * 2 - 1 })
    const first = images.fetch(one.goldenId, () => {}, never)
    await until(() => swarm.fetches === 1)
    expect(images.heldBytes).toBe(needBytes)
    expect([images.hasRoom(needBytes - 1), images.hasRoom(needBytes)]).toEqual([true, false])
    await expect(images.fetch(two.goldenId, () => {}, never)).rejects.toMatchObject({ code: 'DISK_FULL' })
    await swarm.carry(8)
    await first
    expect(images.heldBytes).toBe(0)
    expect(here.incoming()).toEqual([])
  })

  test('that stalls names what is missing, and what came stays', async () => {
    const golden = await shelved(source, 'web', { disk: randomPieces(8) })
    const images = fetcher()
    const fetched = images.fetch(golden.goldenId, () => {}, never)
    await until(() => swarm.fetches === 1)
    await swarm.carry(3)
    swarm.fail = new PlantError('FETCH_STALLED', { asked: 1 })
    await swarm.carry(1)
    await expect(fetched).rejects.toMatchObject({ code: 'FETCH_STALLED', details: { goldenId: golden.goldenId, name: 'web', missingBytes: 5 * PIECE_BYTES } })
    expect(here.incoming()[0]?.missing()).toBe(5)
    swarm.fail = undefined
    const again = images.fetch(golden.goldenId, () => {}, never)
    await until(() => swarm.fetches === 2)
    await swarm.carry(5)
    expect(await again).toEqual(golden)
  })

  test('takes the place of one that nobody goes on with, not of what machines run from', async () => {
    const begun: GoldenId[] = []
    for (let i = 0; i < INCOMING_MAX; i++) {
      const { goldenId } = await shelved(source, `begun${i}`, { disk: randomPieces(1) })
      const { manifest, info } = await offered(source, goldenId)
      begun.push((await here.receive(manifest, info)).goldenId)
      if (i === 0) here.pin(goldenId)
    }
    const last = await shelved(source, 'last', { disk: randomPieces(2) })
    const fetched = fetcher().fetch(last.goldenId, () => {}, never)
    await until(() => swarm.fetches === 1)
    await swarm.carry(2)
    expect((await fetched).goldenId).toBe(last.goldenId)
    expect(here.incoming().map(({ goldenId }) => goldenId)).toEqual(begun.filter((_, i) => i !== 1))
  })

  test('of what is removed meanwhile fails at once, and holds nothing', async () => {
    const golden = await shelved(source, 'web', { disk: randomPieces(4) })
    const images = fetcher()
    const fetched = images.fetch(golden.goldenId, () => {}, never)
    await until(() => swarm.fetches === 1)
    const failed = expect(fetched).rejects.toMatchObject({ code: 'GOLDEN_UNKNOWN' })
    await here.remove(golden.goldenId)
    await failed
    expect(images.heldBytes).toBe(0)
  })
})

describe('missing bytes by what plants say', () => {
  const golden = (from?: GoldenId): Golden => ({
    goldenId: holding(1).goldenId, name: 'web', os: 'tiny', hardware: { isa: 'x86_64', cpus: 1, memoryMiB: 256, diskMiB: 512 }, lineFingerprint: 'line', actionsDone: [], createdAtMs: 0,
    files: [{ name: 'disk', bytes: 1 << 30, root: '0'.repeat(64) }], ...(from !== undefined && { from })
  })
  const mesh = (said: Holding[], here: GoldenId[] = []): Parameters<typeof missingByHoldings>[1] => ({
    isHere: (id) => here.includes(id),
    held: (id): HeldImage | undefined => {
      const of = said.filter(({ goldenId }) => goldenId === id)
      return of.length === 0 ? undefined : { goldenId: id, said: new Map(of.map((one, i) => [`peer${i}` as PeerId, one])) }
    }
  })
  const [own, base, root] = [holding(1, { ownBytes: 10, totalBytes: 700, base: holding(2).goldenId }), holding(2, { ownBytes: 200, totalBytes: 690, base: holding(3).goldenId }), holding(3, { ownBytes: 490, totalBytes: 490 })]

  test('are its own and its bases\' down to one that is here, all of it when none is, and never more than its files', () => {
    const of = golden(own.base)
    expect(missingByHoldings(of, mesh([own, base, root], [base.goldenId]))).toBe(10)
    expect(missingByHoldings(of, mesh([own, base, root], [root.goldenId]))).toBe(210)
    expect(missingByHoldings(of, mesh([own, base, root]))).toBe(700)
    expect(missingByHoldings(of, mesh([]))).toBe(1 << 30)
    expect(missingByHoldings(of, mesh([{ ...own, totalBytes: 2 ** 47, ownBytes: 2 ** 47 }]))).toBe(1 << 30)
  })

  test('are what the one says who says the most, and a circle of bases ends', () => {
    expect(missingByHoldings(golden(), mesh([own, { ...own, totalBytes: 900 }]))).toBe(900)
    const circle = [own, { ...base, base: own.goldenId, ownBytes: 1 }]
    expect(missingByHoldings(golden(own.base), mesh(circle))).toBeLessThanOrEqual(700)
  })
})
