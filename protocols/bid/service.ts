/** Streams and clock bound to the two cores: the plant's book of bids (core.ts) and the shop's auction (auction.ts). */
import { sha256 } from '@noble/hashes/sha2.js'
import { asPlantError, Lifetime, limiter, PlantError, toHex, type Cancel, type Limiter, type Log, type MessageStream, type PeerId, type VmId } from '../kit/index.ts'
import { Auction, type AuctionEffect, type AuctionEnd } from './auction.ts'
import {
  AWARD_LIMITS, AWARD_PROTOCOL, AWARD_TIMEOUT_MS, BID_LIMITS, BID_PROTOCOL, CANCEL_FIRST_PAUSE_MS, CANCEL_PAUSE_MS_MAX, CANCEL_TRIES_MAX, JUDGE_TIMEOUT_MS,
  LAST_DEADLINE_MS, LOOSE_MAX, READ_MAX, READ_PER_PEER_MAX, SETTLE_TIMEOUT_MS, WAITING_MAX, WAITING_PER_PEER_MAX
} from './constants.ts'
import { BidBook, limitAnswer } from './core.ts'
import type { AuctionRequest, AuctionResult, Bidding, BiddingComponents, BiddingInit, PlantSide } from './index.ts'
import {
  decodeAwardAnswer, decodeAwardAsk, decodeCall, decodeCallAnswer, encodeAwardAnswer, encodeAwardAsk, encodeCall, encodeCallAnswer, refusalOf,
  type AwardAnswer, type AwardAsk, type CallAnswer, type Refusal
} from './messages.ts'

export class BiddingService implements Bidding {
  readonly #c: BiddingComponents
  readonly #init: BiddingInit
  readonly #lifetime = new Lifetime()
  /** Cancels that are being repeated, by bid. */
  readonly #loose = new Map<string, AbortController>()

  constructor (components: BiddingComponents, init: BiddingInit) {
    this.#c = components
    this.#init = init
  }

