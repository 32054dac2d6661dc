/**
 * The swarm of one plant: packs that it serves and fetches, over wires to other plants. One wire for a peer and a pack; when both dial at
 * once, the one that the lower peer id opened stays. See README.md.
 */
import { PlantError } from '../../protocols/kit/index.ts'
import type { Cancel, Clock, Log, PeerId, Random } from '../../protocols/kit/index.ts'
import type { ByteStream, ByteTransport } from './byte-stream.ts'
import { HANDSHAKE_MS, PIECES_MAX, SWARM_PROTOCOL, TICK_MS, WIRES_INBOUND_MAX, WIRES_PER_PEER_MAX } from './constants.ts'
import { Dialler } from './dialler.ts'
import type { Providers } from './dialler.ts'
import type { DownloadInit, FetchProgress } from './download.ts'
import type { LinkStats } from './link.ts'
import type { Pack } from '../warehouse/pack.ts'
import { PeerPolicy } from './peer-policy.ts'
import type { PeerWire, WireEvents, WireMaker } from './peer-wire.ts'
import { Session } from './session.ts'
import { TokenBucket } from './token-bucket.ts'
import { UploadPump } from './upload-pump.ts'

export interface SwarmInit {
  /** Caps on payload, all packs together; none by default. */
  uploadBytesPerS?: number
  downloadBytesPerS?: number
}

export interface SwarmComponents { transport: ByteTransport, wire: WireMaker, clock: Clock, random: Random, log: Log }

export interface FetchInit extends DownloadInit {
  /** Finds who has the pack; asked again while the fetch goes on. */
  providers: Providers
  /** Pieces to fetch first, in this order. */
  order?: readonly number[]
  signal?: AbortSignal
}

export interface Fetch {
  /** Resolves when all that is wanted is here. Rejects with FETCH_STALLED, DISK_FULL, or the signal's reason. */
  readonly done: Promise<void>
  readonly progress: FetchProgress
  urgent (piece: number): Promise<void>
  more (pieces: Iterable<number>): void
  finish (): void
}

export interface PeerFigures extends LinkStats { peer: PeerId, infoHash: string, downBytesPerS: number, roundTripMs: number, pieces: number, weAreChoked: boolean }

/** Someone sent a piece that is not what its hash says. */
export interface WrongPiece { peer: PeerId, infoHash: string, piece: number }

/** A plant's part in the swarm. `stop` ends every fetch and every wire. */
export class Swarm {
  readonly #c: SwarmComponents
  readonly #pump: UploadPump
  readonly #downloadBucket: TokenBucket
  readonly #policy = new PeerPolicy()
  readonly #sessions = new Map<string, Session>()
  readonly #diallers = new Map<string, Dialler>()
  readonly #wrongListeners = new Set<(wrong: WrongPiece) => void>()
  /** Wires that have not shaken hands yet. */
  readonly #pending = new Set<PeerWire>()
  #unhandle: Cancel | undefined
  #timer: Cancel | undefined
  #stopped = false

  constructor (components: SwarmComponents, init: SwarmInit) {
    this.#c = components
    this.#pump = new UploadPump(components, init.uploadBytesPerS ?? Infinity)
    this.#downloadBucket = new TokenBucket(init.downloadBytesPerS ?? Infinity)
  }

