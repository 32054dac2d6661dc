/** All conversations about one pack: links, who is served, who is asked. */
import type { Cancel, Clock, Log, PeerId, Random } from '../../protocols/kit/index.ts'
import { BLOCK_BYTES, HAVE_DELAY_MS, PIECE_BYTES, WIRES_PER_PACK_MAX, WIRE_IDLE_MS } from './constants.ts'
import { Download } from './download.ts'
import type { DownloadInit } from './download.ts'
import { Link } from './link.ts'
import type { Pack } from '../warehouse/pack.ts'
import type { PeerPolicy } from './peer-policy.ts'
import type { PeerWire, WireEvents } from './peer-wire.ts'
import { Picker } from './picker.ts'
import { PieceSet } from './piece-set.ts'
import { Slots } from './slots.ts'
import { PackSpread } from './spread.ts'
import type { TokenBucket } from './token-bucket.ts'
import type { UploadPump } from './upload-pump.ts'
import { UploadPeer } from './uploader.ts'

export interface SessionComponents {
  pack: Pack
  clock: Clock
  random: Random
  log: Log
  pump: UploadPump
  downloadBucket: TokenBucket
  policy: PeerPolicy
  /** A link is gone; `gave` when pieces of it were kept. */
  onLeft (peer: PeerId, gave: boolean): void
  onWrong (peer: PeerId, piece: number): void
}

/** One pack that is served or fetched; ends when it is neither. A peer that misbehaves loses its link, nothing else. */
export class Session {
  readonly pack: Pack
  /** Served also when nothing is fetched. */
  isServed = false
  readonly #c: SessionComponents
  readonly #links = new Map<PeerId, Link>()
  readonly #spread: PackSpread
  readonly #slots = new Slots<Link>()
  readonly #cancelHave: Cancel
  readonly #picker: Picker
  /** Pieces that the pack holds. */
  #held: number
  #download: Download | undefined
  /** New pieces that peers have not been told of. */
  #untold: number[] = []
  #tellTimer: Cancel | undefined

  constructor (components: SessionComponents) {
    this.#c = components
    this.pack = components.pack
    this.#picker = new Picker(this.pack.count, components.random)
    this.#spread = new PackSpread(this.pack.count)
    this.#held = PieceSet.fromBitfield(this.pack.bitfield(), this.pack.count)?.size ?? 0
    this.#spread.isSeed = this.#held === this.pack.count
    this.#cancelHave = this.pack.onHave((piece) => { this.#onHave(piece) })
  }

