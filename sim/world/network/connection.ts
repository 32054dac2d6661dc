/**
 * A connection of two processes: two pipes, and an end at each. The ends may differ in what they know: what one has given up the other may still
 * hold, until a reset reaches it or it has heard nothing for too long.
 *
 *   open ──reset sent or received, silence, process gone──> closed      (each end by itself)
 */
import { PlantError, type PeerId } from '../../../protocols/kit/index.ts'
import type { Life } from '../life.ts'
import { usOf } from '../timeline.ts'
import { FRAME_OVERHEAD_BYTES, SILENCE_MS_MAX, SILENCE_MS_MIN } from './constants.ts'
import { Pipe, type PipeParts } from './pipe.ts'
import type { SimStream } from './stream.ts'

/** The process at an end. */
export interface EndOwner {
  readonly self: PeerId
  readonly life: Life
  /** The end is closed: its streams are gone already. */
  onClosed (end: ConnectionEnd): void
}

/** One end of a connection, at its process. */
export class ConnectionEnd {
  readonly owner: EndOwner
  readonly peer: PeerId
  readonly streams = new Set<SimStream>()
  far!: ConnectionEnd
  #open = true
  readonly #pipe: Pipe
  readonly #parts: PipeParts

  constructor (parts: PipeParts, owner: EndOwner, far: EndOwner) {
    this.#parts = parts
    this.owner = owner
    this.peer = far.self
    this.#pipe = new Pipe(parts, { from: owner.self, to: far.self, receiver: far.life }, () => {
      this.close(new PlantError('STREAM_RESET', { problem: 'too many losses' }))
    })
  }

  get open (): boolean { return this.#open }
  get underWay (): number { return this.#pipe.underWay }

  /** Sends to the other end; what arrives at an end that has closed is dropped, and answered with a reset. */
  send (bytes: number, arrive: (far: ConnectionEnd) => void): number {
    if (!this.#open) return 0
    return this.#pipe.send(bytes + FRAME_OVERHEAD_BYTES, () => {
      if (this.far.#open) arrive(this.far)
      else this.far.#reset()
    })
  }

  /** This end gives up; the other is told by a reset, where that reaches it. */
  close (reason: Error): void {
    if (!this.#open) return
    this.#end(reason)
    this.#reset()
  }

  /** The process has gone without a word, and its host with it where `silent`: else its system resets the connection. */
  processGone (silent: boolean): void {
    if (!this.#open) return
    this.#open = false
    this.#pipe.close()
    if (silent) this.far.noticeSilence()
    else this.#reset()
  }

  /** Looks whether the other end still answers, once the monitor must have found out. */
  noticeSilence (): void {
    const { timeline, rng } = this.#parts
    timeline.after(usOf(SILENCE_MS_MIN) + rng.int(usOf(SILENCE_MS_MAX - SILENCE_MS_MIN)), () => {
      const { far, owner } = this
      if (this.#open && (!far.#open || far.owner.life.dead || far.owner.life.stillUntilUs > timeline.nowUs || this.#parts.links.isBroken(owner.self, this.peer))) {
        this.close(new PlantError('STREAM_RESET', { peer: this.peer, problem: 'the connection is silent' }))
      }
    }, this.owner.life)
  }

  /** Past the pipe: a reset does not wait for what was sent before it. */
  #reset (): void {
    const { timeline, links } = this.#parts
    const { self } = this.owner
    const { far } = this
    if (!far.#open) return
    if (links.isCut(self, this.peer)) {
      far.noticeSilence()
      return
    }
    timeline.after(usOf(links.of(self, this.peer).latencyMs), () => { far.#end(new PlantError('STREAM_RESET', { peer: self, problem: 'the connection was reset' })) }, far.owner.life)
  }

  #end (reason: Error): void {
    if (!this.#open) return
    this.#open = false
    this.#pipe.close()
    for (const stream of this.streams) stream.connectionGone(reason)
    this.owner.onClosed(this)
  }
}

/** Both ends of a new connection. */
export function connect (parts: PipeParts, a: EndOwner, b: EndOwner): [ConnectionEnd, ConnectionEnd] {
  const near = new ConnectionEnd(parts, a, b)
  const far = new ConnectionEnd(parts, b, a)
  near.far = far
  far.far = near
  return [near, far]
}