  /** Takes wires of others from now on. */
  async start (): Promise<void> {
    const limits = { inboundMax: WIRES_INBOUND_MAX, inboundPerPeerMax: WIRES_PER_PEER_MAX }
    this.#unhandle = await this.#c.transport.handleBytes(SWARM_PROTOCOL, limits, (stream) => { this.#accept(stream) })
    if (this.#stopped) this.#unhandle()
  }

  /** Gives the pack's pieces to whoever asks, until cancelled. */
  serve (pack: Pack): Cancel {
    const session = this.#sessionOf(pack)
    session.isServed = true
    return () => {
      session.isServed = false
      this.#endIfIdle(session)
    }
  }

  /** Fetches what the pack lacks. One fetch of a pack at a time: a second is refused with LIMIT. */
  fetch (pack: Pack, init: FetchInit): Fetch {
    init.signal?.throwIfAborted()
    const session = this.#sessionOf(pack)
    if (session.download !== undefined) throw new PlantError('LIMIT', { bound: 'fetches of one pack', infoHash: pack.infoHash })
    const download = session.fetch(init, init.order)
    if (download.isEnded) {
      this.#endIfIdle(session)
      return download
    }
    const dialler = new Dialler({
      clock: this.#c.clock, random: this.#c.random, policy: this.#policy, log: this.#c.log, self: this.#c.transport.self,
      isLinked: (peer) => session.links.has(peer),
      dial: async (peer, signal) => this.#dial(session, peer, signal)
    }, init.providers)
    this.#diallers.set(pack.infoHash, dialler)
    dialler.start()
    const onAbort = (): void => { download.fail(init.signal?.reason instanceof Error ? init.signal.reason : new PlantError('INTERRUPTED', {})) }
    init.signal?.addEventListener('abort', onAbort, { once: true })
    const over = (): void => {
      init.signal?.removeEventListener('abort', onAbort)
      dialler.stop()
      if (this.#diallers.get(pack.infoHash) === dialler) this.#diallers.delete(pack.infoHash)
      this.#endIfIdle(session)
    }
    download.done.then(over, over)
    this.#tickLater()
    return download
  }

  onWrong (fn: (wrong: WrongPiece) => void): Cancel {
    this.#wrongListeners.add(fn)
    return () => { this.#wrongListeners.delete(fn) }
  }

  /** Bytes of pieces sent since the start. */
  get uploadedBytes (): number { return this.#pump.sentBytes }

  /** Each link as it is now. */
  figures (): PeerFigures[] {
    return [...this.#sessions.values()].flatMap((session) => [...session.links.values()].map((link): PeerFigures => ({
      peer: link.peer, infoHash: session.pack.infoHash, ...link.stats, pieces: link.picked.has.size, weAreChoked: link.picked.choking,
      downBytesPerS: link.picked.pipeline.bytesPerS, roundTripMs: link.picked.pipeline.roundTripMs
    })))
  }

  async stop (): Promise<void> {
    this.#stopped = true
    this.#unhandle?.()
    this.#timer?.()
    this.#pump.stop()
    const reason = new PlantError('INTERRUPTED', { problem: 'the swarm stops' })
    for (const dialler of this.#diallers.values()) dialler.stop()
    for (const session of this.#sessions.values()) session.end(reason)
    for (const wire of this.#pending) wire.abort(reason)
    this.#sessions.clear()
  }

  #sessionOf (pack: Pack): Session {
    if (this.#stopped) throw new PlantError('INTERRUPTED', { problem: 'the swarm has stopped' })
    const known = this.#sessions.get(pack.infoHash)
    if (known !== undefined) return known
    if (pack.count > PIECES_MAX) throw new PlantError('LIMIT', { bound: 'pieces of a pack', max: PIECES_MAX, found: pack.count })
    const { clock, random, log } = this.#c
    const session = new Session({
      pack, clock, random, log, pump: this.#pump, downloadBucket: this.#downloadBucket, policy: this.#policy,
      onLeft: (peer, gave) => { this.#diallers.get(pack.infoHash)?.lost(peer, gave) },
      onWrong: (peer, piece) => {
        for (const other of this.#sessions.values()) if (other !== session) other.distrust(peer)
        for (const fn of this.#wrongListeners) fn({ peer, infoHash: pack.infoHash, piece })
      }
    })
    this.#sessions.set(pack.infoHash, session)
    return session
  }

  #endIfIdle (session: Session): void {
    if (!session.isIdle || this.#sessions.get(session.pack.infoHash) !== session) return
    this.#sessions.delete(session.pack.infoHash)
    session.end(new Error('the pack is not served any more'))
  }

  /** A wire that a peer opened: it says first which pack it is about. */
  #accept (stream: ByteStream): void {
    const wire = this.#c.wire(stream)
    this.#pending.add(wire)
    const late = this.#c.clock.after(HANDSHAKE_MS, () => { wire.abort(new Error('no handshake in time')) })
    const settle = (): void => {
      late()
      this.#pending.delete(wire)
    }
    wire.listen(waiting({
      handshake: (infoHash) => {
        settle()
        const session = this.#sessions.get(infoHash)
        if (session === undefined || !this.#yields(session, wire.peer)) {
          wire.abort(new Error(session === undefined ? 'no such pack here' : 'there is another wire'))
          return undefined
        }
        wire.handshake(infoHash)
        return this.#join(session, wire, false)
      },
      gone: settle
    }))
  }

  /** Whether a wire that the peer opened may take the place of what there is: of a dial of ours, when its id is the lower; of a link long silent. */
  #yields (session: Session, peer: PeerId): boolean {
    const link = session.links.get(peer)
    const theirsStays = peer < this.#c.transport.self
    if (link === undefined) {
      const dialler = this.#diallers.get(session.pack.infoHash)
      if (dialler?.isDialling(peer) !== true) return true
      if (theirsStays) dialler.giveUp(peer)
      return theirsStays
    }
    const silentMs = this.#c.clock.monotonicMs() - link.heardAtMs
    if (silentMs < HANDSHAKE_MS / 2 && !(link.dialled && theirsStays)) return false
    link.wire.abort(new Error('replaced by a wire that the peer opened'))
    return !session.links.has(peer)
  }

  /** Opens a wire for a pack; resolves when both have shaken hands, rejects when not. */
  async #dial (session: Session, peer: PeerId, signal: AbortSignal): Promise<void> {
    const stream = await this.#c.transport.openBytes(peer, SWARM_PROTOCOL, signal)
    const wire = this.#c.wire(stream)
    this.#pending.add(wire)
    const onAbort = (): void => { wire.abort(new Error('given up')) }
    const late = this.#c.clock.after(HANDSHAKE_MS, onAbort)
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      await new Promise<void>((resolve, reject) => {
        wire.listen(waiting({
          handshake: (infoHash) => {
            if (infoHash !== session.pack.infoHash || session.links.has(peer)) {
              wire.abort(new Error('another pack, or another wire'))
              return undefined
            }
            resolve()
            return this.#join(session, wire, true)
          },
          gone: (reason) => { reject(reason ?? new PlantError('PEER_UNREACHABLE', { peer, problem: 'it closed the wire' })) }
        }))
        if (signal.aborted) onAbort()
        else wire.handshake(session.pack.infoHash)
      })
    } finally {
      late()
      signal.removeEventListener('abort', onAbort)
      this.#pending.delete(wire)
    }
  }

  #join (session: Session, wire: PeerWire, dialled: boolean): WireEvents | undefined {
    const events = this.#sessions.get(session.pack.infoHash) === session ? session.join(wire, dialled) : undefined
    if (events === undefined) wire.abort(new Error('no room for more wires'))
    this.#tickLater()
    return events
  }

  #tickLater (): void {
    if (this.#timer !== undefined || this.#stopped) return
    this.#timer = this.#c.clock.after(TICK_MS, () => {
      this.#timer = undefined
      let any = false
      for (const session of this.#sessions.values()) {
        if (session.links.size === 0 && session.download === undefined) continue
        any = true
        session.tick()
      }
      if (any) this.#tickLater()
    })
  }
}

/** Events of a wire before it has a session; what its handshake returns gets the rest. */
function waiting (first: { handshake: (infoHash: string) => WireEvents | undefined, gone: (reason: Error | undefined) => void }): WireEvents {
  let events: WireEvents | undefined
  return {
    handshake: (infoHash) => {
      if (events === undefined) events = first.handshake(infoHash)
      else events.handshake(infoHash)
    },
    bitfield: (bits) => { events?.bitfield(bits) },
    have: (piece) => { events?.have(piece) },
    choked: (choked) => { events?.choked(choked) },
    interested: (interested) => { events?.interested(interested) },
    request: (piece, request) => { events?.request(piece, request) },
    cancel: (piece, offset) => { events?.cancel(piece, offset) },
    block: (piece, offset, bytes) => { events?.block(piece, offset, bytes) },
    refused: (piece) => { events?.refused(piece) },
    drained: () => { events?.drained() },
    gone: (reason) => {
      if (events === undefined) first.gone(reason)
      else events.gone(reason)
    }
  }
}
