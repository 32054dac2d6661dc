/** The first line of a stream that carries something else behind it. */
import type { Duplex } from 'node:stream'
import { PlantError } from '../../protocols/kit/index.ts'

/** A signed call in base64, or an error with its details, and what goes with it. */
const LINE_BYTES_MAX = 64 * 1024

/** The text up to the first line feed; what comes behind stays in the stream. Throws STREAM_TOO_LONG, STREAM_TRUNCATED, or the signal's reason. */
export async function firstLine (stream: Duplex, signal: AbortSignal): Promise<string> {
  const settled = Promise.withResolvers<string>()
  let bytes = Buffer.alloc(0)
  const onReadable = (): void => {
    for (let piece = stream.read() as Buffer | null; piece !== null; piece = stream.read() as Buffer | null) {
      bytes = Buffer.concat([bytes, piece])
      const end = bytes.indexOf(0x0a)
      if (end < 0 ? bytes.length > LINE_BYTES_MAX : end > LINE_BYTES_MAX) return settled.reject(new PlantError('STREAM_TOO_LONG', { problem: 'no end of the first line', bytesMax: LINE_BYTES_MAX }))
      if (end >= 0) {
        stream.off('readable', onReadable)
        if (end + 1 < bytes.length) stream.unshift(bytes.subarray(end + 1))
        settled.resolve(bytes.subarray(0, end).toString('utf8'))
        return
      }
    }
  }
  const onOver = (): void => { settled.reject(new PlantError('STREAM_TRUNCATED', { problem: 'the other side broke off before its first line' })) }
  const onAbort = (): void => { settled.reject(signal.reason as Error) }
  stream.on('readable', onReadable).on('end', onOver).on('close', onOver)
  signal.addEventListener('abort', onAbort)
  try {
    if (signal.aborted) onAbort()
    if (stream.destroyed) onOver()
    return await settled.promise
  } finally {
    stream.off('readable', onReadable).off('end', onOver).off('close', onOver)
    signal.removeEventListener('abort', onAbort)
  }
}
