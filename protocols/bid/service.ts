/** Streams and clock bound to the two cores: the plant's book of bids (plant-end.ts) and the shop's auctions (auction-run.ts). */
import { asPlantError, Lifetime, PlantError, type Cancel, type PeerId, type VmId } from '../kit/index.ts'
import { ask } from './ask.ts'
import { AuctionRun } from './auction-run.ts'
import { Auction } from './auction.ts'
import { BrokerEnd } from './broker-end.ts'
import {
  AWARD_LIMITS, AWARD_PROTOCOL, BID_LIMITS, BID_PROTOCOL, CANCEL_FIRST_PAUSE_MS, CANCEL_PAUSE_MS_MAX, CANCEL_TRIES_MAX, LOOSE_MAX, SETTLE_TIMEOUT_MS
} from './constants.ts'
import type { AuctionRequest, AuctionResult, Bidding, BiddingComponents, BiddingInit, BrokerSide, PlantSide } from './index.ts'
import { decodeAwardAnswer, encodeAwardAsk } from './messages.ts'
import { PlantEnd } from './plant-end.ts'

export class BiddingService implements Bidding {
  readonly #c: BiddingComponents
  readonly #init: BiddingInit
  readonly #lifetime = new Lifetime()
  readonly #served = new Set<PlantEnd>()
  /** Cancels that are being repeated, by bid. */
  readonly #loose = new Map<string, AbortController>()

  constructor (components: BiddingComponents, init: BiddingInit) {
    this.#c = components
    this.#init = init
  }

  underWay (): { bids: number, brokered: number, cancels: number } {
    const served = [...this.#served]
    return { bids: served.reduce((sum, { bids }) => sum + bids, 0), brokered: served.reduce((sum, { brokered }) => sum + brokered, 0), cancels: this.#loose.size }
  }

  async serve (plant: PlantSide, broker?: BrokerSide): Promise<Cancel> {
    const served = new PlantEnd(this.#c, this.#init, plant, this.#lifetime.signal, broker && new BrokerEnd(this.#c, broker, this.#lifetime.signal))
    const stops: Cancel[] = []
    const stop = (): void => {
      this.#served.delete(served)
      for (const cancel of stops.splice(0)) cancel()
    }
    try {
      stops.push(await this.#c.transport.handle(BID_PROTOCOL, BID_LIMITS, (stream) => served.onCallStream(stream)))
      stops.push(await this.#c.transport.handle(AWARD_PROTOCOL, AWARD_LIMITS, (stream) => served.onAwardStream(stream)))
    } catch (failure) {
      stop()
      throw failure
    }
    this.#served.add(served)
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
    const { deadlineMs, lastDeadlineMs, candidatesMax, choose } = this.#init
    const auction = new Auction(request, request.candidates, random, now, {
      ...(deadlineMs === undefined ? {} : { deadlineMs }),
      ...(lastDeadlineMs === undefined ? {} : { lastDeadlineMs }),
      ...(candidatesMax === undefined ? {} : { candidatesMax }),
      ...(choose === undefined ? {} : { choose }),
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
