/**
 * Brings golden machines of the mesh onto this plant's shelf. Orders that need the same one share one fetch; room on the disk is looked at and held first; what a
 * crash or an end left half fetched is gone on with.
 */
import { PlantError, asPlantError, type Clock, type GoldenId, type Log, type PeerId } from '../../../protocols/kit/index.ts'
import { PIECE_BYTES, piecesOf, type MeshImages } from '../../../protocols/image/index.ts'
import type { Golden } from '../../../protocols/order/golden.ts'
import type { ImageStore, Incoming, WantedPack } from '../../../storage/warehouse/image-store.ts'
import type { Pack } from '../../../storage/warehouse/pack.ts'
import type { Warehouse } from '../../../storage/warehouse/warehouse.ts'
import { orAborted } from '../or-aborted.ts'
import { missingByManifest } from './missing-bytes.ts'
import { bootOrder, startOrder, withoutFile, type LateFile } from './pieces-first.ts'
import { PackFetches, type ImageSwarm } from './pack-fetches.ts'

/** How far a fetch is. */
export interface ImageProgress {
  goldenId: GoldenId
  /** Of what was missing when it began. */
  bytes: number
  totalBytes: number
  bytesPerS: number
  /** Undefined until anything has come. */
  leftS: number | undefined
}

/** A fetch for a machine that starts before all has come. */
export interface LateFetch {
  /** The file that may come late, and what is known by the time it is fetched of the order in which machines read it (`runsOf`). Never throws. */
  file: string
  runs: () => Promise<unknown>
  /** Its memory. */
  memory: LateFile
  /** All but that file is here, or all of it: once, and before the fetch resolves. */
  onStartable: () => void
}

export interface FetcherComponents {
  clock: Clock
  log: Log
  mesh: Pick<MeshImages, 'manifest' | 'providers'>
  store: Pick<ImageStore, 'incoming' | 'receive' | 'packs'>
  warehouse: Pick<Warehouse, 'list' | 'remove'>
  swarm: Pick<ImageSwarm, 'fetch'>
  /** What the file system has left; undefined when it is not known. */
  freeDiskBytes: () => number | undefined
  /** How fast fetches are. */
  learn: (bytesPerMs: number) => void
  /** It is about to be fetched: noted before anything of it is here. */
  onBegin?: (goldenId: GoldenId) => void
}

interface Job { done: Promise<Golden>, late: LateFetch | undefined, waiters: number, stop: AbortController, heldBytes: number, followers: Set<(progress: ImageProgress) => void> }

/** How often progress is told. */
const TOLD_EVERY_MS = 500
/** Less says nothing of a link. */
const LEARNT_BYTES_MIN = 2 ** 20
/** Packs of one image that are fetched at once. */
const PACKS_AT_ONCE = 4
/** Images that are fetched at once; further ones are refused with LIMIT. */
export const FETCHES_MAX = 64

/** See the head of this file. */
export class ImageFetcher {
  readonly #c: FetcherComponents
  readonly #packs: PackFetches
  readonly #jobs = new Map<GoldenId, Job>()
  /** Fetches that somebody waits for, and what ends the others while there are any. */
  #waitedFor = 0
  readonly #ahead = new Set<AbortController>()

  constructor (components: FetcherComponents) {
    this.#c = components
    this.#packs = new PackFetches(components.swarm)
  }

