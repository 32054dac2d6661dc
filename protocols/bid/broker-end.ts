/** A broker's streams: calls are passed on to the plants of its site, and what follows to the plant whose bid it was. */
import { sha256 } from '@noble/hashes/sha2.js'
import { asPlantError, PlantError, toHex, type PeerId, type VmId } from '../kit/index.ts'
import { ask } from './ask.ts'
import { BrokerBook, brokerTimes, type SiteAnswer } from './broker.ts'
import {
  AWARD_PROTOCOL, BID_PROTOCOL, BROKER_AWARD_TIMEOUT_MS, BROKER_PLANTS_MAX, BROKER_SETTLE_TIMEOUT_MS, BROKER_YOUNG_MS
} from './constants.ts'
import type { BiddingComponents, BrokerSide } from './index.ts'
import { decodeAwardAnswer, decodeCallAnswer, encodeAwardAsk, encodeCall, refusalOf, type AwardAnswer, type AwardAsk, type Call, type CallAnswer } from './messages.ts'

/** Answers for the plants of a site. */
export class BrokerEnd {
  readonly #c: BiddingComponents
  readonly #side: BrokerSide
  readonly #stopped: AbortSignal
  readonly #book: BrokerBook
  readonly #sinceMs: number

  constructor (c: BiddingComponents, side: BrokerSide, stopped: AbortSignal) {
    this.#c = c
    this.#side = side
    this.#stopped = stopped
    this.#book = new BrokerBook(c.transport.self, c.random)
    this.#sinceMs = c.clock.monotonicMs()
  }

