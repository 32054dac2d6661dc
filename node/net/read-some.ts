/** Reads a stream by counts of bytes, before it is piped on. */
import type { Readable } from 'node:stream'
import { PlantError } from '../../protocols/kit/index.ts'

/** Exactly `count` bytes; what comes behind them stays in the stream. Throws STREAM_TRUNCATED when it ends before, or the signal's reason. */
export async function readSome (stream: Readable, count: number, signal: AbortSignal): Promise<Buffer> {
  if (count === 0) return Buffer.alloc(0)
  for (;;) {
    signal.throwIfAborted()
    const bytes = stream.read(count) as Buffer | null
    if (bytes !== null) {
      // A stream that ends gives out what is left, however little.
      if (bytes.length < count) throw new PlantError('STREAM_TRUNCATED', { wanted: count, found: bytes.length })
      return bytes
    }
    if (stream.readableEnded || stream.destroyed) throw new PlantError('STREAM_TRUNCATED', { wanted: count, found: 0 })
    await readableOrOver(stream, signal)
  }
}

async function readableOrOver (stream: Readable, signal: AbortSignal): Promise<void> {
  const settled = Promise.withResolvers<void>()
  const settle = (): void => { settled.resolve() }
  const events = ['readable', 'end', 'close'] as const
  for (const event of events) stream.on(event, settle)
  signal.addEventListener('abort', settle)
  try {
    await settled.promise
  } finally {
    for (const event of events) stream.off(event, settle)
    signal.removeEventListener('abort', settle)
  }
}
