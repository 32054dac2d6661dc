/** How a plant answers on a call's stream. */
import type { Cancel, Clock, MessageStream } from '../kit/index.ts'
import { FOLLOW_HEARTBEAT_MS, LIST_BATCH_BYTES_MAX, PIECE_BYTES_MAX } from './constants.ts'
import { encodeTell, type Tell } from './messages.ts'

/** Says it, unless there is nobody any more. */
export async function tell (stream: MessageStream, message: Tell): Promise<void> {
  if (!stream.signal.aborted) await stream.send(encodeTell(message)).catch(() => undefined) // Gone: there is nobody to tell.
}

/** Sends output in pieces; resolves when there is room for more. An empty piece goes too: a console says by it that it is open. */
export async function tellOutput (stream: MessageStream, source: 'stdout' | 'stderr', bytes: Uint8Array): Promise<void> {
  let at = 0
  do {
    await stream.send(encodeTell({ t: 3, source, bytes: bytes.slice(at, at + PIECE_BYTES_MAX) }))
    at += PIECE_BYTES_MAX
  } while (at < bytes.length)
}

/** Runs work that may be silent for long, telling the caller of progress, or that it still goes on. */
export async function withHeartbeat<T> (clock: Clock, stream: MessageStream, work: (onProgress: (step: string, share: number) => void) => Promise<T>): Promise<T> {
  let last = { step: 'waiting', share: 0 }
  let cancel: Cancel = () => {}
  const send = (): void => {
    cancel()
    void tell(stream, { t: 2, ...last })
    cancel = clock.after(FOLLOW_HEARTBEAT_MS, send)
  }
  cancel = clock.after(FOLLOW_HEARTBEAT_MS, send)
  try {
    return await work((step, share) => {
      last = { step, share: Math.min(1, Math.max(0, share)) }
      send()
    })
  } finally {
    cancel()
  }
}

/** Messages of some of these each, which stay within their bound however much each has to say. */
export function * batches<T> (all: readonly T[], messageOf: (some: T[]) => Uint8Array): Generator<Uint8Array> {
  let batch: T[] = []
  let bytes = 0
  for (const one of all) {
    const size = messageOf([one]).length
    if (batch.length > 0 && bytes + size > LIST_BATCH_BYTES_MAX) {
      yield messageOf(batch)
      batch = []
      bytes = 0
    }
    batch.push(one)
    bytes += size
  }
  if (batch.length > 0) yield messageOf(batch)
}
