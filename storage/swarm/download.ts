/** One fetch of one pack: asks for pieces as the Picker says, puts blocks together, has pieces checked and kept. */
import { PlantError } from '../../protocols/kit/index.ts'
import type { Cancel, Clock, PeerId, Random } from '../../protocols/kit/index.ts'
import { BLOCK_BYTES, FETCH_STALLED_MS, PIECE_BYTES, PIPELINE_PIECES_MAX, SILENT_MS, URGENT_MAX, WRITING_PIECES_MAX } from './constants.ts'
import { PieceBuffers } from './buffers.ts'
import { Assembly } from './link.ts'
import type { Link } from './link.ts'
import type { Pack } from '../warehouse/pack.ts'
import type { Picker } from './picker.ts'
import { PieceSet } from './piece-set.ts'
import type { TokenBucket } from './token-bucket.ts'

export interface FetchProgress {
  /** Pieces wanted in all, and those that are here. */
  wanted: number
  have: number
  /** Bytes that came for pieces that were kept, and that were of no use. */
  downBytes: number
  wastedBytes: number
}

export interface DownloadInit {
  /** Wanted; all that the pack lacks by default. */
  pieces?: Iterable<number>
  /** Goes on when nothing is wanted any more, for urgent and further pieces, until `finish`. */
  stays?: boolean
  /** Without progress for so long it fails; Infinity: it waits. */
  stalledMs?: number
  onProgress?: (progress: FetchProgress) => void
}

export interface DownloadComponents { pack: Pack, picker: Picker, clock: Clock, random: Random, bucket: TokenBucket }

/** What the session does for a download. */
export interface DownloadHost {
  links (): Iterable<Link>
  linkOf (peer: string): Link | undefined
  /** The peer sent something that is not the piece. */
  wrong (link: Link, piece: number): void
  drop (link: Link, reason: Error): void
}

/** Blocks that nobody asked for, in a row, above which a peer is left: all that may be under way after cancelling. */
const UNASKED_MAX = PIPELINE_PIECES_MAX * PIECE_BYTES / BLOCK_BYTES * 2

/** One fetch. `done` tells how it ended; a full disk, or nobody to ask for too long, ends it in failure. */
export class Download {
  readonly #c: DownloadComponents
  readonly #host: DownloadHost
  readonly #init: DownloadInit
  readonly #missing: PieceSet
  readonly #waiters = new Map<number, Array<{ resolve: () => void, reject: (reason: Error) => void }>>()
  readonly #ended = Promise.withResolvers<void>()
  readonly #cancelHave: Cancel
  readonly #buffers = new PieceBuffers()
  #isEnded = false
  #finishing: boolean
  #wanted = 0
  #downBytes = 0
  #wastedBytes = 0
  #progressAtMs: number
  #timer: Cancel | undefined

  constructor (components: DownloadComponents, host: DownloadHost, init: DownloadInit) {
    this.#c = components
    this.#host = host
    this.#init = init
    this.#finishing = init.stays !== true
    this.#missing = new PieceSet(components.pack.count)
    this.#progressAtMs = components.clock.monotonicMs()
    this.#ended.promise.catch(() => {}) // Whoever asks for `done` hears of it.
    this.#cancelHave = components.pack.onHave((piece) => { this.#kept(piece) })
    this.more(init.pieces ?? allPieces(components.pack))
  }

