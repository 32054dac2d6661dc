/** Machines that start before their disk is here: what is fetched first, what a read waits for, what a stall does, and when the served disk ends. */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { PlantError, type GoldenId, type PeerId, type VmId } from '../../protocols/kit/index.ts'
import { PIECE_BYTES, openManifest, type ReadRuns } from '../../protocols/image/index.ts'
import { BootOrders } from '../../node/plant/images/boot-orders.ts'
import { ImageFetcher } from '../../node/plant/images/fetcher.ts'
import { LateDisks, type LateDiskParts } from '../../node/plant/images/late-disks.ts'
import type { BlockSource } from '../../storage/nbd/block-source.ts'
import type { FsWarehouse } from '../../storage/drivers/fs-warehouse.ts'
import type { FetchInit } from '../../storage/swarm/index.ts'
import type { Pack } from '../../storage/warehouse/pack.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { fakeLog } from '../support/fake-log.ts'
import { crypto } from '../image/support.ts'
import { closeAll, offered, openAt, randomPieces, shelved } from '../storage/image-support.ts'

const never = new AbortController().signal
const RAM = randomPieces(4)
const DISK = randomPieces(8)

/** One fetch of a pack that the test carries piece by piece. */
interface Carried { pack: Pack, wanted: number[], order: readonly number[], urgent: number[], end: (error?: Error) => void }

let dir = ''
let source: FsWarehouse
let here: FsWarehouse
let clock: FakeClock
let goldenId: GoldenId
let fetches: Carried[] = []
let kept: Record<string, unknown>
let told: ReadRuns[] = []
let served: { source: BlockSource, stopped: boolean } | undefined
let late: LateDisks

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'pm-late-'))
  source = await openAt(join(dir, 'source'))
  here = await openAt(join(dir, 'here'))
  clock = new FakeClock()
  ;[fetches, kept, told, served] = [[], {}, [], undefined]
  goldenId = (await shelved(source, 'web', { ram: RAM, disk: DISK })).goldenId
  late = lateDisks()
})
afterEach(async () => {
  await late.stop()
  await closeAll()
  await rm(dir, { recursive: true, force: true })
})

function fetch (pack: Pack, init: FetchInit): never {
  const ended = Promise.withResolvers<void>()
  ended.promise.catch(() => {})
  init.signal?.addEventListener('abort', () => { ended.reject(init.signal?.reason as Error) })
  const one: Carried = { pack, wanted: [...init.pieces ?? []], order: init.order ?? [], urgent: [], end: (error) => { if (error === undefined) ended.resolve(); else ended.reject(error) } }
  fetches.push(one)
  return { done: ended.promise, urgent: async (index: number) => { one.urgent.push(index) }, more: () => {} } as never
}

function lateDisks (): LateDisks {
  const log = fakeLog()
  const manifest = async (id: GoldenId): Promise<never> => { const signed = await offered(source, id); return { manifest: openManifest(crypto, signed.manifest), signed } as never }
  const fetcher = new ImageFetcher({
    clock, log, mesh: { manifest, providers: async function * () { yield 'source' as PeerId } }, store: here, warehouse: here, swarm: { fetch },
    freeDiskBytes: () => undefined, learn: () => {}
  })
  const parts: LateDiskParts = {
    file: 'disk',
    memoryFile: 'ram',
    boots: () => false,
    arrivedFiles: async (id, signal) => here.arrivedFiles(id, signal),
    serve: async (_, of) => {
      const one = { source: of, stopped: false }
      served = one
      return { socketPath: 'socket', stop: async () => { one.stopped = true } }
    },
    traces: { get: async (_, file) => kept[file], put: async (_, file, runs) => { kept[file] = runs } }
  }
  const orders = new BootOrders({ clock, parts, signal: never, mesh: { traces: async () => told } })
  return new LateDisks({ clock, log, store: here, warehouse: here, fetcher, parts, orders })
}

/** Brings these pieces of the fetch; all that it wants by default. */
async function carry (one: Carried | undefined, pieces = one?.wanted ?? []): Promise<void> {
  const from = source.packs().find(({ infoHash }) => infoHash === one?.pack.infoHash)
  for (const index of pieces) await one?.pack.write(index, await from?.read(index) ?? new Uint8Array(0))
}

/** Turns that files and promises need; no time passes by the clock. */
async function until (condition: () => boolean): Promise<void> { while (!condition()) await new Promise((resolve) => setImmediate(resolve)) }

/** All but the disk has come, and the disk is served. */
async function started (): Promise<Awaited<ReturnType<LateDisks['startable']>>> {
  const startable = late.startable(goldenId, () => {}, never)
  await until(() => fetches.length === 1)
  await carry(fetches[0])
  fetches[0]?.end()
  const hold = await startable
  const { goldenDir } = await hold.serve(never)
  expect(await readFile(join(goldenDir, 'ram'))).toEqual(RAM)
  await until(() => fetches.length === 2)
  return hold
}

interface Machine { vmId: VmId, diskSocket: string | undefined, arrived: (path: string) => Promise<void> }
function machine (arrived: (path: string) => Promise<void>): Machine { return { vmId: 'v1' as VmId, diskSocket: 'socket', arrived } }

test('what machines start from comes first, a read fetches what it needs, and the machine is switched with the last piece', async () => {
  const hold = await started()
  expect([fetches[0]?.wanted.length, fetches[1]?.wanted.length]).toEqual([4, 8])
  const paths: string[] = []
  hold.runs(machine(async (path) => { paths.push(path) }))
  const reading = served?.source.read(2 * PIECE_BYTES, PIECE_BYTES, never)
  await until(() => fetches[1]?.urgent.length === 1)
  await carry(fetches[1], fetches[1]?.urgent)
  expect(Buffer.from(await reading ?? [])).toEqual(DISK.subarray(2 * PIECE_BYTES, 3 * PIECE_BYTES))
  expect(paths).toEqual([])
  await carry(fetches[1])
  fetches[1]?.end()
  await until(() => served?.stopped === true)
  expect(await readFile(paths[0] ?? '')).toEqual(DISK)
  expect(kept).toEqual({ disk: [[2, 1]] })
  expect(here.list().map((golden) => golden.goldenId)).toEqual([goldenId])
})

