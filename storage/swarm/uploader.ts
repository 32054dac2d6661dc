/**
 * Which request to answer next, over all peers and packs. Pure: requests in, the next piece out.
 *
 * Requests for blocks of one piece by one peer are one *job*. Among peers that can take more, the one that has been sent the least goes first
 * (start-time fair queueing: a peer that comes back from idleness is not ahead by what it did not use); among its jobs, the piece that has
 * been sent least. While a seed has pieces that no other peer has (novel ones), it refuses, a few times for each peer and piece, what it has
 * already sent to someone: that peer can be asked, and the seed's line carries each piece about once.
 */
import { BLOCKS_PER_PIECE, REFUSALS_MAX, REQUESTS_PER_PEER_MAX } from './constants.ts'
import { PieceSet } from './piece-set.ts'

const BLOCKS_REFUSED_MAX = BLOCKS_PER_PIECE * REFUSALS_MAX

/** One asked block. */
export interface BlockRequest {
  offset: number
  length: number
  /** Sends it, or refuses with no bytes. */
  answer (bytes: Uint8Array | undefined): void
}

/** Blocks of one piece for one peer. */
export interface Job {
  readonly peer: UploadPeer
  readonly piece: number
  readonly requests: BlockRequest[]
}

/** What a pack knows of its pieces for the order of sending. */
export interface Spread {
  /** How often this piece has been sent. */
  sent (piece: number): number
  /** It is being sent to one more peer. */
  send (piece: number): void
  /** Nobody else has it and it has been sent to nobody. */
  isNovel (piece: number): boolean
  /** How many are novel; 0 unless spreading is worth while (a seed with two peers or more that want something). */
  novelLeft (): number
}

/** A peer that asks for pieces of one pack. */
export class UploadPeer {
  readonly id: string
  readonly spread: Spread
  readonly jobs = new Map<number, Job>()
  /** Blocks refused of each piece: after REFUSALS_MAX times it is answered. */
  readonly refused: Uint8Array
  /** Pieces of which it has been sent a block or more: the rest is not refused. */
  readonly begun: PieceSet
  requests = 0
  /** Bytes sent, in the fair queue's time. */
  servedBytes = 0

  constructor (id: string, spread: Spread, count: number) {
    this.id = id
    this.spread = spread
    this.refused = new Uint8Array(count)
    this.begun = new PieceSet(count)
  }
}

/** The queue of all that peers have asked for. */
export class Uploader {
  readonly #waiting = new Set<UploadPeer>()
  /** The fair queue's time: what the peer served last had been sent. */
  #timeBytes = 0

  get waiting (): number { return this.#waiting.size }

  /** Takes a request; refused at once when the peer has too many, or when others should be asked. */
  offer (peer: UploadPeer, piece: number, request: BlockRequest): void {
    if (peer.requests >= REQUESTS_PER_PEER_MAX || (!peer.jobs.has(piece) && this.#shouldAskOthers(peer, piece))) {
      refuse(peer, piece, request)
      return
    }
    if (peer.jobs.size === 0) {
      peer.servedBytes = Math.max(peer.servedBytes, this.#timeBytes)
      this.#waiting.add(peer)
    }
    const job = peer.jobs.get(piece)
    if (job === undefined) peer.jobs.set(piece, { peer, piece, requests: [request] })
    else job.requests.push(request)
    peer.requests++
  }

  /** The peer wants this block no more. */
  cancel (peer: UploadPeer, piece: number, offset: number): void {
    const job = peer.jobs.get(piece)
    const at = job?.requests.findIndex((request) => request.offset === offset) ?? -1
    if (job === undefined || at < 0) return
    job.requests.splice(at, 1)
    peer.requests--
    if (job.requests.length === 0) this.#drop(peer, piece)
  }

  /** Forgets all that the peer asked for. */
  leave (peer: UploadPeer): void {
    peer.jobs.clear()
    peer.requests = 0
    this.#waiting.delete(peer)
  }

  /** The next job, taken out; only of peers that can take more now. What waits elsewhere for the same piece may be refused. */
  next (isReady: (peer: UploadPeer) => boolean): Job | undefined {
    let best: UploadPeer | undefined
    for (const peer of this.#waiting) if ((best === undefined || peer.servedBytes < best.servedBytes) && isReady(peer)) best = peer
    if (best === undefined) return undefined
    const job = leastSent(best)
    if (job === undefined) return undefined
    this.#timeBytes = best.servedBytes
    best.servedBytes += job.requests.reduce((sum, { length }) => sum + length, 0)
    best.requests -= job.requests.length
    this.#drop(best, job.piece)
    if (best.begun.add(job.piece)) {
      best.spread.send(job.piece)
      this.#sent(best, job.piece)
    }
    return job
  }

  /** A piece goes to one peer: others that wait for it are told to ask elsewhere, where that is better. */
  #sent (to: UploadPeer, piece: number): void {
    for (const peer of this.#waiting) {
      if (peer === to || peer.spread !== to.spread) continue
      const job = peer.jobs.get(piece)
      if (job === undefined || !this.#shouldAskOthers(peer, piece)) continue
      peer.requests -= job.requests.length
      this.#drop(peer, piece)
      for (const request of job.requests) refuse(peer, piece, request)
    }
  }

  #shouldAskOthers (peer: UploadPeer, piece: number): boolean {
    return peer.spread.novelLeft() > 0 && peer.spread.sent(piece) > 0 && !peer.begun.has(piece) && (peer.refused[piece] ?? 0) < BLOCKS_REFUSED_MAX
  }

  #drop (peer: UploadPeer, piece: number): void {
    peer.jobs.delete(piece)
    if (peer.jobs.size === 0) this.#waiting.delete(peer)
  }
}

function refuse (peer: UploadPeer, piece: number, request: BlockRequest): void {
  peer.refused[piece] = Math.min(BLOCKS_REFUSED_MAX, (peer.refused[piece] ?? 0) + 1)
  request.answer(undefined)
}

function leastSent (peer: UploadPeer): Job | undefined {
  let best: Job | undefined
  let bestSent = Infinity
  for (const job of peer.jobs.values()) {
    const sent = peer.spread.sent(job.piece)
    if (sent < bestSent) [best, bestSent] = [job, sent]
    if (bestSent === 0) break
  }
  return best
}

