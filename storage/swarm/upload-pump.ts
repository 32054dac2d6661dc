/** Answers requests of all packs: asks the Uploader what is next, reads it and sends it, under the upload cap and each wire's bound. */
import type { Cancel, Clock, Log } from '../../protocols/kit/index.ts'
import { READS_MAX, WIRE_SEND_BYTES } from './constants.ts'
import type { Link } from './link.ts'
import type { Pack } from '../warehouse/pack.ts'
import { TokenBucket } from './token-bucket.ts'
import { Uploader } from './uploader.ts'
import type { BlockRequest, Job, UploadPeer } from './uploader.ts'

export interface UploadPumpComponents { clock: Clock, log: Log }

interface Served { link: Link, pack: Pack }

/** Sends what was asked for. A piece that cannot be read is refused; nothing here ever rejects. */
export class UploadPump {
  readonly #c: UploadPumpComponents
  readonly #bucket: TokenBucket
  readonly #uploader = new Uploader()
  readonly #served = new Map<UploadPeer, Served>()
  readonly #stopped = new AbortController()
  #reads = 0
  #sentBytes = 0
  #timer: Cancel | undefined

  constructor (components: UploadPumpComponents, bytesPerS: number) {
    this.#c = components
    this.#bucket = new TokenBucket(bytesPerS)
  }

  /** Bytes of pieces sent, to everyone. */
  get sentBytes (): number { return this.#sentBytes }

  join (served: Served): void { this.#served.set(served.link.upload, served) }

  leave (link: Link): void {
    this.#uploader.leave(link.upload)
    this.#served.delete(link.upload)
  }

  offer (link: Link, piece: number, request: BlockRequest): void {
    this.#uploader.offer(link.upload, piece, request)
  }

  cancel (link: Link, piece: number, offset: number): void { this.#uploader.cancel(link.upload, piece, offset) }

  /** The peer is not served for now. */
  choke (link: Link): void { this.#uploader.leave(link.upload) }

  /** Sends what can be sent now. */
  pump (): void {
    while (this.#reads < READS_MAX && this.#uploader.waiting > 0 && !this.#stopped.signal.aborted) {
      const waitMs = this.#bucket.waitMs(this.#c.clock.monotonicMs())
      if (waitMs > 0) {
        this.#timer ??= this.#c.clock.after(waitMs, () => {
          this.#timer = undefined
          this.pump()
        })
        return
      }
      const job = this.#uploader.next((peer) => this.#isReady(peer))
      const served = job === undefined ? undefined : this.#served.get(job.peer)
      if (job === undefined || served === undefined) return
      void this.#answer(job, served)
    }
  }

  stop (): void {
    this.#stopped.abort()
    this.#timer?.()
  }

  #isReady (peer: UploadPeer): boolean {
    const link = this.#served.get(peer)?.link
    return link !== undefined && link.wire.queuedBytes + link.readingBytes < WIRE_SEND_BYTES
  }

  /** Never rejects. */
  async #answer (job: Job, { link, pack }: Served): Promise<void> {
    const bytes = job.requests.reduce((sum, { length }) => sum + length, 0)
    this.#bucket.take(bytes, this.#c.clock.monotonicMs())
    this.#reads++
    link.readingBytes += bytes
    let whole: Uint8Array | undefined
    try {
      whole = await pack.read(job.piece, this.#stopped.signal)
    } catch (error) {
      if (!this.#stopped.signal.aborted) this.#c.log.warn({ infoHash: pack.infoHash, piece: job.piece, error }, 'a piece could not be read, so it is refused')
    }
    this.#reads--
    link.readingBytes -= bytes
    if (!link.gone) {
      for (const request of job.requests) request.answer(whole?.subarray(request.offset, request.offset + request.length))
      if (whole !== undefined) {
        link.stats.upBytes += bytes
        this.#sentBytes += bytes
      }
    }
    this.pump()
  }
}
