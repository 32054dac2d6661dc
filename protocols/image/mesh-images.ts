/**
 * Golden machines across the mesh: who holds what, what it is, and its manifest. The gossip is a hint; descriptions are bound by their ids, and manifests are
 * opened (`openManifest`) before anybody counts on them.
 */
import { PlantError, asPlantError, type Cancel, type Clock, type Crypto, type Directory, type GoldenId, type Log, type PeerId, type PubSub, type Random, type Service, type Signer, type Transport } from '../kit/index.ts'
import type { Golden } from '../order/golden.ts'
import { ByteCache } from './byte-cache.ts'
import type { SignedImage } from './core.ts'
import {
  DESCRIBE_AT_ONCE_MAX, DESCRIBE_TIMEOUT_MS, DESCRIBE_TRIES_MAX, DESCRIPTIONS_BYTES_MAX, DIRECTORY_HOLDERS_MAX, KEPT_ASKED_MAX, KEPT_TIMEOUT_MS, MANIFESTS_BYTES_MAX, SEARCHES_KEPT_MAX, SEARCH_EVERY_MS, SEARCH_TIMEOUT_MS,
  TRACE_ASKED_MAX, TRACE_TIMEOUT_MS, UNSOUND_KEPT_MAX
} from './holdings-limits.ts'
import { HoldingsService } from './holdings-service.ts'
import type { Holding } from './holdings.ts'
import { positionsOf, type Manifest } from './manifest.ts'
import { openManifest } from './open-manifest.ts'
import type { ReadRuns } from './read-runs.ts'
import { askImage, askTrace, serveImages, type ImageSource, type TraceSource } from './service.ts'
import { openInfo } from './torrent.ts'

export interface MeshImagesComponents {
  clock: Clock
  random: Random
  pubsub: PubSub
  /** Streams to other plants; never opened to this one. */
  transport: Transport
  directory: Directory
  /** The key whose id is the transport's `self`. */
  signer: Signer
  crypto: Crypto
  log: Log
  /** Whether this plant is up, as far as is known. */
  inView: (peer: PeerId) => boolean
  /** What this plant hands to others: descriptions, manifests and traces of what is here and may be offered. */
  own: {
    description: (goldenId: GoldenId) => Golden | undefined
    manifest: ImageSource
    trace: TraceSource
    /** Whether it is here and stays for `KEPT_MS`: another plant is about to give up its own. */
    keeps: (goldenId: GoldenId) => boolean
  }
}

/** A golden machine of the mesh, and what each plant in view says of it, this one included. */
export interface HeldImage { goldenId: GoldenId, said: ReadonlyMap<PeerId, Holding> }

/** A manifest that has passed every check, with what to hand to the warehouse. */
export interface OpenedImage { manifest: Manifest, signed: SignedImage }

export interface MeshImages extends Service {
  /** What this plant holds from now on: told to the others, and to be found in the directory. */
  setOwn (holdings: readonly Holding[], roomMiB: number): void
  /** What the mesh says it has of this family, name or id; all of it without one. A hint. */
  held (os?: string): HeldImage[]
  /** What a plant was heard to say beside its list: whether it holds more than that, and what it would still take ahead of use. */
  told (peer: PeerId): { more: boolean, roomMiB: number } | undefined
  /** Those of these plants that have it and promise to keep it for `KEPT_MS`; who does not answer in time does not. Throws the signal's reason only. */
  keptBy (peers: readonly PeerId[], goldenId: GoldenId, signal: AbortSignal): Promise<PeerId[]>
  /** Looks in the directory for plants that hold some of this name and asks them; at most once in a while for each name. Never throws but the signal's reason. */
  search (os: string, signal: AbortSignal): Promise<void>
  /** Descriptions as their ids bind them; those that nobody gives in time are left out. */
  describe (goldenIds: readonly GoldenId[], signal: AbortSignal): Promise<Golden[]>
  /** The manifest, checked, of whoever has it. Throws GOLDEN_UNKNOWN when nobody gives one that is sound, or the signal's reason. */
  manifest (goldenId: GoldenId, signal: AbortSignal): Promise<OpenedImage>
  /** A manifest that was asked for before. */
  knownManifest (goldenId: GoldenId): OpenedImage | undefined
  /** In which order machines read this file of it, as some plants in view that hold it tell within TRACE_TIMEOUT_MS: each in range and without a piece twice, and otherwise a hint. Throws the signal's reason only. */
  traces (goldenId: GoldenId, file: string, signal: AbortSignal): Promise<ReadRuns[]>
  /** Other plants that say they hold it: those in view first, then those that the directory names. */
  providers (goldenId: GoldenId, signal: AbortSignal): AsyncIterable<PeerId>
  /** Called, at most once a turn, after plants told something new. */
  onChange (fn: () => void): Cancel
}

/** Keys of the directory under which a plant that holds a golden machine is found. */
export const directoryKeys = {
  image: (goldenId: string): string => `image/${goldenId}`,
  named: (os: string): string => `image-os/${os}`
}

