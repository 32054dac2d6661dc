/** Questions to other plants: one stream each, bounded in number and time. */
import { PlantError, limiter, type Clock, type Limiter, type PeerId, type Transport } from '../kit/index.ts'
import { ANSWER_TIMEOUT_MS, ASKS_AT_ONCE_MAX, ASKS_WAITING_MAX, CLAIM_LIMITS, CLAIM_PROTOCOL } from './constants.ts'
import { decodeAnswer, encodeAsk, type Answer, type Ask } from './messages.ts'

export class Asking {
  readonly #transport: Transport
  readonly #clock: Clock
  readonly #signal: AbortSignal
  readonly #gate: Limiter = limiter(ASKS_AT_ONCE_MAX, ASKS_WAITING_MAX)

  /** Ended by the signal. */
  constructor (transport: Transport, clock: Clock, signal: AbortSignal) {
    this.#transport = transport
    this.#clock = clock
    this.#signal = signal
  }

  /** Throws STREAM_*, PEER_UNREACHABLE, MESSAGE_INVALID or LIMIT; within ANSWER_TIMEOUT_MS from when it is this question's turn. */
  async ask (peer: PeerId, ask: Ask): Promise<Answer> {
    return this.#gate.run(async () => this.#askNow(peer, ask), this.#signal)
  }

  async #askNow (peer: PeerId, ask: Ask): Promise<Answer> {
    const late = new AbortController()
    const cancel = this.#clock.after(ANSWER_TIMEOUT_MS, () => { late.abort(new PlantError('STREAM_TIMEOUT', { peer, timeoutMs: ANSWER_TIMEOUT_MS })) })
    const signal = AbortSignal.any([late.signal, this.#signal])
    // A driver that does not heed the signal while it dials must not hold us up.
    const stopped = Promise.withResolvers<never>()
    const onAbort = (): void => { stopped.reject(signal.reason) }
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort, { once: true })
    stopped.promise.catch(() => {}) // Heard of by the race, or of no use any more.
    const conversation = this.#converse(peer, ask, signal)
    conversation.catch(() => {}) // Likewise.
    try {
      return await Promise.race([conversation, stopped.promise])
    } finally {
      // A signal made of others is kept by Node for as long as somebody listens to it.
      signal.removeEventListener('abort', onAbort)
      cancel()
    }
  }

  async #converse (peer: PeerId, ask: Ask, signal: AbortSignal): Promise<Answer> {
    const stream = await this.#transport.open(peer, CLAIM_PROTOCOL, CLAIM_LIMITS, signal)
    const onAbort = (): void => { stream.abort(signal.reason instanceof Error ? signal.reason : new Error('stopped')) }
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      signal.throwIfAborted()
      await stream.send(encodeAsk(ask))
      const bytes = await stream.receive()
      if (bytes === undefined) throw new PlantError('STREAM_TRUNCATED', { peer })
      const answer = decodeAnswer(bytes)
      await stream.close().catch(() => undefined) // The answer is here; how the stream ends does not matter.
      return answer
    } catch (error) {
      stream.abort(error instanceof Error ? error : new Error(String(error)))
      throw error
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }
}