test('the rest comes in the order of a recorded boot; what is no order is not followed', async () => {
  kept = { disk: [[5, 2], [0, 1]] }
  const hold = await started()
  const { pack, order = [] } = fetches[1] ?? {}
  const first = source.packs().find(({ infoHash }) => infoHash === pack?.infoHash)
  const read = await Promise.all(order.map(async (index) => Buffer.from(await first?.read(index) ?? [])))
  expect(read).toEqual([5, 6, 0].map((at) => DISK.subarray(at * PIECE_BYTES, (at + 1) * PIECE_BYTES)))
  hold.release()
  await until(() => served?.stopped === true)
  kept = { disk: [[7, 2]] }
  const again = late.startable(goldenId, () => {}, never)
  await until(() => fetches.length === 3)
  expect(fetches[2]?.order).toEqual([])
  ;(await again).release()
})

test('what others tell of the order is followed where this plant has seen none, and is not kept as its own', async () => {
  told = [[[5, 2], [0, 1]]]
  const hold = await started()
  expect(fetches[1]?.order).toHaveLength(3)
  expect(kept).toEqual({})
  await served?.source.read(0, 1, AbortSignal.abort()).catch(() => {})
  hold.release()
  await until(() => served?.stopped === true)
  // The machine went before its boot was over: what was told says more.
  expect(kept).toEqual({})
  const again = await late.startable(goldenId, () => {}, never)
  await again.serve(never)
  await served?.source.read(0, 1, AbortSignal.abort()).catch(() => {})
  await late.looked(goldenId, { memoryTouched: async () => [] })
  await served?.source.read(PIECE_BYTES, 1, AbortSignal.abort()).catch(() => {})
  again.release()
  await until(() => served?.stopped === true)
  expect(kept).toEqual({ disk: [[0, 1]] })
})

test('what resumes looked at of the memory is kept, and comes after the small files and before the rest the next time', async () => {
  const gone: string[] = []
  const of = (id: string, touched: number[]): { memoryTouched: () => Promise<number[]> } => ({ memoryTouched: async () => { gone.push(id); return touched } })
  await late.looked(goldenId, of('silent', []))
  await late.looked(goldenId, { memoryTouched: async () => { throw new Error('it has gone') } })
  await late.looked(goldenId, of('first', [1, 3]))
  await late.looked(goldenId, of('second', [0]))
  expect(gone).toEqual(['silent', 'first'])
  expect(kept).toEqual({ ram: [[1, 1], [3, 1]] })
  const startable = late.startable(goldenId, () => {}, never)
  startable.catch(() => {})
  await until(() => fetches.length === 1)
  const { pack, order = [], wanted = [] } = fetches[0] ?? {}
  const from = source.packs().find(({ infoHash }) => infoHash === pack?.infoHash)
  expect(wanted.length).toBe(4)
  expect(await Promise.all(order.map(async (index) => Buffer.from(await from?.read(index) ?? [])))).toEqual([1, 3].map((at) => RAM.subarray(at * PIECE_BYTES, (at + 1) * PIECE_BYTES)))
})

test('a stall fails who has not started, and is waited for where a machine reads', async () => {
  const startable = late.startable(goldenId, () => {}, never)
  await until(() => fetches.length === 1)
  fetches[0]?.end(new PlantError('FETCH_STALLED'))
  await expect(startable).rejects.toMatchObject({ code: 'FETCH_STALLED' })
  fetches = []
  const hold = await started()
  const switched = Promise.withResolvers<void>()
  hold.runs(machine(async () => { switched.resolve() }))
  const reading = served?.source.read(0, 1, never)
  await until(() => fetches[1]?.urgent.length === 1)
  fetches[1]?.end(new PlantError('FETCH_STALLED'))
  while (fetches.length < 3) {
    await new Promise((resolve) => setImmediate(resolve))
    await clock.advance(100)
  }
  // What is waited for is urgent in the next fetch too.
  expect(fetches[2]?.urgent).toEqual(fetches[1]?.urgent)
  await carry(fetches[2])
  fetches[2]?.end()
  expect(await reading).toEqual(new Uint8Array(DISK.subarray(0, 1)))
  await switched.promise
})

test('a plant that stops gives no reader an error; a machine that ran before is served again at once, and its golden machine cannot be removed until all is here', async () => {
  const first = await started()
  first.runs(machine(async () => {}))
  const gone = new AbortController()
  let failed = false
  const reading = served?.source.read(0, 1, gone.signal).catch(() => { failed = true })
  await late.stop()
  expect(served?.stopped).toBe(true)
  // An answer would be an error in the guest: only its connection's end ends a read.
  await here.manifestOf(goldenId)
  expect(failed).toBe(false)
  gone.abort(new PlantError('INTERRUPTED'))
  await reading
  served = undefined
  fetches = []
  late = lateDisks()
  const hold = await late.again(goldenId, never)
  expect(served).toMatchObject({ stopped: false })
  await expect(here.remove(goldenId)).rejects.toMatchObject({ code: 'IMAGE_INCOMPLETE' })
  // Switched, but not noted when the plant ended.
  hold.runs({ ...machine(async () => {}), diskSocket: undefined })
  await until(() => served?.stopped === true)
})
