/** A proxy's frames: HTTP upgraded to a stream of Ethernet frames between a client's end of a network and this plant's switch. */
import type { Duplex } from 'node:stream'
import { z } from 'zod'
import { PlantError, asPlantError } from '../../protocols/kit/index.ts'
import type { Attachment, Device, WantedStation } from '../../protocols/tunnel/index.ts'
import { FrameStream } from '../net/frame-stream.ts'
import type { Upgrade } from './upgrades.ts'

/** Each is a port of a switch; more than a host's users need at once. */
const PROXIES_OPEN_MAX = 64
const MAC = /^[0-9a-f][02468ace](?::[0-9a-f]{2}){5}$/

const firstLineSchema = z.strictObject({
  signedCall: z.base64(),
  addressing: z.enum(['mesh', 'external']),
  station: z.strictObject({ mac: z.string().regex(MAC, 'a unicast MAC such as 02:00:00:00:00:01, lower case'), name: z.string().max(64).exactOptional(), address: z.string().max(64).exactOptional() }),
  /** Frames as its kernel makes them, with offload; otherwise they are cut and summed here. */
  takesOffload: z.boolean()
})

/** What the plant does with a client that wants to join a network. */
export interface ProxyApi {
  /** Throws what `Networks.attach` throws, MESSAGE_INVALID or CALL_MISDIRECTED when the call is none for it. */
  join (signedCall: Uint8Array, addressing: 'mesh' | 'external', station: WantedStation, device: Device, signal: AbortSignal): Promise<Attachment>
}

/**
 * `GET /v1/networks/frames` with `Upgrade: plantmesh-frames`; the first line on the upgraded connection is JSON (`firstLineSchema`), the answer a line `{"station": …}` or
 * `{"error": …}`; then frames both ways (node/net/README.md). A control record of the client is a newer signed call, one of the plant the error that ends the stream.
 */
export function framesRoute (proxies: ProxyApi): Upgrade {
  return { url: '/v1/networks/frames', protocol: 'plantmesh-frames', openMax: PROXIES_OPEN_MAX, serve: async (line, socket, signal) => serveFrames(proxies, line, socket, signal) }
}

async function serveFrames (proxies: ProxyApi, line: string, socket: Duplex, signal: AbortSignal): Promise<void> {
  const wanted = readLine(line)
  const failed = Promise.withResolvers<void>()
  const fail = (error: unknown): void => {
    device.control(Buffer.from(JSON.stringify({ error: asPlantError(error).report() })))
    failed.resolve()
  }
  const device: FrameStream = new FrameStream(socket, {
    takesOffload: wanted.takesOffload,
    held: true,
    onControl: (signedCall) => { joined.then(async (attachment) => attachment.renew({ kind: 'proxy', signedCall: Uint8Array.from(signedCall) })).catch(fail) }
  })
  const joined = proxies.join(Buffer.from(wanted.signedCall, 'base64'), wanted.addressing, wanted.station, device, signal)
  const attachment = await joined
  try {
    socket.write(JSON.stringify({ networkId: attachment.networkId, station: attachment.station }) + '\n')
    device.release()
    // The client's end has its address in more than one place: it joins again.
    attachment.onStation((now) => { fail(new PlantError('STREAM_RESET', { problem: 'another address was given', addresses: now.addresses })) })
    device.closed.addEventListener('abort', () => { failed.resolve() }, { once: true })
    if (!device.closed.aborted) await failed.promise
  } finally {
    attachment.detach(true)
  }
}

function readLine (line: string): z.output<typeof firstLineSchema> {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch (cause) {
    throw new PlantError('MESSAGE_INVALID', { path: '', problem: 'the first line is no JSON' }, { cause })
  }
  const parsed = firstLineSchema.safeParse(value)
  if (!parsed.success) throw new PlantError('MESSAGE_INVALID', { path: parsed.error.issues[0]?.path.join('.') ?? '', problem: parsed.error.issues[0]?.message ?? '' })
  return parsed.data
}
