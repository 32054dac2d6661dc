/**
 * The swarm as a model: pieces come at the rate of both lines, shared among those who use them, from plants that live, are not cut off and have them. Who sends a wrong piece is
 * named and not asked again; who sends nothing is no use. Who gets nothing for long enough ends the fetch as the engine does.
 */
import { PlantError, type Cancel, type Clock, type PeerId } from '../../../protocols/kit/index.ts'
import type { ImageSwarm } from '../../../node/plant/images/pack-fetches.ts'
import type { Fetch, FetchInit, WrongPiece } from '../../../storage/swarm/index.ts'
import { FETCH_STALLED_MS, LOOK_UP_ALONE_MS, LOOK_UP_MS, PIECE_BYTES } from '../../../storage/swarm/constants.ts'
import type { Pack } from '../../../storage/warehouse/pack.ts'
import type { RandomStream } from '../../kernel/index.ts'
import type { Life } from '../life.ts'
import type { Lie } from '../liar.ts'
import type { SimPack } from './sim-pack.ts'
import type { FetchSeen, Source, SwarmNet } from './swarm-net.ts'

export interface SimSwarmComponents {
  self: PeerId
  life: Life
  clock: Clock
  random: RandomStream
  net: SwarmNet
  lies: ReadonlySet<Lie>
  onLie: (lie: Lie) => void
  /** Whether bytes get from there to here. */
  reaches: (from: PeerId) => boolean
}

/** Pieces come in batches of this long. */
const BATCH_MS = 100
/** Bytes that a line may owe: two batches. */
const OWED_BATCHES_MAX = 2

/** The swarm of one life. */
export class SimSwarm implements ImageSwarm {
  readonly #c: SimSwarmComponents
  readonly #packs = new Map<string, SimPack>()
  readonly #fetches = new Set<SimFetch>()
  readonly #wrongListeners = new Set<(wrong: WrongPiece) => void>()
  /** Plants that sent a wrong piece. */
  readonly #wrong = new Set<PeerId>()