  async serve (plant: PlantSide): Promise<Cancel> {
    const served = new PlantEnd(this.#c, this.#init, plant, this.#lifetime.signal)
    const stops: Cancel[] = []
    const stop = (): void => { for (const cancel of stops.splice(0)) cancel() }
    try {
      stops.push(await this.#c.transport.handle(BID_PROTOCOL, BID_LIMITS, (stream) => served.onCallStream(stream)))
      stops.push(await this.#c.transport.handle(AWARD_PROTOCOL, AWARD_LIMITS, (stream) => served.onAwardStream(stream)))
    } catch (failure) {
      stop()
      throw failure
    }
    const forget = this.#lifetime.own(stop)
    return () => {
      forget()
      stop()
    }
  }

  async stop (): Promise<void> {
    for (const cancel of this.#loose.values()) cancel.abort()
    await this.#lifetime.end()
  }

  async auction (request: AuctionRequest, signal?: AbortSignal): Promise<AuctionResult> {
    signal?.throwIfAborted()
    this.#lifetime.signal.throwIfAborted()
    const { clock, random } = this.#c
    const now = { monotonicMs: clock.monotonicMs(), wallMs: clock.nowMs() }
    const { deadlineMs, lastDeadlineMs } = this.#init
    const auction = new Auction(request, request.candidates, random, now, {
      ...(deadlineMs === undefined ? {} : { deadlineMs }),
      ...(lastDeadlineMs === undefined ? {} : { lastDeadlineMs }),
      ...(request.strict === undefined ? {} : { strict: request.strict })
    })
    const end = await new AuctionRun(this.#c, this.#init, auction, request, (plant, bidId) => { this.#cancelUntilAnswered(plant, bidId, request.vmId) })
      .run([this.#lifetime.signal, ...(signal === undefined ? [] : [signal])])
    return { end, decision: auction.decision }
  }

  /** Says again and again that an award is not wanted any more, until the plant has answered or its lease must have ended by itself. */
  #cancelUntilAnswered (plant: PeerId, bidId: string, vmId: VmId): void {
    if (this.#lifetime.ended) return
    const stop = new AbortController()
    this.#loose.set(bidId, stop)
    const loop = async (): Promise<void> => {
      let pauseMs = CANCEL_FIRST_PAUSE_MS
      for (let tries = 0; tries < CANCEL_TRIES_MAX && !stop.signal.aborted; tries++) {
        try {
          const bytes = await ask(this.#c, { peer: plant, protocol: AWARD_PROTOCOL, bytes: encodeAwardAsk({ t: 2, bidId, vmId }), timeoutMs: this.#init.settleTimeoutMs ?? SETTLE_TIMEOUT_MS }, [stop.signal])
          const answer = decodeAwardAnswer(bytes)
          if (answer.t === 1) throw new PlantError('LIMIT', { plant })
          this.#c.log.info({ plant, vmId, answer: answer.t === 2 ? 'held' : 'void' }, 'an award of unknown fate was cancelled')
          return
        } catch (failure) {
          this.#c.log.debug({ plant, vmId, code: asPlantError(failure).code }, 'a cancel went unanswered')
        }
        await pause(this.#c, pauseMs, stop.signal)
        pauseMs = Math.min(2 * pauseMs, CANCEL_PAUSE_MS_MAX)
      }
      this.#c.log.warn({ plant, vmId }, 'an award could not be cancelled: its lease expires unless the machine runs, then the claim of its VMID decides')
    }
    void loop().finally(() => { if (this.#loose.get(bidId) === stop) this.#loose.delete(bidId) })
    for (const [oldest, other] of this.#loose) {
      if (this.#loose.size <= LOOSE_MAX) break
      other.abort()
      this.#loose.delete(oldest)
    }
  }
}

/** One auction under way: carries out what the core says and tells it what happened. */
class AuctionRun {
  readonly #c: BiddingComponents
  readonly #init: BiddingInit
  readonly #auction: Auction
  readonly #request: AuctionRequest
  readonly #cancel: (plant: PeerId, bidId: string) => void
  readonly #over = new AbortController()
  #wakes: Cancel[] = []
  #settle: { resolve: (end: AuctionEnd) => void } | undefined

  constructor (c: BiddingComponents, init: BiddingInit, auction: Auction, request: AuctionRequest, cancel: (plant: PeerId, bidId: string) => void) {
    this.#c = c
    this.#init = init
    this.#auction = auction
    this.#request = request
    this.#cancel = cancel
  }

  async run (signals: AbortSignal[]): Promise<AuctionEnd> {
    const onAbort = (): void => { this.#do(this.#auction.onAbort(this.#nowMs())) }
    for (const signal of signals) signal.addEventListener('abort', onAbort, { once: true })
    try {
      const end = await new Promise<AuctionEnd>((resolve) => {
        this.#settle = { resolve }
        this.#do(this.#auction.start(this.#nowMs()))
      })
      if (end.kind === 'aborted') for (const signal of signals) signal.throwIfAborted()
      return end
    } finally {
      for (const signal of signals) signal.removeEventListener('abort', onAbort)
      for (const wake of this.#wakes) wake()
      this.#over.abort(new PlantError('STREAM_RESET', { problem: 'the auction is over' }))
    }
  }

  #nowMs (): number { return this.#c.clock.monotonicMs() }

  #do (effects: AuctionEffect[]): void {
    for (const effect of effects) {
      switch (effect.do) {
        case 'call': void this.#call(effect.plant); break
        case 'wake': this.#wakes.push(this.#c.clock.after(Math.max(0, effect.atMs - this.#nowMs()), () => { this.#do(this.#auction.onWake(this.#nowMs())) })); break
        case 'award': void this.#askAward(effect.plant, { t: 0, bidId: effect.bidId, vmId: this.#request.vmId, signedOrder: this.#request.signedOrder }, this.#init.awardTimeoutMs ?? AWARD_TIMEOUT_MS); break
        case 'settle': void this.#askAward(effect.plant, { t: 1, bidId: effect.bidId, vmId: this.#request.vmId }, this.#init.settleTimeoutMs ?? SETTLE_TIMEOUT_MS); break
        case 'cancel': this.#cancel(effect.plant, effect.bidId); break
        case 'end': this.#settle?.resolve(effect.end); break
      }
    }
  }

  async #call (plant: PeerId): Promise<void> {
    const timeoutMs = Math.max(this.#init.deadlineMs ?? 0, this.#init.lastDeadlineMs ?? LAST_DEADLINE_MS)
    let answer: CallAnswer
    try {
      const bytes = encodeCall({ t: 0, callId: toHex(this.#c.random.bytes(16)), signedOrder: this.#request.signedOrder, withinMs: Math.ceil(timeoutMs) })
      answer = decodeCallAnswer(await ask(this.#c, { peer: plant, protocol: BID_PROTOCOL, bytes, timeoutMs }, [this.#over.signal]))
    } catch (failure) {
      this.#do(this.#auction.onNoAnswer(plant, asPlantError(failure).code, this.#nowMs()))
      return
    }
    this.#do(this.#auction.onAnswer(plant, answer, this.#nowMs()))
  }

  async #askAward (plant: PeerId, message: AwardAsk, timeoutMs: number): Promise<void> {
    const progress = { sent: false }
    let answer: AwardAnswer
    try {
      answer = decodeAwardAnswer(await ask(this.#c, { peer: plant, protocol: AWARD_PROTOCOL, bytes: encodeAwardAsk(message), timeoutMs, progress }, [this.#over.signal]))
    } catch (failure) {
      this.#do(this.#auction.onAwardLost(asPlantError(failure).code, progress.sent, this.#nowMs()))
      return
    }
    this.#do(this.#auction.onAwardAnswer(answer, this.#nowMs()))
  }
}

/** The plant's end of both protocols. */
class PlantEnd {
  readonly #c: BiddingComponents
  readonly #plant: PlantSide
  readonly #stopped: AbortSignal
  readonly #book: BidBook
  readonly #calls: Gate
  readonly #awards: Gate
  /** Grants under way, by bid: settle and cancel wait for them. Bounded by READ_MAX. */
  readonly #granting = new Map<string, Promise<unknown>>()

  constructor (c: BiddingComponents, init: BiddingInit, plant: PlantSide, stopped: AbortSignal) {
    this.#c = c
    this.#plant = plant
    this.#stopped = stopped
    this.#book = new BidBook(c.transport.self, c.random, init.book)
    this.#calls = new Gate(init.waitingPerPeerMax ?? WAITING_PER_PEER_MAX)
    this.#awards = new Gate(init.waitingPerPeerMax ?? WAITING_PER_PEER_MAX)
  }

  async onCallStream (stream: MessageStream): Promise<void> {
    await answerOnce(stream, encodeCallAnswer(await this.#limited(this.#calls, stream, () => this.#onCall(stream))))
  }

  async onAwardStream (stream: MessageStream): Promise<void> {
    await answerOnce(stream, encodeAwardAnswer(await this.#limited(this.#awards, stream, () => this.#onAwardAsk(stream))))
  }

  /** Runs within the peer's share; above it the answer is LIMIT and the message is left unread. */
  async #limited<A> (gate: Gate, stream: MessageStream, answer: () => Promise<A>): Promise<A | (CallAnswer & { t: 1 })> {
    try {
      return await gate.run(stream.peer, answer, stream.signal)
    } catch (failure) {
      if (failure instanceof PlantError && failure.code === 'LIMIT') {
        return limitAnswer(this.#c.transport.self, 'calls that wait', Number(failure.details['max'] ?? 0))
      }
      throw failure
    }
  }

  async #onCall (stream: MessageStream): Promise<CallAnswer> {
    const call = decodeCall(await receiveOne(stream))
    const full = this.#book.onCall(stream.peer, this.#nowMs())
    if (full !== undefined) return full
    const verdict = await this.#refuseOnFailure(async (signal) => await this.#plant.judge(call.signedOrder, stream.peer, signal), Math.min(call.withinMs, JUDGE_TIMEOUT_MS))
    if ('refusal' in verdict) return { t: 1, plant: this.#c.transport.self, refusal: verdict.refusal }
    return this.#book.onVerdict(stream.peer, digestOf(call.signedOrder), verdict, this.#nowMs())
  }

  async #onAwardAsk (stream: MessageStream): Promise<AwardAnswer> {
    const message = decodeAwardAsk(await receiveOne(stream))
    if (message.t === 0) return this.#onAward(stream.peer, message)
    // The question may overtake the award it is about: what was begun is ended first.
    await this.#granting.get(message.bidId)?.catch(() => undefined) // Its own stream reports the failure.
    const { peer } = stream
    const { bidId, vmId } = message
    if (message.t === 1) return this.#book.onSettle(peer, bidId, vmId, this.#nowMs()) ?? this.#standing(vmId)
    const granted = this.#book.onCancel(peer, bidId, vmId)
    if (granted !== undefined && await this.#plant.release(vmId, granted.leaseId)) this.#book.onReleased(bidId)
    return this.#standing(vmId)
  }

  async #onAward (from: PeerId, message: AwardAsk & { t: 0 }): Promise<AwardAnswer> {
    await this.#granting.get(message.bidId)?.catch(() => undefined) // A repeated award waits for the first one's outcome.
    const step = this.#book.onAward(from, message.bidId, message.vmId, digestOf(message.signedOrder), this.#nowMs())
    if ('answer' in step) return step.answer
    const grant = this.#refuseOnFailure(async (signal) => await this.#plant.grant({ ...step.grant, signedOrder: message.signedOrder }, signal), JUDGE_TIMEOUT_MS)
      .then((outcome) => this.#book.onGrant(step.grant, outcome.kind === 'refusal' ? { kind: 'refused', refusal: outcome.refusal } : outcome, this.#nowMs()))
    this.#granting.set(message.bidId, grant)
    try {
      return await grant
    } catch (failure) {
      this.#book.onGrantFailed(step.grant)
      throw failure
    } finally {
      this.#granting.delete(message.bidId)
    }
  }

  #standing (vmId: VmId): AwardAnswer {
    const held = this.#plant.standing(vmId)
    return held === undefined ? { t: 3 } : { t: 2, held }
  }

  /** What the plant decides, within its time; a failure (a bad signature, say) is a refusal with that code. */
  async #refuseOnFailure<T> (decide: (signal: AbortSignal) => Promise<T>, timeoutMs: number): Promise<T | { kind: 'refusal', refusal: Refusal }> {
    const late = new AbortController()
    const cancel = this.#c.clock.after(timeoutMs, () => { late.abort(new PlantError('STREAM_TIMEOUT', { timeoutMs })) })
    const onStop = (): void => { late.abort(this.#stopped.reason) }
    this.#stopped.addEventListener('abort', onStop, { once: true })
    try {
      return await decide(late.signal)
    } catch (failure) {
      const { code, details } = asPlantError(failure)
      if (code === 'INTERNAL') logFailure(this.#c.log, failure)
      const path = typeof details['path'] === 'string' && details['path'] !== '' ? details['path'] : 'order'
      return { kind: 'refusal', refusal: refusalOf([{ code, clause: path }]) }
    } finally {
      cancel()
      this.#stopped.removeEventListener('abort', onStop)
    }
  }

  #nowMs (): number { return this.#c.clock.monotonicMs() }
}

/** So many at once from all and from each peer; the rest wait in bounded lines. A peer without work here leaves nothing behind. */
class Gate {
  readonly #all: Limiter = limiter(READ_MAX, WAITING_MAX)
  readonly #peers = new Map<PeerId, Limiter>()
  readonly #waitingPerPeerMax: number

  constructor (waitingPerPeerMax: number) {
    this.#waitingPerPeerMax = waitingPerPeerMax
  }

  async run<T> (peer: PeerId, work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    const share = this.#peers.get(peer) ?? limiter(READ_PER_PEER_MAX, this.#waitingPerPeerMax)
    this.#peers.set(peer, share)
    try {
      return await share.run(() => this.#all.run(work, signal), signal)
    } finally {
      if (share.active === 0 && share.waiting === 0) this.#peers.delete(peer)
    }
  }
}

interface Ask { peer: PeerId, protocol: string, bytes: Uint8Array, timeoutMs: number, progress?: { sent: boolean } }

/** Sends one message and waits for one answer, all within `timeoutMs`. */
async function ask (c: BiddingComponents, { peer, protocol, bytes, timeoutMs, progress }: Ask, signals: AbortSignal[]): Promise<Uint8Array> {
  const stop = new AbortController()
  const onAbort = (event: Event): void => { stop.abort((event.target as AbortSignal).reason) }
  for (const signal of signals) {
    signal.throwIfAborted()
    signal.addEventListener('abort', onAbort, { once: true })
  }
  const cancel = c.clock.after(timeoutMs, () => { stop.abort(new PlantError('STREAM_TIMEOUT', { peer, protocol, timeoutMs })) })
  let stream: MessageStream | undefined
  try {
    stream = await c.transport.open(peer, protocol, protocol === BID_PROTOCOL ? BID_LIMITS : AWARD_LIMITS, stop.signal)
    const open = stream
    stop.signal.addEventListener('abort', () => { open.abort(stop.signal.reason) }, { once: true })
    stop.signal.throwIfAborted()
    if (progress !== undefined) progress.sent = true
    // Not awaited before the answer: a plant that answers LIMIT leaves the message unread.
    const sending = stream.send(bytes).then(() => stream?.close()).catch(() => undefined) // `receive` reports what happened to the stream.
    const answer = await stream.receive({ timeoutMs })
    if (answer === undefined) throw new PlantError('STREAM_TRUNCATED', { peer, protocol, problem: 'no answer' })
    void sending
    return answer
  } catch (failure) {
    const reason = stop.signal.aborted ? stop.signal.reason : failure
    stream?.abort(reason instanceof Error ? reason : new Error('given up'))
    throw reason
  } finally {
    cancel()
    for (const signal of signals) signal.removeEventListener('abort', onAbort)
  }
}

async function receiveOne (stream: MessageStream): Promise<Uint8Array> {
  const bytes = await stream.receive()
  if (bytes === undefined) throw new PlantError('STREAM_TRUNCATED', { peer: stream.peer, protocol: stream.protocol })
  return bytes
}

async function answerOnce (stream: MessageStream, bytes: Uint8Array): Promise<void> {
  await stream.send(bytes)
  await stream.close()
}

async function pause (c: BiddingComponents, ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  await new Promise<void>((resolve) => {
    const done = (): void => {
      cancel()
      signal.removeEventListener('abort', done)
      resolve()
    }
    const cancel = c.clock.after(ms, done)
    signal.addEventListener('abort', done, { once: true })
  })
}

function digestOf (signedOrder: Uint8Array): string { return toHex(sha256(signedOrder)) }

function logFailure (log: Log, failure: unknown): void {
  log.error({ problem: failure instanceof Error ? failure.stack ?? failure.message : String(failure) }, 'judging an order failed')
}