/** An extent or place in memory: three numbers, the object around them and its place in a list. */
const RUN_BYTES = 64

function runsOf ({ places, files }: Manifest): number { return files.reduce((sum, { extents }) => sum + extents.length, places.length) }

/** Golden machines across the mesh, over these components. */
export function meshImages (components: MeshImagesComponents): MeshImages {
  return new MeshImagesService(components)
}

class MeshImagesService implements MeshImages {
  readonly #c: MeshImagesComponents
  readonly #holdings: HoldingsService
  readonly #descriptions = new ByteCache<GoldenId, Golden>(DESCRIPTIONS_BYTES_MAX)
  readonly #manifests = new ByteCache<GoldenId, OpenedImage>(MANIFESTS_BYTES_MAX)
  readonly #searchedMs = new Map<string, number>()
  /** `peer goldenId` of manifests that were not sound. */
  readonly #unsound = new Set<string>()
  #provided = new Set<string>()
  #stopServing: Cancel = () => {}

  constructor (components: MeshImagesComponents) {
    this.#c = components
    this.#holdings = new HoldingsService(components, components.clock.nowMs())
  }

  async start (): Promise<void> {
    this.#stopServing = await serveImages({ transport: this.#c.transport, source: this.#c.own.manifest, trace: this.#c.own.trace })
    await this.#holdings.start()
  }