  get done (): Promise<void> { return this.#ended.promise }

  get isEnded (): boolean { return this.#isEnded }

  get progress (): FetchProgress {
    return { wanted: this.#wanted, have: this.#wanted - this.#missing.size, downBytes: this.#downBytes, wastedBytes: this.#wastedBytes }
  }

  /** Wants these too. */
  more (pieces: Iterable<number>): void {
    for (const piece of pieces) {
      if (!Number.isInteger(piece) || piece < 0 || piece >= this.#c.pack.count || this.#c.pack.has(piece) || !this.#missing.add(piece)) continue
      this.#wanted++
      this.#c.picker.want(piece)
    }
    this.pumpAll()
    this.#endIfDone()
  }

  /** No more will be wanted: ends when all is here. */
  finish (): void {
    this.#finishing = true
    this.#endIfDone()
  }

  /** Resolves when this piece is here: it goes before all that nobody waits for. */
  async urgent (piece: number): Promise<void> {
    const { pack, picker, clock } = this.#c
    if (pack.has(piece)) return
    if (this.#isEnded) throw new PlantError('LIMIT', { problem: 'the fetch has ended', piece })
    if (!Number.isInteger(piece) || piece < 0 || piece >= pack.count) throw new PlantError('LIMIT', { bound: 'pieces', piece, count: pack.count })
    const waiters = this.#waiters.get(piece) ?? []
    if (waiters.length === 0 && this.#waiters.size >= URGENT_MAX) throw new PlantError('LIMIT', { bound: 'urgent pieces', max: URGENT_MAX })
    this.#waiters.set(piece, waiters)
    const nowMs = clock.monotonicMs()
    if (this.#missing.size === 0) this.#progressAtMs = nowMs
    if (this.#missing.add(piece)) this.#wanted++
    picker.urgent(piece, nowMs)
    for (const peer of picker.soonest(nowMs)) {
      const link = this.#host.linkOf(peer.id)
      if (link !== undefined) this.pump(link)
    }
    return new Promise((resolve, reject) => { waiters.push({ resolve, reject }) })
  }

  /** Asks this peer for what it is to be asked now. */
  pump (link: Link): void {
    const { picker, clock, bucket } = this.#c
    if (this.#isEnded || link.gone || link.neverAsk) return
    while (picker.checking < WRITING_PIECES_MAX) {
      const nowMs = clock.monotonicMs()
      if (bucket.waitMs(nowMs) > 0) {
        this.#pumpLater(bucket.waitMs(nowMs))
        return
      }
      const choice = picker.next(link.picked, nowMs)
      if (choice === undefined) return
      const { piece, instead } = choice
      this.#cancel(piece, instead)
      if (instead.length === 0) bucket.take(PIECE_BYTES, nowMs)
      for (let offset = 0; offset < PIECE_BYTES; offset += BLOCK_BYTES) link.wire.request(piece, offset, BLOCK_BYTES)
    }
  }

  pumpAll (): void { for (const link of this.#host.links()) this.pump(link) }

  /** A block has come. */
  block (link: Link, piece: number, offset: number, bytes: Uint8Array): void {
    const asked = link.picked.asked.get(piece)
    const assembly = asked === undefined ? undefined : link.assemblies.get(piece) ?? new Assembly(this.#buffers.take())
    const isOurs = assembly?.put(offset, bytes) ?? false
    this.#c.picker.received(link.picked, isOurs ? asked : undefined, bytes.length, this.#c.clock.monotonicMs())
    if (!isOurs || assembly === undefined) {
      this.#waste(link, bytes.length)
      if (++link.unasked > UNASKED_MAX) this.#host.drop(link, new Error('it sends what nobody asked for'))
      return
    }
    link.unasked = 0
    link.assemblies.set(piece, assembly)
    if (assembly.whole) void this.#check(link, piece, assembly.bytes)
    this.pump(link)
  }

  /** The peer will not send this piece. */
  refused (link: Link, piece: number): void {
    if (link.picked.asked.has(piece)) this.#c.bucket.giveBack(PIECE_BYTES)
    this.#forget(link, piece)
    this.#c.picker.refused(link.picked, piece, this.#c.clock.monotonicMs())
    this.pumpAll()
  }

  /** Once each TICK_MS. */
  tick (): void {
    const nowMs = this.#c.clock.monotonicMs()
    for (const link of this.#host.links()) {
      if (link.picked.stalled && nowMs - link.picked.activeAtMs > SILENT_MS) this.#host.drop(link, new Error('it does not answer'))
    }
    if (this.#c.picker.tick(nowMs)) this.pumpAll()
    const stalledMs = this.#init.stalledMs ?? FETCH_STALLED_MS
    if (this.#missing.size > 0 && nowMs - this.#progressAtMs > stalledMs) this.fail(this.#stalled(stalledMs))
  }

  /** Ends it, and all that wait for a piece. */
  fail (reason: Error): void { this.#end(reason) }

  #stalled (stalledMs: number): PlantError {
    const [first] = this.#missing
    const peers = [...this.#host.links()].map((link): PeerId => link.peer)
    return new PlantError('FETCH_STALLED', {
      infoHash: this.#c.pack.infoHash, missing: this.#missing.size, of: this.#c.pack.count, firstMissing: first, peers: peers.slice(0, 10), waitedMs: stalledMs
    })
  }

  /** Never rejects. */
  async #check (link: Link, piece: number, bytes: Uint8Array): Promise<void> {
    const { pack, picker } = this.#c
    link.assemblies.delete(piece)
    this.#cancel(piece, picker.arrived(link.picked, piece))
    let isRight: boolean
    try {
      isRight = await pack.write(piece, bytes)
    } catch (error) {
      this.fail(error instanceof Error ? error : new Error(String(error)))
      return
    }
    this.#buffers.give(bytes)
    if (isRight) {
      link.stats.downBytes += PIECE_BYTES
      this.#downBytes += PIECE_BYTES
      this.#kept(piece)
      if (picker.checking === WRITING_PIECES_MAX - 1) this.pumpAll()
      return
    }
    this.#waste(link, PIECE_BYTES)
    picker.wrong(piece)
    this.#host.wrong(link, piece)
    this.pumpAll()
  }

  #cancel (piece: number, peers: Iterable<{ id: string }>): void {
    for (const { id } of peers) {
      const link = this.#host.linkOf(id)
      if (link === undefined) continue
      this.#forget(link, piece)
      for (let offset = 0; offset < PIECE_BYTES; offset += BLOCK_BYTES) link.wire.cancel(piece, offset, BLOCK_BYTES)
    }
  }

  #kept (piece: number): void {
    this.#c.picker.kept(piece)
    if (this.#missing.delete(piece)) {
      this.#progressAtMs = this.#c.clock.monotonicMs()
      this.#init.onProgress?.(this.progress)
    }
    const waiters = this.#waiters.get(piece)
    this.#waiters.delete(piece)
    for (const { resolve } of waiters ?? []) resolve()
    this.#endIfDone()
  }

  #forget (link: Link, piece: number): void {
    const assembly = link.assemblies.get(piece)
    if (assembly === undefined) return
    link.assemblies.delete(piece)
    this.#buffers.give(assembly.bytes)
    this.#waste(link, (link.picked.asked.get(piece)?.blocks ?? 0) * BLOCK_BYTES)
  }

  #waste (link: Link, bytes: number): void {
    link.stats.wastedBytes += bytes
    this.#wastedBytes += bytes
  }

  #pumpLater (ms: number): void {
    this.#timer ??= this.#c.clock.after(ms, () => {
      this.#timer = undefined
      this.pumpAll()
    })
  }

  #endIfDone (): void { if (this.#missing.size === 0 && this.#finishing) this.#end(undefined) }

  #end (failure: Error | undefined): void {
    if (this.#isEnded) return
    this.#isEnded = true
    this.#timer?.()
    this.#cancelHave()
    for (const waiters of this.#waiters.values()) {
      for (const { reject } of waiters) reject(failure ?? new PlantError('INTERRUPTED', { problem: 'the fetch has ended' }))
    }
    this.#waiters.clear()
    if (failure === undefined) this.#ended.resolve()
    else this.#ended.reject(failure)
  }
}

function * allPieces (pack: Pack): Generator<number> {
  for (let piece = 0; piece < pack.count; piece++) if (!pack.has(piece)) yield piece
}