  /** Calls whose bids are remembered. */
  get calls (): number { return this.#book.calls(this.#nowMs()) }

  /** The best answer of the site; `own` is what this plant says for itself. */
  async onCall (from: PeerId, call: Call, own: Promise<CallAnswer>, signal: AbortSignal): Promise<CallAnswer> {
    if (!this.#book.hasRoom(from, this.#nowMs())) return own
    let to: { vmId: VmId, plants: PeerId[] } | undefined
    try {
      to = this.#side.passTo(call.signedOrder, from)
    } catch {
      return own // The order is not sound: this plant judges it too, and its refusal says why.
    }
    const plants = to?.plants.filter((plant) => call.without?.includes(plant) !== true).slice(0, BROKER_PLANTS_MAX) ?? []
    if (to === undefined || plants.length === 0) return own
    const self = this.#c.transport.self
    const leftOut = call.without?.includes(self) === true
    const asks = leftOut ? [] : [{ plant: self, answer: async () => own }]
    const answers = await this.#collect(call, [...asks, ...plants.map((plant) => ({ plant, answer: async (until: AbortSignal) => this.#ask(plant, call, until) }))], signal)
    const best = this.#book.onAnswers({ from, vmId: to.vmId, orderDigest: toHex(sha256(call.signedOrder)) }, answers, this.#nowMs())
    if (best === undefined && leftOut) throw new PlantError('PEER_UNREACHABLE', { problem: 'no plant of the site answered' })
    return best ?? own
  }

  /** What came of an award or a question about one; undefined when the bid is none of the site's other plants. */
  async onAwardAsk (from: PeerId, message: AwardAsk, signal: AbortSignal): Promise<AwardAnswer | undefined> {
    const { bidId } = message
    if (message.t !== 0) {
      const plant = this.#book.plantOf(from, bidId)
      return plant === undefined ? undefined : this.withNext(from, bidId, await this.#passOn(plant, message, signal))
    }
    const step = this.#book.onAward(from, bidId, message.vmId, toHex(sha256(message.signedOrder)), this.#nowMs())
    if (step === undefined) return undefined
    return this.withNext(from, bidId, 'answer' in step ? step.answer : await this.#award(step.plant, message, signal))
  }

  /** A bid that came to nothing takes the next best with it. */
  withNext (from: PeerId, bidId: string, answer: AwardAnswer): AwardAnswer {
    if (answer.t !== 1 && answer.t !== 3) return answer
    const instead = this.#book.next(from, bidId, this.#nowMs())
    return instead === undefined ? answer : { ...answer, instead }
  }

  /**
   * Nothing is known of the bid: it was told before a restart, or is long past. Whoever of the site has the machine says so; `void` is said only
   * when all could be asked, and none can have been forgotten.
   */
  async onUnknown (from: PeerId, message: AwardAsk & { t: 1 | 2 }, signal: AbortSignal): Promise<AwardAnswer> {
    if (this.#book.knows(from, message.bidId)) return { t: 3 } // This plant's own, and it has said that nothing came of it.
    const plants = this.#side.plants(from)
    if (plants === undefined) return { t: 3 }
    const asked = await Promise.allSettled(plants.slice(0, BROKER_PLANTS_MAX).map(async (plant) => this.#passOn(plant, message, signal)))
    const answers = asked.flatMap((one) => one.status === 'fulfilled' ? [one.value] : [])
    const has = answers.find(({ t }) => t === 0) ?? answers.find(({ t }) => t === 2)
    if (has !== undefined) return has
    const isYoung = this.#nowMs() - this.#sinceMs < BROKER_YOUNG_MS
    if (isYoung || answers.length < asked.length || answers.some(({ t }) => t === 1)) {
      throw new PlantError('PEER_UNREACHABLE', { problem: 'the plant that an award was passed on to is not known', bidId: message.bidId })
    }
    return { t: 3 }
  }

  async #ask (plant: PeerId, call: Call, until: AbortSignal): Promise<CallAnswer> {
    const { bestByMs, lastByMs } = brokerTimes(call)
    const bytes = encodeCall({ ...call, withinMs: lastByMs, deadlineMs: bestByMs })
    return decodeCallAnswer(await ask(this.#c, { peer: plant, protocol: BID_PROTOCOL, bytes, timeoutMs: lastByMs }, [until]))
  }

  /** Answers as they come: all of them, those until there is a bid at the deadline, or those until it is too late for the shop. */
  async #collect (call: Call, asks: Array<{ plant: PeerId, answer: (until: AbortSignal) => Promise<CallAnswer> }>, signal: AbortSignal): Promise<SiteAnswer[]> {
    const { bestByMs, lastByMs } = brokerTimes(call)
    const { clock, log } = this.#c
    const sinceMs = this.#nowMs()
    const over = new AbortController()
    const answers: SiteAnswer[] = []
    const enough = Promise.withResolvers<void>()
    let silent = asks.length
    const look = (): void => {
      const afterMs = this.#nowMs() - sinceMs
      const decided = answers.some(({ answer }) => answer.t === 2) || (afterMs >= bestByMs && answers.some(({ answer }) => answer.t === 0))
      if (silent === 0 || decided || afterMs >= lastByMs || over.signal.aborted) enough.resolve()
    }
    const onEnd = (): void => {
      over.abort(new PlantError('STREAM_RESET', { problem: 'the call is over' }))
      enough.resolve()
    }
    const wakes = [clock.after(bestByMs, look), clock.after(lastByMs, look)]
    for (const one of [signal, this.#stopped]) one.addEventListener('abort', onEnd, { once: true })
    for (const { plant, answer } of asks) {
      void answer(over.signal).then((given) => { answers.push({ plant, answer: given }) }, (failure: unknown) => { log.debug({ plant, code: asPlantError(failure).code }, 'a plant of the site did not answer a call') })
        .finally(() => {
          silent--
          look()
        })
    }
    await enough.promise
    for (const wake of wakes) wake()
    for (const one of [signal, this.#stopped]) one.removeEventListener('abort', onEnd)
    onEnd()
    signal.throwIfAborted()
    return answers.slice()
  }

  async #award (plant: PeerId, message: AwardAsk & { t: 0 }, signal: AbortSignal): Promise<AwardAnswer> {
    let handOvers: Uint8Array[]
    try {
      handOvers = this.#side.handOn(message.handOvers, plant)
    } catch (failure) {
      return { t: 1, plant, refusal: refusalOf([{ code: asPlantError(failure).code, clause: 'award' }]) }
    }
    return this.#passOn(plant, { ...message, handOvers }, signal)
  }

  /** To the plant and back. What may have arrived and is not answered is thrown: then the shop asks what became of it. */
  async #passOn (plant: PeerId, message: AwardAsk, signal: AbortSignal): Promise<AwardAnswer> {
    const progress = { sent: false }
    const timeoutMs = message.t === 0 ? BROKER_AWARD_TIMEOUT_MS : BROKER_SETTLE_TIMEOUT_MS
    let answer: AwardAnswer
    try {
      answer = decodeAwardAnswer(await ask(this.#c, { peer: plant, protocol: AWARD_PROTOCOL, bytes: encodeAwardAsk(message), timeoutMs, progress }, [signal, this.#stopped]))
    } catch (failure) {
      if (message.t !== 0 || progress.sent) throw failure
      return { t: 1, plant, refusal: refusalOf([{ code: 'PEER_UNREACHABLE', clause: 'award', waitHelps: true }]) }
    }
    const by = answer.t === 2 ? answer.held.plant : answer.t === 3 ? plant : answer.plant
    if (by !== plant || (answer.t === 2 && answer.held.vmId !== message.vmId)) throw new PlantError('MESSAGE_INVALID', { path: 'plant', problem: 'answers for another' })
    if (answer.t === 1 || answer.t === 3) delete answer.instead // Plants of a site offer nothing in place of themselves.
    return answer
  }

  #nowMs (): number { return this.#c.clock.monotonicMs() }
}