  async stop (): Promise<void> {
    for (const key of this.#provided) this.#c.directory.withdraw(key)
    this.#provided.clear()
    await this.#holdings.stop()
    this.#stopServing()
  }

  setOwn (holdings: readonly Holding[], roomMiB: number): void {
    this.#holdings.setOwn(holdings, roomMiB)
    const keys = new Set(holdings.flatMap(({ goldenId, name, os }) => [directoryKeys.image(goldenId), directoryKeys.named(name), directoryKeys.named(os)]))
    for (const key of this.#provided) if (!keys.has(key)) this.#c.directory.withdraw(key)
    for (const key of keys) {
      if (this.#provided.has(key)) continue
      this.#c.directory.provide(key).catch((error: unknown) => { this.#c.log.debug({ key, error }, 'the directory does not take a key; it is told again') })
    }
    this.#provided = keys
  }

  held (os?: string): HeldImage[] { return [...this.#holdings.held(os)] }

  told (peer: PeerId): { more: boolean, roomMiB: number } | undefined { return this.#holdings.told(peer) }

  async keptBy (peers: readonly PeerId[], goldenId: GoldenId, signal: AbortSignal): Promise<PeerId[]> {
    const kept: PeerId[] = []
    await this.#within(KEPT_TIMEOUT_MS, signal, async (until) => {
      await Promise.allSettled(peers.slice(0, KEPT_ASKED_MAX).map(async (peer) => { if (await this.#holdings.keptBy(peer, goldenId, until)) kept.push(peer) }))
    })
    return kept
  }

  onChange (fn: () => void): Cancel { return this.#holdings.onChange(fn) }

  async search (os: string, signal: AbortSignal): Promise<void> {
    const nowMs = this.#c.clock.monotonicMs()
    if (nowMs - (this.#searchedMs.get(os) ?? -Infinity) < SEARCH_EVERY_MS) return
    this.#searchedMs.delete(os)
    this.#searchedMs.set(os, nowMs)
    const oldest = this.#searchedMs.size > SEARCHES_KEPT_MAX ? this.#searchedMs.keys().next().value : undefined
    if (oldest !== undefined) this.#searchedMs.delete(oldest)
    await this.#within(SEARCH_TIMEOUT_MS, signal, async (until) => {
      const peers = await this.#c.directory.find(directoryKeys.named(os), DIRECTORY_HOLDERS_MAX, until)
      const others = peers.filter((peer) => peer !== this.#c.transport.self && this.#holdings.holdsMore(peer))
      await Promise.allSettled(others.map(async (peer) => this.#holdings.lookAt(peer, os, until)))
    })
  }

  async describe (goldenIds: readonly GoldenId[], signal: AbortSignal): Promise<Golden[]> {
    const wanted = goldenIds.filter((id) => this.#descriptions.get(id) === undefined)
    if (wanted.length > 0) await this.#within(DESCRIBE_TIMEOUT_MS, signal, async (until) => this.#describeAll(wanted, until))
    return goldenIds.flatMap((id) => this.#descriptions.get(id) ?? [])
  }

  /** Each round asks, for those still wanted, the next holder of each: one stream a plant. */
  async #describeAll (goldenIds: readonly GoldenId[], signal: AbortSignal): Promise<void> {
    const holders = new Map(goldenIds.map((id) => [id, this.#others(id)]))
    for (let round = 0; round < DESCRIBE_TRIES_MAX; round++) {
      const asks = new Map<PeerId, GoldenId[]>()
      for (const [id, peers] of holders) {
        const peer = this.#descriptions.get(id) === undefined ? peers[round] : undefined
        if (peer !== undefined) asks.set(peer, [...asks.get(peer) ?? [], id])
      }
      if (asks.size === 0) return
      await Promise.allSettled([...asks].map(async ([peer, ids]) => {
        for (const { golden, sizeBytes } of await this.#holdings.describedBy(peer, ids.slice(0, DESCRIBE_AT_ONCE_MAX), signal)) this.#descriptions.set(golden.goldenId, golden, sizeBytes)
      }))
    }
  }

  knownManifest (goldenId: GoldenId): OpenedImage | undefined { return this.#manifests.get(goldenId) }

  async manifest (goldenId: GoldenId, signal: AbortSignal): Promise<OpenedImage> {
    const known = this.#manifests.get(goldenId)
    if (known !== undefined) return known
    const problems: string[] = []
    for await (const peer of this.providers(goldenId, signal)) {
      if (this.#unsound.has(`${peer} ${goldenId}`)) continue
      try {
        const signed = await askImage(this.#c.transport, peer, goldenId, signal)
        if (signed === undefined) continue
        const manifest = openManifest(this.#c.crypto, signed.manifest)
        if (manifest.golden.goldenId !== goldenId || manifest.packs[0] === undefined) throw new PlantError('MANIFEST_INVALID', { goldenId, problem: 'not the one that was asked for' })
        openInfo(manifest.packs[0], signed.info)
        const opened = { manifest, signed }
        this.#manifests.set(goldenId, opened, signed.manifest.length * 2 + signed.info.length + runsOf(manifest) * RUN_BYTES)
        this.#descriptions.set(goldenId, manifest.golden, signed.manifest.length >> 4)
        return opened
      } catch (error) {
        signal.throwIfAborted()
        const { code, details } = asPlantError(error)
        problems.push(code)
        if (code === 'MANIFEST_INVALID' || code === 'MESSAGE_INVALID') this.#blame(peer, goldenId, details)
      }
    }
    throw new PlantError('GOLDEN_UNKNOWN', { goldenId, problem: 'no plant that can be reached gives a manifest of it that is sound', ...(problems.length > 0 && { failures: problems.slice(0, 8) }) })
  }

  async traces (goldenId: GoldenId, file: string, signal: AbortSignal): Promise<ReadRuns[]> {
    const [golden] = await this.describe([goldenId], signal)
    const bytes = golden?.files.find(({ name }) => name === file)?.bytes
    const told: ReadRuns[] = []
    if (bytes === undefined) return told
    await this.#within(TRACE_TIMEOUT_MS, signal, async (until) => {
      await Promise.allSettled(this.#others(goldenId).slice(0, TRACE_ASKED_MAX).map(async (peer) => {
        const runs = await askTrace(this.#c.transport, peer, { goldenId, file, pieces: positionsOf(bytes) }, until)
        if (runs !== undefined) told.push(runs)
      }))
    })
    return told
  }

  async * providers (goldenId: GoldenId, signal: AbortSignal): AsyncGenerator<PeerId> {
    const told = this.#others(goldenId)
    yield * told
    const found = await this.#c.directory.find(directoryKeys.image(goldenId), DIRECTORY_HOLDERS_MAX, signal)
    for (const peer of found) if (peer !== this.#c.transport.self && !told.includes(peer)) yield peer
  }

  /** Holders in view but this plant, in an order of chance so that they share the work. */
  #others (goldenId: GoldenId): PeerId[] {
    const peers = [...this.#holdings.said(goldenId).keys()].filter((peer) => peer !== this.#c.transport.self)
    for (let i = peers.length - 1; i > 0; i--) {
      const j = this.#c.random.int(i + 1)
      const [a, b] = [peers[i], peers[j]]
      if (a !== undefined && b !== undefined) [peers[i], peers[j]] = [b, a]
    }
    return peers
  }

  #blame (peer: PeerId, goldenId: GoldenId, details: Record<string, unknown>): void {
    this.#c.log.warn({ peer, goldenId, ...details }, 'a plant gave a manifest that is not sound and is not asked for it again')
    this.#unsound.add(`${peer} ${goldenId}`)
    const oldest = this.#unsound.size > UNSOUND_KEPT_MAX ? this.#unsound.values().next().value : undefined
    if (oldest !== undefined) this.#unsound.delete(oldest)
  }

  /** Work that may end early: what was found until then is the answer. Throws the signal's reason only. */
  async #within (ms: number, signal: AbortSignal, work: (until: AbortSignal) => Promise<void>): Promise<void> {
    const late = new AbortController()
    const cancel = this.#c.clock.after(ms, () => { late.abort(new PlantError('STREAM_TIMEOUT', { timeoutMs: ms })) })
    try {
      await work(AbortSignal.any([signal, late.signal, this.#holdings.signal]))
    } catch (error) {
      signal.throwIfAborted()
      this.#c.log.debug({ error }, 'a look for golden machines in the mesh ended early')
    } finally {
      cancel()
    }
  }
}
