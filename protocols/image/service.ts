/** The image protocol's streams, both ends. */
import { PlantError, limiter, type Cancel, type GoldenId, type MessageStream, type PeerId, type Transport } from '../kit/index.ts'
import { IMAGE_LIMITS, IMAGE_PROTOCOL, PART_BYTES_MAX, SERVED_AT_ONCE_MAX, SERVED_WAITING_MAX } from './constants.ts'
import { Assembly, type SignedImage } from './core.ts'
import { decodeImageAsk, decodeImageTell, encodeImageAsk, encodeImageTell } from './messages.ts'

/** Where manifests are read from; undefined for what is not here, or not offered to others. */
export type ImageSource = (goldenId: GoldenId) => Promise<SignedImage | undefined>

/** Hands manifests to whoever asks: what is signed is no secret among members. */
export async function serveImages (c: { transport: Transport, source: ImageSource }): Promise<Cancel> {
  const turns = limiter(SERVED_AT_ONCE_MAX, SERVED_WAITING_MAX)
  return c.transport.handle(IMAGE_PROTOCOL, IMAGE_LIMITS, async (stream) => {
    const first = await stream.receive()
    if (first === undefined) return
    const { goldenId } = decodeImageAsk(first)
    await turns.run(async () => answer(stream, await c.source(goldenId)), stream.signal)
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
  const stream = await transport.open(peer, IMAGE_PROTOCOL, IMAGE_LIMITS, signal)
  const onAbort = (): void => { stream.abort(signal.reason instanceof Error ? signal.reason : new PlantError('INTERRUPTED')) }
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    signal.throwIfAborted()
    await stream.send(encodeImageAsk({ goldenId }))
    const assembly = new Assembly()
    for (;;) {
      const message = await stream.receive()
      if (message === undefined) throw new PlantError('STREAM_TRUNCATED', { peer, protocol: IMAGE_PROTOCOL })
      if (assembly.take(decodeImageTell(message))) break
    }
    await stream.close()
    return assembly.image
  } catch (error) {
    stream.abort(error instanceof Error ? error : new PlantError('STREAM_RESET', { peer }))
    signal.throwIfAborted()
    throw error
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