  /** What images under way will still take of the disk. */
  get heldBytes (): number { return [...this.#jobs.values()].reduce((sum, { heldBytes }) => sum + heldBytes, 0) }

  /** Whether there is room for so much more; true when nobody knows. */
  hasRoom (bytes: number): boolean { return this.#freeBytes() >= bytes }

  /** Resolves with the golden machine on the shelf. Throws GOLDEN_UNKNOWN, MANIFEST_INVALID, DISK_FULL, FETCH_STALLED, LIMIT, or the signal's reason. */
  async fetch (goldenId: GoldenId, onProgress: (progress: ImageProgress) => void, signal: AbortSignal, late?: LateFetch): Promise<Golden> {
    signal.throwIfAborted()
    this.#waitedFor++
    for (const stop of this.#ahead) stop.abort(givesWay(goldenId))
    try {
      return await this.#fetch(goldenId, onProgress, signal, late)
    } finally {
      this.#waitedFor--
    }
  }

  /** As `fetch`, ahead of use: throws LIMIT as soon as somebody waits for a fetch, and goes on from there when it is asked for again. */
  async fetchAhead (goldenId: GoldenId, signal: AbortSignal): Promise<Golden> {
    if (this.#waitedFor > 0) throw givesWay(goldenId)
    const stop = new AbortController()
    this.#ahead.add(stop)
    try {
      return await this.#fetch(goldenId, () => {}, AbortSignal.any([signal, stop.signal]))
    } finally {
      this.#ahead.delete(stop)
    }
  }

  /** A piece that a machine waits for; see PackFetches. */
  async urgent (piece: { pack: Pack, index: number }, signal: AbortSignal): Promise<void> { await this.#packs.urgent(piece, signal) }

  /** Ends all of them; what has come stays on the disk. */
  stop (): void { for (const job of this.#jobs.values()) job.stop.abort(new PlantError('INTERRUPTED')) }

  async #fetch (goldenId: GoldenId, onProgress: (progress: ImageProgress) => void, signal: AbortSignal, late?: LateFetch): Promise<Golden> {
    signal.throwIfAborted()
    const there = this.#shelved(goldenId)
    if (there !== undefined) return there
    const job = this.#jobs.get(goldenId) ?? this.#begin(goldenId, late)
    job.waiters++
    job.followers.add(onProgress)
    try {
      return await orAborted(job.done, signal)
    } finally {
      job.followers.delete(onProgress)
      if (--job.waiters === 0) {
        // Who comes now begins anew, with what has come so far.
        if (this.#jobs.get(goldenId) === job) this.#jobs.delete(goldenId)
        job.stop.abort(new PlantError('INTERRUPTED'))
      }
    }
  }

  #begin (goldenId: GoldenId, late: LateFetch | undefined): Job {
    if (this.#jobs.size >= FETCHES_MAX) throw new PlantError('LIMIT', { bound: 'fetches at once', max: FETCHES_MAX })
    this.#c.onBegin?.(goldenId)
    const job: Job = { stop: new AbortController(), late, waiters: 0, heldBytes: 0, followers: new Set(), done: Promise.resolve() as never }
    job.done = this.#bring(goldenId, job)
    this.#jobs.set(goldenId, job)
    const ended = (): void => { if (this.#jobs.get(goldenId) === job) this.#jobs.delete(goldenId) }
    job.done.then(ended, ended) // Whoever waits hears of a failure.
    return job
  }

  async #bring (goldenId: GoldenId, job: Job): Promise<Golden> {
    const { signal } = job.stop
    const incoming = await this.#incoming(goldenId, job)
    const totalBytes = incoming.missing() * PIECE_BYTES
    const { name } = incoming.manifest.golden
    this.#c.log.info({ goldenId, name, missingBytes: totalBytes }, 'fetching a golden machine of the mesh')
    const sinceMs = this.#c.clock.monotonicMs()
    const over = new AbortController()
    const stopTelling = this.#tell(goldenId, incoming, job, { totalBytes, sinceMs })
    try {
      // Removed meanwhile, it ends at once rather than when nothing comes any more.
      await orAborted(Promise.all([this.#fetchAll(incoming, job, AbortSignal.any([signal, over.signal])), incoming.complete]), signal)
    } catch (error) {
      if (signal.aborted) throw signal.reason
      const { code, details } = asPlantError(error)
      const missing = { goldenId, name, missingBytes: incoming.missing() * PIECE_BYTES }
      this.#c.log.warn({ ...missing, code }, 'a golden machine could not be fetched')
      throw new PlantError(code, { ...details, ...missing }, { cause: error })
    } finally {
      over.abort(new PlantError('INTERRUPTED'))
      stopTelling()
    }
    const tookMs = this.#c.clock.monotonicMs() - sinceMs
    if (totalBytes >= LEARNT_BYTES_MIN && tookMs > 0) this.#c.learn(totalBytes / tookMs)
    this.#c.log.info({ goldenId, name, bytes: totalBytes, ms: Math.round(tookMs) }, 'fetched a golden machine of the mesh')
    const golden = this.#shelved(goldenId)
    if (golden === undefined) throw new PlantError('GOLDEN_UNKNOWN', { goldenId, problem: 'it was removed while it was fetched' })
    return golden
  }

  /** What was begun before is gone on with; else its manifest is got and opened, and room is made sure of. */
  async #incoming (goldenId: GoldenId, job: Job): Promise<Incoming> {
    const { store, mesh } = this.#c
    const begun = store.incoming().find((one) => one.goldenId === goldenId)
    if (begun !== undefined) {
      this.#hold(job, begun.missing() * PIECE_BYTES, goldenId)
      return begun
    }
    const { manifest, signed } = await mesh.manifest(goldenId, job.stop.signal)
    const missing = missingByManifest(manifest, new Map(store.packs().map((pack) => [pack.infoHash, pack])))
    // The files that machines run from are made of the pieces and lie beside them.
    this.#hold(job, missing + piecesOf(manifest) * PIECE_BYTES, goldenId)
    try {
      return await store.receive(signed.manifest, signed.info)
    } catch (error) {
      if (asPlantError(error).code !== 'LIMIT' || !await this.#giveUpOne()) throw error
      return store.receive(signed.manifest, signed.info)
    }
  }

  /**
   * Makes room among those on their way: what nobody fetches any more, and of which the least has come, goes. Whoever could have a plant begin what then never
   * comes would else keep it from fetching anything. What lacks less than half stays: it may be the last copy of something, with an altered piece.
   */
  async #giveUpOne (): Promise<boolean> {
    const idle = this.#c.store.incoming().filter(({ goldenId }) => !this.#jobs.has(goldenId))
    const shares = idle.map((one) => ({ goldenId: one.goldenId, missing: one.missing() / Math.max(1, piecesOf(one.manifest)) }))
    for (const { goldenId, missing } of shares.filter((one) => one.missing >= 0.5).sort((a, b) => b.missing - a.missing)) {
      try {
        await this.#c.warehouse.remove(goldenId)
        this.#c.log.info({ goldenId, missingShare: missing }, 'a golden machine that nobody fetches any more was given up, to make room for another')
        return true
      } catch (error) {
        this.#c.log.debug({ goldenId, error }, 'a golden machine on its way stays: machines run from it')
      }
    }
    return false
  }

  #hold (job: Job, bytes: number, goldenId: GoldenId): void {
    const freeBytes = this.#freeBytes()
    if (freeBytes < bytes) throw new PlantError('DISK_FULL', { goldenId, problem: 'there is no room for this golden machine', needBytes: bytes, freeBytes })
    job.heldBytes = bytes
  }

  #freeBytes (): number { return (this.#c.freeDiskBytes() ?? Infinity) - this.heldBytes }

  /** What machines start from comes first, when one is to start before all is here. */
  async #fetchAll (incoming: Incoming, { late }: Job, signal: AbortSignal): Promise<void> {
    const { goldenId, packs, manifest } = incoming
    if (late !== undefined) {
      await this.#fetchPacks(withoutFile(incoming, late.file), goldenId, signal, startOrder(manifest, late.file, late.memory))
      late.onStartable()
    }
    const order = late && bootOrder(manifest, { name: late.file, runs: await late.runs() })
    const first = [...order?.values() ?? []].reduce((sum, { length }) => sum + length, 0)
    if (late !== undefined && incoming.missing() > 0) this.#c.log.info({ goldenId, firstBytes: first * PIECE_BYTES, restBytes: incoming.missing() * PIECE_BYTES }, 'what machines start from has come; of the rest, what they were seen to read comes first')
    await this.#fetchPacks(packs, goldenId, signal, order)
  }

  async #fetchPacks (packs: WantedPack[], goldenId: GoldenId, until: AbortSignal, order?: Map<string, number[]>): Promise<void> {
    // When one pack cannot be had the others need not come.
    const failed = new AbortController()
    const signal = AbortSignal.any([until, failed.signal])
    const queue = packs.filter((wanted) => wanted.missing() > 0).values()
    const worker = async (): Promise<void> => {
      for (const wanted of queue) await this.#packs.want(wanted, (lookUp) => this.#providers([goldenId, wanted.goldenId], lookUp), signal, order?.get(wanted.pack.infoHash))
    }
    const workers = Array.from({ length: PACKS_AT_ONCE }, async () => worker().catch((error: unknown) => {
      if (!failed.signal.aborted) failed.abort(error)
      throw error
    }))
    await Promise.allSettled(workers)
    if (failed.signal.aborted) throw failed.signal.reason
  }

  /** Who holds the image has all its pieces; who holds the base that a pack is of has all of that. */
  async * #providers (ids: readonly GoldenId[], signal: AbortSignal): AsyncGenerator<PeerId> {
    for (const id of new Set(ids)) yield * this.#c.mesh.providers(id, signal)
  }

  #tell (goldenId: GoldenId, incoming: Incoming, job: Job, of: { totalBytes: number, sinceMs: number }): () => void {
    let cancel = (): void => {}
    const tell = (): void => {
      const leftBytes = incoming.missing() * PIECE_BYTES
      const bytes = Math.max(0, of.totalBytes - leftBytes)
      const seconds = (this.#c.clock.monotonicMs() - of.sinceMs) / 1_000
      const bytesPerS = seconds > 0 ? bytes / seconds : 0
      job.heldBytes = Math.min(job.heldBytes, leftBytes + piecesOf(incoming.manifest) * PIECE_BYTES)
      const progress = { goldenId, bytes, totalBytes: of.totalBytes, bytesPerS, leftS: bytesPerS > 0 ? leftBytes / bytesPerS : undefined }
      for (const follower of job.followers) follower(progress)
      cancel = this.#c.clock.after(TOLD_EVERY_MS, tell)
    }
    tell()
    return () => { cancel() }
  }

  #shelved (goldenId: GoldenId): Golden | undefined { return this.#c.warehouse.list().find((golden) => golden.goldenId === goldenId) }
}

/** Why a fetch ahead of use ends. */
function givesWay (goldenId: GoldenId): PlantError { return new PlantError('LIMIT', { goldenId, bound: 'fetches ahead of use while others are waited for', max: 0 }) }

/** A fetch's progress as a step of an order's. */
export function progressText ({ bytes, totalBytes, leftS }: ImageProgress): string {
  const mib = (value: number): string => (value / 2 ** 20).toFixed(1)
  return `fetch: ${mib(bytes)} of ${mib(totalBytes)} MiB${leftS === undefined ? '' : `, ${Math.ceil(leftS)} s left`}`
}
