/** One question to a peer and its answer, on a stream of their own. */
import { PlantError, type Clock, type MessageStream, type PeerId, type Transport } from '../kit/index.ts'
import { AWARD_LIMITS, BID_LIMITS, BID_PROTOCOL } from './constants.ts'

/** `progress.sent` is set once the question may have arrived. */
export interface Ask { peer: PeerId, protocol: string, bytes: Uint8Array, timeoutMs: number, progress?: { sent: boolean } }

/** Sends one message and waits for one answer, all within `timeoutMs`. */
export async function ask (c: { transport: Transport, clock: Clock }, { peer, protocol, bytes, timeoutMs, progress }: Ask, signals: AbortSignal[]): Promise<Uint8Array> {
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
