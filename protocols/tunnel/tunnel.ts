/**
 * One stream to a member whose proof holds (README.md, Streams). Out: control messages in order, and frames as they gather in the member's queue; while a batch is
 * handed to the network those behind it wait in the queue, where they may be dropped, and nowhere else. In: one message after the other.
 */
import { PlantError, sendPieces, type Cancel, type Clock, type MessageStream } from '../kit/index.ts'
import { openBatch, packBatch, recordBytes } from './batch.ts'
import { ALIVE_EVERY_MS, BATCH_BYTES_MAX, CONTROLS_PER_S, CONTROLS_BURST, CONTROLS_WAITING_MAX, DRAIN_MS, FRAMES_IN_A_ROW_MAX } from './constants.ts'
import type { FlowQueue } from './flow-queue.ts'
import { decodeControl, encodeControl, isBatch, type Control } from './messages.ts'
import type { Frame } from './types.ts'

export interface TunnelComponents {
  stream: MessageStream
  clock: Clock
  /** What waits for this member; outlives the stream when another one takes its place. */
  queue: FlowQueue
  onFrames (frames: Frame[]): void
  /** The next message waits until it resolves. A failure ends the tunnel. */
  onControl (message: Control): Promise<void>
}

/** See the head of this file. Ends with its stream, whichever end ended that. */
export class Tunnel {
  readonly #c: TunnelComponents
  /** As they are, and bytes only when they go out: they share the proofs that they hold. */
  readonly #controls: Control[] = []
  #pumping = false
  /** Replaced by another stream: what comes is still taken, nothing goes out. */
  #retired = false
  #sentMs: number
  #cancelAlive: Cancel = () => {}
  #inARow = 0
  #allowance = CONTROLS_BURST
  #allowedMs: number

  constructor (components: TunnelComponents) {
    this.#c = components
    this.#sentMs = components.clock.monotonicMs()
    this.#allowedMs = this.#sentMs
  }

  get stream (): MessageStream { return this.#c.stream }

  /** Takes what comes until the end of the stream; resolves when the peer ended it in order, throws otherwise. */
  async run (): Promise<void> {
    this.#aliveLater()
    try {
      for (;;) {
        const message = await this.#c.stream.receive()
        if (message === undefined) return
        if (isBatch(message)) {
          const frames = openBatch(message)
          this.#c.onFrames(frames)
          await this.#letOthersRun(frames.length)
        } else {
          this.#spendControl()
          const control = decodeControl(message)
          if (control.t !== 'alive') await this.#c.onControl(control)
        }
      }
    } catch (error) {
      this.end(error instanceof Error ? error : new Error(String(error)))
      throw error
    } finally {
      this.#cancelAlive()
    }
  }

  /** Frames wait in the queue. Cheap: called for each frame. */
  wake (): void {
    if (!this.#pumping && !this.#retired) void this.#pump()
  }

  /** Sends a message before all frames that wait. */
  tell (message: Control): void {
    if (this.#retired || this.#c.stream.signal.aborted) return
    if (this.#controls.length >= CONTROLS_WAITING_MAX) {
      this.end(new PlantError('LIMIT', { bound: 'messages that a member has not read', max: CONTROLS_WAITING_MAX }))
      return
    }
    this.#controls.push(message)
    this.wake()
  }

  /** Another stream has taken over: says so, and goes on reading for a while. */
  retire (): void {
    if (this.#retired) return
    this.#retired = true
    const { clock, stream } = this.#c
    const cancel = clock.after(DRAIN_MS, () => { this.end(new PlantError('STREAM_RESET', { problem: 'replaced' })) })
    stream.signal.addEventListener('abort', cancel, { once: true })
    void stream.close().catch(() => {}) // Gone already: all that was wanted.
  }

  /** Leaves: tells the member, and ends once it has read that. Resolves when it is on its way, or cannot be; never throws. */
  async leave (): Promise<void> {
    if (this.#retired) return
    this.#retired = true
    const { stream, clock } = this.#c
    const cancel = clock.after(DRAIN_MS, () => { this.end(new PlantError('STREAM_RESET', { problem: 'left' })) })
    stream.signal.addEventListener('abort', cancel, { once: true })
    try {
      await stream.send(encodeControl({ t: 'leave' }))
      void stream.close().catch(() => {}) // Gone: it learns by the end of the stream, as it does below.
    } catch (error) {
      this.end(error instanceof Error ? error : new Error(String(error)))
    }
  }

  /** Ends at once. */
  end (reason: Error): void {
    this.#retired = true
    this.#c.stream.abort(reason)
  }

  async #pump (): Promise<void> {
    this.#pumping = true
    const { stream, queue, clock } = this.#c
    try {
      // To the end of this turn: what a device hands over in one go is sent as one message.
      await undefined
      while (!this.#retired) {
        const control = this.#controls.shift()
        if (control !== undefined) {
          await stream.send(encodeControl(control))
        } else {
          const frames = queue.take(clock.monotonicMs(), BATCH_BYTES_MAX, recordBytes)
          if (frames.length === 0) break
          await sendPieces(stream, packBatch(frames))
        }
        this.#sentMs = clock.monotonicMs()
      }
    } catch (error) {
      this.end(error instanceof Error ? error : new Error(String(error)))
    }
    this.#pumping = false
  }

  #aliveLater (): void {
    const { clock } = this.#c
    const dueMs = this.#sentMs + ALIVE_EVERY_MS
    this.#cancelAlive = clock.after(Math.max(1, dueMs - clock.monotonicMs()), () => {
      if (this.#retired) return
      if (clock.monotonicMs() - this.#sentMs >= ALIVE_EVERY_MS) {
        this.#sentMs = clock.monotonicMs()
        if (!this.#pumping) this.tell({ t: 'alive' })
      }
      this.#aliveLater()
    })
  }

  /** Messages that are there already come without a turn of the event loop in between: a flood of short frames must not keep everybody else waiting. */
  async #letOthersRun (frames: number): Promise<void> {
    this.#inARow += frames
    if (this.#inARow < FRAMES_IN_A_ROW_MAX) return
    this.#inARow = 0
    await new Promise<void>((resolve) => { this.#c.clock.after(0, resolve) })
  }

  /** Messages that cost proofs and tables to take are rationed; frames are not. */
  #spendControl (): void {
    const nowMs = this.#c.clock.monotonicMs()
    this.#allowance = Math.min(CONTROLS_BURST, this.#allowance + (nowMs - this.#allowedMs) * CONTROLS_PER_S / 1_000)
    this.#allowedMs = nowMs
    if (this.#allowance < 1) throw new PlantError('LIMIT', { bound: 'messages a second that are not frames', max: CONTROLS_PER_S })
    this.#allowance--
  }
}
