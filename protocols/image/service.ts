/** The image protocol's streams, both ends. */
import { PlantError, limiter, type Cancel, type GoldenId, type MessageStream, type PeerId, type Transport } from '../kit/index.ts'
import { IMAGE_LIMITS, IMAGE_PROTOCOL, PART_BYTES_MAX, SERVED_AT_ONCE_MAX, SERVED_WAITING_MAX } from './constants.ts'
import { Assembly, type SignedImage } from './core.ts'
import { decodeImageAsk, decodeImageTell, encodeImageAsk, encodeImageTell, type ImageAsk, type ImageTell } from './messages.ts'
import { decodeRuns, encodeRuns, type ReadRuns } from './read-runs.ts'

/** Where manifests are read from; undefined for what is not here, or not offered to others. */
export type ImageSource = (goldenId: GoldenId) => Promise<SignedImage | undefined>

/** In which order machines were seen to read a file of it, unchecked; undefined when that is not known here, or not told to others. */
export type TraceSource = (goldenId: GoldenId, file: string) => Promise<unknown>

/** Hands manifests and traces to whoever asks: what is signed is no secret among members. */
export async function serveImages (c: { transport: Transport, source: ImageSource, trace: TraceSource }): Promise<Cancel> {
  const turns = limiter(SERVED_AT_ONCE_MAX, SERVED_WAITING_MAX)
  return c.transport.handle(IMAGE_PROTOCOL, IMAGE_LIMITS, async (stream) => {
    const first = await stream.receive()
    if (first === undefined) return
    const ask = decodeImageAsk(first)
    if ('traceOf' in ask) {
      const runs = encodeRuns(await c.trace(ask.traceOf, ask.file))
      await stream.send(encodeImageTell(runs === undefined ? { t: 2 } : { t: 3, runs }))
    } else await turns.run(async () => answer(stream, await c.source(ask.goldenId)), stream.signal)
    await stream.close()
  })
}

async function answer (stream: MessageStream, image: SignedImage | undefined): Promise<void> {
  if (image === undefined) return stream.send(encodeImageTell({ t: 2 }))
  await stream.send(encodeImageTell({ t: 0, manifestBytes: image.manifest.length, infoBytes: image.info.length }))
  const all = new Uint8Array(image.manifest.length + image.info.length)
  all.set(image.manifest)
  all.set(image.info, image.manifest.length)
  for (let at = 0; at < all.length; at += PART_BYTES_MAX) await stream.send(encodeImageTell({ t: 1, bytes: all.subarray(at, at + PART_BYTES_MAX) }))
}

/**
 * Asks one plant. Undefined when it does not have it; throws PEER_UNREACHABLE, STREAM_*, MESSAGE_INVALID or the signal's reason. What came is
 * for `openManifest` to check; the deadline for all of it is the caller's, by its signal.
 */
export async function askImage (transport: Transport, peer: PeerId, goldenId: GoldenId, signal: AbortSignal): Promise<SignedImage | undefined> {
  return ask(transport, peer, { goldenId }, signal, async (next) => {
    const assembly = new Assembly()
    while (!assembly.take(await next())) { /* Parts follow. */ }
    return assembly.image
  })
}

/** Asks one plant for the order in which machines read a file of so many pieces. Undefined when it knows none, or tells one that is none; throws as `askImage`. */
export async function askTrace (transport: Transport, peer: PeerId, of: { goldenId: GoldenId, file: string, pieces: number }, signal: AbortSignal): Promise<ReadRuns | undefined> {
  return ask(transport, peer, { traceOf: of.goldenId, file: of.file }, signal, async (next) => {
    const tell = await next()
    if (tell.t === 2) return undefined
    if (tell.t !== 3) throw new PlantError('MESSAGE_INVALID', { path: 't', problem: 'not expected now (asked for a trace)', found: tell.t })
    return decodeRuns(tell.runs, of.pieces)
  })
}

async function ask<T> (transport: Transport, peer: PeerId, what: ImageAsk, signal: AbortSignal, read: (next: () => Promise<ImageTell>) => Promise<T>): Promise<T> {
  const stream = await transport.open(peer, IMAGE_PROTOCOL, IMAGE_LIMITS, signal)
  const onAbort = (): void => { stream.abort(signal.reason instanceof Error ? signal.reason : new PlantError('INTERRUPTED')) }
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    signal.throwIfAborted()
    await stream.send(encodeImageAsk(what))
    const told = await read(async () => {
      const message = await stream.receive()
      if (message === undefined) throw new PlantError('STREAM_TRUNCATED', { peer, protocol: IMAGE_PROTOCOL })
      return decodeImageTell(message)
    })
    await stream.close()
    return told
  } catch (error) {
    stream.abort(error instanceof Error ? error : new PlantError('STREAM_RESET', { peer }))
    signal.throwIfAborted()
    throw error
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