  get links (): ReadonlyMap<PeerId, Link> { return this.#links }

  get download (): Download | undefined { return this.#download }

  get isIdle (): boolean { return !this.isServed && this.#download === undefined }

  /** Begins to fetch, with the peers at hand; one at a time. */
  fetch (init: DownloadInit, order: readonly number[] = []): Download {
    this.#picker.follow(order)
    const { clock, random } = this.#c
    const download = new Download({ pack: this.pack, picker: this.#picker, clock, random, bucket: this.#c.downloadBucket }, {
      links: () => this.#links.values(),
      linkOf: (peer) => this.#links.get(peer as PeerId),
      wrong: (link, piece) => { this.#onWrong(link, piece) },
      drop: (link, reason) => { link.wire.abort(reason) }
    }, init)
    if (download.isEnded) return download
    this.#download = download
    for (const link of this.#links.values()) this.#judgeInterest(link)
    download.pumpAll()
    const over = (): void => {
      this.#download = undefined
      this.#picker.wantNothing()
      for (const link of this.#links.values()) this.#judgeInterest(link)
    }
    download.done.then(over, over)
    return download
  }

  /** Takes a wire on which both have shaken hands for this pack; its events come to what is returned. Undefined: no room. */
  join (wire: PeerWire, dialled: boolean): WireEvents | undefined {
    if (this.#links.size >= WIRES_PER_PACK_MAX) return undefined
    const picked = this.#picker.join(wire.peer, this.pack.count)
    const upload = new UploadPeer(wire.peer, this.#spread, this.pack.count)
    const link = new Link({ wire, dialled, picked, upload, neverAsk: this.#c.policy.isWrong(wire.peer), nowMs: this.#c.clock.monotonicMs() })
    this.#links.set(link.peer, link)
    this.#spread.join()
    this.#c.pump.join({ link, pack: this.pack })
    wire.bitfield(this.pack.bitfield())
    return this.#eventsOf(link)
  }

  /** The peer is not trusted any more, for what it sent of another pack. */
  distrust (peer: PeerId): void { this.#links.get(peer)?.wire.abort(new Error('it sent a wrong piece of another pack')) }

  /** Once each TICK_MS while there are links or a fetch. */
  tick (): void {
    this.#download?.tick()
    const nowMs = this.#c.clock.monotonicMs()
    const { begin, end } = this.#slots.rotate(nowMs)
    for (const link of end) this.#choke(link)
    for (const link of begin) link.wire.choke(false)
    for (const link of this.#links.values()) {
      if (link.idleSinceMs !== undefined && nowMs - link.idleSinceMs > WIRE_IDLE_MS) link.wire.abort(new Error('nobody wants anything'))
    }
  }

  end (reason: Error): void {
    this.#cancelHave()
    this.#tellTimer?.()
    this.#download?.fail(reason)
    for (const link of this.#links.values()) link.wire.abort(reason)
  }

  #eventsOf (link: Link): WireEvents {
    return {
      handshake: () => { link.wire.abort(new Error('a second handshake')) },
      bitfield: (bits) => { this.#onBitfield(link, bits) },
      have: (piece) => { this.#onPeerHas(link, piece) },
      choked: (choked) => { this.#onChoked(link, choked) },
      interested: (interested) => { this.#onInterested(link, interested) },
      request: (piece, request) => {
        link.heardAtMs = this.#c.clock.monotonicMs()
        if (!isBlock(request) || piece >= this.pack.count) link.wire.abort(new Error('a request for what is no block'))
        else if (!this.pack.has(piece)) request.answer(undefined)
        else {
          this.#c.pump.offer(link, piece, request)
          this.#c.pump.pump()
        }
      },
      cancel: (piece, offset) => { this.#c.pump.cancel(link, piece, offset) },
      block: (piece, offset, bytes) => {
        link.heardAtMs = this.#c.clock.monotonicMs()
        if (this.#download === undefined) link.stats.wastedBytes += bytes.length
        else this.#download.block(link, piece, offset, bytes)
      },
      refused: (piece) => { this.#download?.refused(link, piece) },
      drained: () => { this.#c.pump.pump() },
      gone: (reason) => { this.#onGone(link, reason) }
    }
  }

  #onBitfield (link: Link, bits: Uint8Array | 'all'): void {
    const pieces = bits === 'all' ? PieceSet.full(this.pack.count) : PieceSet.fromBitfield(bits, this.pack.count)
    if (pieces === undefined || link.picked.has.size > 0) {
      link.wire.abort(new Error('a bitfield that does not fit'))
      return
    }
    this.#picker.hasAll(link.picked, pieces)
    if (link.isComplete) this.#spread.completed()
    else for (const piece of pieces) this.#spread.gained(piece)
    this.#judgeInterest(link)
    this.#download?.pump(link)
  }

  #onPeerHas (link: Link, piece: number): void {
    if (piece >= this.pack.count || link.picked.has.has(piece)) return
    this.#picker.gains(link.picked, piece)
    this.#spread.gained(piece)
    if (link.isComplete) this.#spread.completed()
    if (!link.weWant || link.isComplete) this.#judgeInterest(link)
    this.#download?.pump(link)
  }

  #onChoked (link: Link, choked: boolean): void {
    if (choked) {
      link.assemblies.clear()
      this.#picker.choked(link.picked)
      this.#download?.pumpAll()
    } else {
      link.picked.choking = link.neverAsk
      this.#download?.pump(link)
    }
  }

  #onInterested (link: Link, interested: boolean): void {
    const nowMs = this.#c.clock.monotonicMs()
    link.wants({ theyWant: interested }, nowMs)
    if (interested) {
      if (this.#slots.enter(link, nowMs)) link.wire.choke(false)
    } else {
      this.#choke(link)
      for (const next of this.#slots.leave(link, nowMs)) next.wire.choke(false)
    }
  }

  #choke (link: Link): void {
    this.#c.pump.choke(link)
    link.wire.choke(true)
  }

  #onGone (link: Link, reason: Error | undefined): void {
    if (link.gone) return
    link.gone = true
    this.#c.log.debug({ peer: link.peer, infoHash: this.pack.infoHash, reason: reason?.message }, 'a swarm link is gone')
    this.#links.delete(link.peer)
    this.#c.pump.leave(link)
    for (const next of this.#slots.leave(link, this.#c.clock.monotonicMs())) next.wire.choke(false)
    if (!link.isComplete) this.#spread.completed()
    if (!link.picked.isSeed) this.#spread.leave(link.picked.has)
    this.#picker.leave(link.picked)
    link.assemblies.clear()
    this.#c.onLeft(link.peer, link.stats.downBytes > 0)
    this.#download?.pumpAll()
  }

  #onWrong (link: Link, piece: number): void {
    this.#c.policy.wrong(link.peer)
    this.#c.log.warn({ peer: link.peer, infoHash: this.pack.infoHash, piece }, 'a peer sent a wrong piece and is not asked again')
    this.#c.onWrong(link.peer, piece)
    link.wire.abort(new Error('it sent a wrong piece'))
  }

  /** We have one more piece: others are told. */
  #onHave (piece: number): void {
    this.#held++
    this.#spread.isSeed = this.#held >= this.pack.count
    this.#untold.push(piece)
    if (this.#spread.isSeed) this.#tell()
    else this.#tellTimer ??= this.#c.clock.after(HAVE_DELAY_MS, () => { this.#tell() })
  }

  #tell (): void {
    this.#tellTimer?.()
    this.#tellTimer = undefined
    const untold = this.#untold
    this.#untold = []
    for (const link of this.#links.values()) for (const piece of untold) link.wire.have(piece)
  }

  #judgeInterest (link: Link): void {
    const weWant = this.#download !== undefined && !link.neverAsk && link.picked.has.size > 0
    if (weWant !== link.weWant) link.wire.interested(weWant)
    link.wants({ weWant }, this.#c.clock.monotonicMs())
    // Both have all: nothing will ever be wanted on this wire.
    if (!weWant && link.isComplete && this.#spread.isSeed) link.wire.abort(new Error('both have all'))
  }
}

function isBlock (request: { offset: number, length: number }): boolean {
  return request.length > 0 && request.length <= BLOCK_BYTES && request.offset >= 0 && request.offset + request.length <= PIECE_BYTES
}
