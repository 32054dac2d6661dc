/**
 * The swarm as a model: pieces come at a rate from plants that live, are not cut off and have them; who has none left, or nobody, for long enough ends the fetch as the
 * engine does.
 */
import { PlantError, type Cancel, type Clock, type PeerId } from '../../../protocols/kit/index.ts'
import type { ImageSwarm } from '../../../node/plant/images/pack-fetches.ts'
import type { Fetch, FetchInit } from '../../../storage/swarm/index.ts'
import { FETCH_STALLED_MS, LOOK_UP_ALONE_MS, PIECE_BYTES } from '../../../storage/swarm/constants.ts'
import type { Pack } from '../../../storage/warehouse/pack.ts'
import type { Life } from '../life.ts'

/** Who serves what in one world. */
export type Serving = Map<PeerId, { life: Life, packs: Map<string, Pack> }>

export interface SimSwarmComponents {
  self: PeerId
  life: Life
  clock: Clock
  serving: Serving
  /** Whether bytes get from there to here. */
  reaches: (from: PeerId) => boolean
  /** What a fetch gets, all its wires together. */
  bytesPerMs?: number
}

/** 100 Mbit/s. */
const BYTES_PER_MS = 12_500
/** Pieces come in batches of this long. */
const BATCH_MS = 100

/** The swarm of one life. */
export class SimSwarm implements ImageSwarm {
  readonly #c: SimSwarmComponents
  readonly #packs = new Map<string, Pack>()

  constructor (components: SimSwarmComponents) { this.#c = components }

  async start (): Promise<void> { this.#c.serving.set(this.#c.self, { life: this.#c.life, packs: this.#packs }) }

  async stop (): Promise<void> { this.#packs.clear() }

  serve (pack: Pack): Cancel {
    this.#packs.set(pack.infoHash, pack)
    return () => { this.#packs.delete(pack.infoHash) }
  }

  onWrong (): Cancel { return () => {} }

  fetch (pack: Pack, init: FetchInit): Fetch { return new SimFetch(this.#c, pack, init) }
}

class SimFetch implements Fetch {
  readonly #c: SimSwarmComponents
  readonly #pack: Pack
  readonly #init: FetchInit
  readonly #wanted = new Set<number>()
  readonly #ended = Promise.withResolvers<void>()
  readonly #sources = new Set<PeerId>()
  readonly progress = { wanted: 0, have: 0, downBytes: 0, wastedBytes: 0 }
  #lookedUpMs = -Infinity
  #progressMs: number
  #owedBytes = 0
  #cancel: Cancel = () => {}
  #over = false

  constructor (components: SimSwarmComponents, pack: Pack, init: FetchInit) {
    this.#c = components
    this.#pack = pack
    this.#init = init
    this.#progressMs = components.clock.monotonicMs()
    this.#ended.promise.catch(() => {}) // Whoever asks for `done` hears of it.
    init.signal?.addEventListener('abort', () => { this.#end(init.signal?.reason) }, { once: true })
    this.more(init.pieces ?? Array.from({ length: pack.count }, (_, i) => i))
    this.#later()
  }

  get done (): Promise<void> { return this.#ended.promise }

  more (pieces: Iterable<number>): void { for (const one of pieces) if (!this.#pack.has(one)) this.#wanted.add(one) }

  async urgent (piece: number): Promise<void> {
    this.more([piece])
    await this.done
  }

  finish (): void {}

  #later (): void { this.#cancel = this.#c.clock.after(BATCH_MS, () => { void this.#batch() }) }

  async #batch (): Promise<void> {
    try {
      const nowMs = this.#c.clock.monotonicMs()
      if (nowMs - this.#lookedUpMs >= LOOK_UP_ALONE_MS) void this.#lookUp(nowMs)
      this.#owedBytes = Math.min(this.#owedBytes + (this.#c.bytesPerMs ?? BYTES_PER_MS) * BATCH_MS, 2 * (this.#c.bytesPerMs ?? BYTES_PER_MS) * BATCH_MS)
      const from = this.#packsOfSources()
      for (const piece of this.#wanted) {
        if (this.#owedBytes < PIECE_BYTES) break
        if (!this.#pack.has(piece)) {
          if (!from.some((pack) => pack.has(piece))) continue
          await this.#pack.write(piece, NO_PIECE)
          this.#owedBytes -= PIECE_BYTES
          this.#progressMs = nowMs
        }
        this.#wanted.delete(piece)
      }
      if (this.#wanted.size === 0) this.#end()
      else if (nowMs - this.#progressMs >= (this.#init.stalledMs ?? FETCH_STALLED_MS)) this.#end(new PlantError('FETCH_STALLED', { infoHash: this.#pack.infoHash, missing: this.#wanted.size }))
      else if (!this.#over) this.#later()
    } catch (error) {
      this.#end(error)
    }
  }

  #packsOfSources (): Pack[] {
    return [...this.#sources].flatMap((peer) => {
      const there = this.#c.serving.get(peer)
      const pack = there === undefined || there.life.dead || !this.#c.reaches(peer) ? undefined : there.packs.get(this.#pack.infoHash)
      return pack ?? []
    })
  }

  async #lookUp (nowMs: number): Promise<void> {
    this.#lookedUpMs = nowMs
    try {
      for await (const peer of this.#init.providers(this.#init.signal ?? new AbortController().signal)) this.#sources.add(peer)
    } catch {
      // The fetch has ended, or the directory does not answer: it is looked up again while the fetch goes on.
    }
  }

  #end (error?: unknown): void {
    this.#over = true
    this.#cancel()
    if (error === undefined) this.#ended.resolve()
    else this.#ended.reject(error as Error)
  }
}

/** A piece of a world has no bytes; packs take this for every one. */
const NO_PIECE = new Uint8Array(PIECE_BYTES)
