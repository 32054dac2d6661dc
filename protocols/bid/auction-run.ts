/** Carries an auction out: what the core says is done, and what happened is told to it. */
import { asPlantError, PlantError, toHex, type Cancel, type PeerId } from '../kit/index.ts'
import { ask } from './ask.ts'
import type { Auction, AuctionEffect, AuctionEnd } from './auction.ts'
import { AWARD_PROTOCOL, AWARD_TIMEOUT_MS, BID_PROTOCOL, LAST_DEADLINE_MS, SETTLE_TIMEOUT_MS, WITHOUT_MAX } from './constants.ts'
import type { AuctionRequest, BiddingComponents, BiddingInit } from './index.ts'
import { decodeAwardAnswer, decodeCallAnswer, encodeAwardAsk, encodeCall, type AwardAnswer, type AwardAsk, type CallAnswer } from './messages.ts'

/** One auction under way. */
export class AuctionRun {
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
    const { vmId, signedOrder } = this.#request
    for (const effect of effects) {
      switch (effect.do) {
        case 'call': void this.#call(effect.plant); break
        case 'wake': this.#wake(effect.atMs); break
        case 'award': void this.#askAward(effect.plant, { t: 0, bidId: effect.bidId, vmId, signedOrder, handOvers: this.#request.handOvers(effect.plant) }, this.#init.awardTimeoutMs ?? AWARD_TIMEOUT_MS); break
        case 'settle': void this.#askAward(effect.plant, { t: 1, bidId: effect.bidId, vmId }, this.#init.settleTimeoutMs ?? SETTLE_TIMEOUT_MS); break
        case 'cancel': this.#cancel(effect.plant, effect.bidId); break
        case 'end': this.#settle?.resolve(effect.end); break
      }
    }
  }

  #wake (atMs: number): void {
    this.#wakes.push(this.#c.clock.after(Math.max(0, atMs - this.#nowMs()), () => { this.#do(this.#auction.onWake(this.#nowMs())) }))
  }

  async #call (plant: PeerId): Promise<void> {
    const timeoutMs = Math.max(this.#init.deadlineMs ?? 0, this.#init.lastDeadlineMs ?? LAST_DEADLINE_MS)
    let answer: CallAnswer
    try {
      const { signedOrder, without = [] } = this.#request
      const { deadlineMs } = this.#auction.decision
      const bytes = encodeCall({ t: 0, callId: toHex(this.#c.random.bytes(16)), signedOrder, withinMs: Math.ceil(timeoutMs), deadlineMs: Math.ceil(deadlineMs), ...(without.length > 0 && { without: without.slice(0, WITHOUT_MAX) }) })
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