  constructor (components: SimSwarmComponents) { this.#c = components }

  async start (): Promise<void> {
    const { net, self, life, lies, onLie } = this.#c
    net.sources.set(self, { life, lies, onLie, packs: this.#packs, users: new Set() })
  }

  async stop (): Promise<void> {
    this.#packs.clear()
    for (const fetch of this.#fetches) fetch.end(new PlantError('INTERRUPTED'))
  }

  serve (pack: Pack): Cancel {
    this.#packs.set(pack.infoHash, pack as SimPack)
    return () => { if (this.#packs.get(pack.infoHash) === pack) this.#packs.delete(pack.infoHash) }
  }

  onWrong (fn: (wrong: WrongPiece) => void): Cancel {
    this.#wrongListeners.add(fn)
    return () => { this.#wrongListeners.delete(fn) }
  }

  fetch (pack: Pack, init: FetchInit): Fetch {
    const { net } = this.#c
    const fetch: SimFetch = new SimFetch(pack, init, {
      ...this.#c,
      sharing: () => this.#fetches.size,
      isWrong: (peer) => this.#wrong.has(peer),
      onWrong: (peer, piece) => {
        this.#wrong.add(peer)
        for (const fn of this.#wrongListeners) fn({ peer, infoHash: pack.infoHash, piece })
      },
      onEnd: () => {
        this.#fetches.delete(fetch)
        net.fetches.delete(fetch)
      }
    })
    this.#fetches.add(fetch)
    net.fetches.add(fetch)
    return fetch
  }
}

interface FetchComponents extends SimSwarmComponents {
  /** Fetches that share this plant's line down. */
  sharing: () => number
  isWrong: (peer: PeerId) => boolean
  onWrong: (peer: PeerId, piece: number) => void
  onEnd: () => void
}

class SimFetch implements Fetch, FetchSeen {
  readonly peer: PeerId
  readonly life: Life
  readonly infoHash: string
  readonly progress = { wanted: 0, have: 0, downBytes: 0, wastedBytes: 0 }
  progressMs: number
  readonly #c: FetchComponents
  readonly #pack: Pack
  readonly #init: FetchInit
  readonly #wanted = new Set<number>()
  readonly #ended = Promise.withResolvers<void>()
  readonly #sources = new Set<PeerId>()
  readonly #owedUp = new Map<PeerId, number>()
  #owedDown = 0
  #lookedUpMs = -Infinity
  #cancel: Cancel = () => {}
  #over = false

  constructor (pack: Pack, init: FetchInit, components: FetchComponents) {
    this.#c = components
    this.#pack = pack
    this.#init = init
    this.peer = components.self
    this.life = components.life
    this.infoHash = pack.infoHash
    this.progressMs = components.clock.monotonicMs()
    this.#ended.promise.catch(() => {}) // Whoever asks for `done` hears of it.
    init.signal?.addEventListener('abort', () => { this.end(init.signal?.reason) }, { once: true })
    this.more(init.pieces ?? Array.from({ length: pack.count }, (_, i) => i))
    this.#later()
  }

  get done (): Promise<void> { return this.#ended.promise }
  get nowMs (): number { return this.#c.clock.monotonicMs() }
  get have (): number { return this.progress.have }

  /** In an order of its own, so that those who fetch at once have different pieces for each other. */
  more (pieces: Iterable<number>): void {
    for (const one of this.#c.random.shuffled([...pieces])) if (!this.#pack.has(one)) this.#wanted.add(one)
    this.progress.wanted = this.#wanted.size
  }

  async urgent (piece: number): Promise<void> {
    this.more([piece])
    await this.done
  }

  finish (): void {}

  end (error?: unknown): void {
    if (this.#over) return
    this.#over = true
    this.#cancel()
    for (const peer of this.#sources) this.#c.net.sources.get(peer)?.users.delete(this)
    this.#c.onEnd()
    if (error === undefined) this.#ended.resolve()
    else this.#ended.reject(error as Error)
  }

  #later (): void { this.#cancel = this.#c.clock.after(BATCH_MS, () => { void this.#batch() }) }

  async #batch (): Promise<void> {
    try {
      for (const piece of this.#wanted) if (this.#pack.has(piece)) this.#wanted.delete(piece)
      const sources = this.#usable()
      if (this.nowMs - this.#lookedUpMs >= (sources.length === 0 ? LOOK_UP_ALONE_MS : LOOK_UP_MS)) void this.#lookUp()
      await this.#take(sources)
      if (this.#over) return
      if (this.#wanted.size === 0) this.end()
      else if (this.nowMs - this.progressMs >= (this.#init.stalledMs ?? FETCH_STALLED_MS)) this.end(new PlantError('FETCH_STALLED', { infoHash: this.infoHash, missing: this.#wanted.size }))
      else this.#later()
    } catch (error) {
      this.end(error)
    }
  }

  /** What the lines let through in one batch, from those who have something. */
  async #take (sources: ReadonlyArray<readonly [PeerId, Source]>): Promise<void> {
    const { net, sharing } = this.#c
    const line = net.bytesPerMs * BATCH_MS
    this.#owedDown = Math.min(this.#owedDown, (OWED_BATCHES_MAX - 1) * line) + line / Math.max(1, sharing())
    for (const [peer, source] of sources) {
      const before = this.#owedUp.get(peer) ?? 0
      let up = Math.min(before, (OWED_BATCHES_MAX - 1) * line) + line / Math.max(1, source.users.size)
      for (const piece of this.#wanted) {
        if (up < PIECE_BYTES || this.#owedDown < PIECE_BYTES) break
        const pack = source.packs.get(this.infoHash)
        if (pack?.has(piece) !== true) continue
        up -= PIECE_BYTES
        this.#owedDown -= PIECE_BYTES
        if (!await this.#takeOne(peer, source, pack, piece)) break
        if (this.#over) return
      }
      this.#owedUp.set(peer, up)
    }
  }

  /** False: it was wrong, and whoever sent it is not asked again. */
  async #takeOne (peer: PeerId, { lies, onLie }: Source, pack: SimPack, piece: number): Promise<boolean> {
    const lying = lies.has('wrongPieces')
    if (lying) onLie('wrongPieces')
    const kept = await this.#pack.write(piece, lying ? NOT_THE_PIECE : pack.piece(piece))
    this.progress.downBytes += PIECE_BYTES
    if (!kept) {
      this.progress.wastedBytes += PIECE_BYTES
      this.#c.onWrong(peer, piece)
      this.#leave(peer)
      return false
    }
    this.#c.net.count(this.peer, this.infoHash)
    this.#wanted.delete(piece)
    this.progress.have++
    this.progressMs = this.nowMs
    return true
  }

  /** Those who can be asked now and have something that is wanted, in an order that is drawn anew each time. */
  #usable (): Array<readonly [PeerId, Source]> {
    const { net, reaches, isWrong, random } = this.#c
    const usable = [...this.#sources].flatMap((peer) => {
      const source = net.sources.get(peer)
      const pack = source?.packs.get(this.infoHash)
      const isUsable = source !== undefined && pack !== undefined && !source.life.dead && !isWrong(peer) && reaches(peer)
      if (!isUsable || !this.#hasWanted(pack)) {
        source?.users.delete(this)
        return []
      }
      if (source.lies.has('stalls')) {
        source.onLie('stalls')
        return []
      }
      source.users.add(this)
      return [[peer, source] as const]
    })
    return random.shuffled(usable)
  }

  #hasWanted (pack: SimPack): boolean {
    for (const piece of this.#wanted) if (pack.has(piece)) return true
    return false
  }

  #leave (peer: PeerId): void {
    this.#sources.delete(peer)
    this.#c.net.sources.get(peer)?.users.delete(this)
  }

  async #lookUp (): Promise<void> {
    this.#lookedUpMs = this.nowMs
    try {
      for await (const peer of this.#init.providers(this.#init.signal ?? new AbortController().signal)) if (peer !== this.#c.self && !this.#over) this.#sources.add(peer)
    } catch {
      // The fetch has ended, or the directory does not answer: it is looked up again while the fetch goes on.
    }
  }
}

/** What a liar sends. */
const NOT_THE_PIECE = Uint8Array.of(0xff)
