/** A client's side of the frames that a plant hands over: joined by a signed call, which is renewed for as long as it is open. */
import type { Duplex } from 'node:stream'
import { z } from 'zod'
import { PlantError, errorFromReport } from '../../protocols/kit/index.ts'
import type { Device, NetworkId, Station } from '../../protocols/tunnel/types.ts'
import { firstLine } from './first-line.ts'
import { FrameStream } from './frame-stream.ts'

export interface UplinkInit {
  /** The API's connection, upgraded; its end is ours. */
  socket: Duplex
  /** Signs a call that lets this client in for `joinMs`; in base64. */
  signJoin (): Promise<string>
  joinMs: number
  addressing: 'mesh' | 'external'
  station: { mac: string, name?: string, address?: string }
  takesOffload: boolean
}

export interface Uplink extends Device {
  readonly networkId: NetworkId
  readonly station: Station
}

const ANSWERS_WITHIN_MS = 60_000

const errorSchema = z.object({ error: z.object({ code: z.string(), details: z.record(z.string(), z.unknown()).optional() }) })
const answerSchema = z.object({
  networkId: z.custom<NetworkId>((value) => typeof value === 'string'),
  station: z.custom<Station>((value) => z.object({ mac: z.string(), addresses: z.array(z.string()) }).safeParse(value).success)
})

/**
 * Joins. Throws what the plant refused with, or the signal's reason. Closed by the plant for a reason, `closed.reason` is that PlantError.
 */
export async function openUplink (init: UplinkInit, signal: AbortSignal): Promise<Uplink> {
  const { socket } = init
  const stop = (): void => { socket.destroy() }
  signal.addEventListener('abort', stop, { once: true })
  socket.on('error', () => { socket.destroy() }) // `close` follows.
  try {
    socket.write(JSON.stringify({ signedCall: await init.signJoin(), addressing: init.addressing, station: init.station, takesOffload: init.takesOffload }) + '\n')
    const line = await firstLine(socket, AbortSignal.any([signal, AbortSignal.timeout(ANSWERS_WITHIN_MS)]))
    const { networkId, station } = readAnswer(line)
    return new JoinedUplink(init, networkId, station)
  } catch (error) {
    socket.destroy()
    signal.throwIfAborted()
    if (error instanceof Error && error.name === 'TimeoutError') throw new PlantError('STREAM_TIMEOUT', { waitedMs: ANSWERS_WITHIN_MS }, { cause: error })
    throw error
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

class JoinedUplink implements Uplink {
  readonly networkId: NetworkId
  readonly station: Station
  readonly takesOffload: boolean
  readonly #frames: FrameStream
  readonly #closed = new AbortController()

  constructor (init: UplinkInit, networkId: NetworkId, station: Station) {
    this.networkId = networkId
    this.station = station
    this.takesOffload = init.takesOffload
    this.#frames = new FrameStream(init.socket, { takesOffload: true, onControl: (bytes) => { this.#end(refusalIn(Buffer.from(bytes).toString('utf8'))) } })
    // Twice before it runs out, so that one failure costs nothing.
    const renewing = setInterval(() => {
      init.signJoin().then((call) => { this.#frames.control(Buffer.from(call, 'base64')) }, () => {}) // Tried again; without one the plant ends the stream and says why.
    }, init.joinMs / 3)
    this.#frames.closed.addEventListener('abort', () => {
      clearInterval(renewing)
      this.#end(new PlantError('API_UNREACHABLE', { problem: 'the plant ended the connection to the network' }))
    }, { once: true })
  }

  get closed (): AbortSignal { return this.#closed.signal }
  send (frame: Parameters<Device['send']>[0]): void { this.#frames.send(frame) }
  onFrame (fn: Parameters<Device['onFrame']>[0]): void { this.#frames.onFrame(fn) }
  close (): void { this.#frames.close() }

  #end (reason: Error): void {
    if (this.#closed.signal.aborted) return
    this.#closed.abort(reason)
    this.#frames.close()
  }
}

function readAnswer (line: string): z.output<typeof answerSchema> {
  const parsed = answerSchema.safeParse(jsonOf(line))
  if (!parsed.success) throw refusalIn(line)
  return parsed.data
}

function refusalIn (text: string): PlantError {
  const parsed = errorSchema.safeParse(jsonOf(text))
  if (!parsed.success) return new PlantError('MESSAGE_INVALID', { path: 'frames', problem: 'the API answered something else than it should' })
  const { code, details } = parsed.data.error
  return errorFromReport({ code, ...(details !== undefined && { details }) })
}

function jsonOf (text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined // Told as an answer of another form.
  }
}
