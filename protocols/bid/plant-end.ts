/** The plant's end of both protocols: streams bound to the book of bids, within each peer's share. */
import { sha256 } from '@noble/hashes/sha2.js'
import { asPlantError, limiter, PlantError, toHex, type Limiter, type Log, type MessageStream, type PeerId, type VmId } from '../kit/index.ts'
import type { BrokerEnd } from './broker-end.ts'
import { JUDGE_TIMEOUT_MS, READ_MAX, READ_PER_PEER_MAX, WAITING_MAX, WAITING_PER_PEER_MAX } from './constants.ts'
import { BidBook, limitAnswer } from './core.ts'
import type { BiddingComponents, BiddingInit, PlantSide } from './index.ts'
import {
  decodeAwardAsk, decodeCall, encodeAwardAnswer, encodeCallAnswer, refusalOf, type AwardAnswer, type AwardAsk, type Call, type CallAnswer, type Refusal
} from './messages.ts'

/** Answers the calls and awards of one plant, and those for the plants that it is the broker of. */
export class PlantEnd {
  readonly #c: BiddingComponents
  readonly #plant: PlantSide
  readonly #stopped: AbortSignal
  readonly #broker: BrokerEnd | undefined
  readonly #book: BidBook
  readonly #calls: Gate
  readonly #awards: Gate
  /** Grants under way, by bid: settle and cancel wait for them. Bounded by READ_MAX. */
  readonly #granting = new Map<string, Promise<unknown>>()

  constructor (c: BiddingComponents, init: BiddingInit, plant: PlantSide, stopped: AbortSignal, broker?: BrokerEnd) {
    this.#c = c
    this.#broker = broker
    this.#plant = plant
    this.#stopped = stopped
    this.#book = new BidBook(c.transport.self, c.random, init.book)
    this.#calls = new Gate(init.waitingPerPeerMax ?? WAITING_PER_PEER_MAX)
    this.#awards = new Gate(init.waitingPerPeerMax ?? WAITING_PER_PEER_MAX)
  }

  /** Bids that stand or are being granted. */
  get bids (): number { return this.#book.standing(this.#nowMs()) }

  /** Calls passed on whose bids are remembered. */
  get brokered (): number { return this.#broker?.calls ?? 0 }

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
    const own = this.#ownAnswer(stream.peer, call)
    return this.#broker === undefined ? own : this.#broker.onCall(stream.peer, call, own, stream.signal)
  }

  async #ownAnswer (from: PeerId, call: Call): Promise<CallAnswer> {
    const full = this.#book.onCall(from, this.#nowMs())
    if (full !== undefined) return full
    const verdict = await this.#refuseOnFailure(async (signal) => await this.#plant.judge(call.signedOrder, from, signal), Math.min(call.withinMs, JUDGE_TIMEOUT_MS))
    if ('refusal' in verdict) return { t: 1, plant: this.#c.transport.self, refusal: verdict.refusal }
    return this.#book.onVerdict(from, digestOf(call.signedOrder), verdict, this.#nowMs())
  }

  async #onAwardAsk (stream: MessageStream): Promise<AwardAnswer> {
    const message = decodeAwardAsk(await receiveOne(stream))
    const { peer } = stream
    const brokered = await this.#broker?.onAwardAsk(peer, message, stream.signal)
    if (brokered !== undefined) return brokered
    const answer = await this.#ownAwardAnswer(peer, message)
    if (this.#broker === undefined) return answer
    return answer.t === 3 && message.t !== 0 ? this.#broker.withNext(peer, message.bidId, await this.#broker.onUnknown(peer, message, stream.signal)) : this.#broker.withNext(peer, message.bidId, answer)
  }

  async #ownAwardAnswer (peer: PeerId, message: AwardAsk): Promise<AwardAnswer> {
    if (message.t === 0) return this.#onAward(peer, message)
    // The question may overtake the award it is about: what was begun is ended first.
    await this.#granting.get(message.bidId)?.catch(() => undefined) // Its own stream reports the failure.
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
    const grant = this.#refuseOnFailure(async (signal) => await this.#plant.grant({ ...step.grant, signedOrder: message.signedOrder, handOvers: message.handOvers }, signal), JUDGE_TIMEOUT_MS)
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

async function receiveOne (stream: MessageStream): Promise<Uint8Array> {
  const bytes = await stream.receive()
  if (bytes === undefined) throw new PlantError('STREAM_TRUNCATED', { peer: stream.peer, protocol: stream.protocol })
  return bytes
}

async function answerOnce (stream: MessageStream, bytes: Uint8Array): Promise<void> {
  await stream.send(bytes)
  await stream.close()
}

function digestOf (signedOrder: Uint8Array): string { return toHex(sha256(signedOrder)) }

function logFailure (log: Log, failure: unknown): void {
  log.error({ problem: failure instanceof Error ? failure.stack ?? failure.message : String(failure) }, 'judging an order failed')
}
