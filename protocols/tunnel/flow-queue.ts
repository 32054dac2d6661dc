/**
 * What waits to go into a tunnel: FQ-CoDel (RFC 8290). Frames of a flow wait behind their own flow's only; flows that have just begun to send go
 * first, the others in turn (deficit round robin by bytes), and a flow that keeps its queue long loses frames early. Bounded in bytes, frames and flows;
 * full, the flow that holds most loses its oldest. Pure: the caller says what time it is, in monotonic milliseconds.
 */
import { Codel, type CodelQueue } from './codel.ts'
import { FLOW_QUANTUM_BYTES, FLOWS_MAX, FRAME_COST_BYTES, QUEUE_BYTES_MAX } from './constants.ts'
import { flowOf } from './flow-hash.ts'
import type { Frame } from './types.ts'

interface Queued { frame: Frame, atMs: number, bytes: number }

/** Drops by reason: `late` by CoDel, `full` for the bound. */
export interface QueueDrops { late: number, full: number }

/** One flow; lives while it has frames, or its turn with none has not come. */
class Flow implements CodelQueue<Queued> {
  readonly number: number
  readonly codel = new Codel()
  readonly #owner: { onTaken (bytes: number): void, onDropped (): void }
  #frames: Queued[] = []
  #head = 0
  /** The longest frame that was seen. */
  #longestBytes = 0
  bytes = 0
  creditBytes = FLOW_QUANTUM_BYTES

  constructor (number: number, owner: { onTaken (bytes: number): void, onDropped (): void }) {
    this.number = number
    this.#owner = owner
  }

  push (queued: Queued): void {
    this.#frames.push(queued)
    this.bytes += queued.bytes
    this.#longestBytes = Math.max(this.#longestBytes, queued.bytes)
  }

  shift (): Queued | undefined {
    const queued = this.#frames[this.#head]
    if (queued === undefined) return undefined
    this.#head++
    if (this.#head === this.#frames.length) {
      this.#frames = []
      this.#head = 0
    } else if (this.#head >= 64 && this.#head * 2 > this.#frames.length) {
      this.#frames = this.#frames.slice(this.#head)
      this.#head = 0
    }
    this.bytes -= queued.bytes
    this.#owner.onTaken(queued.bytes)
    return queued
  }

  get head (): Frame | undefined { return this.#frames[this.#head]?.frame }

  isShort (): boolean { return this.bytes <= this.#longestBytes }

  onDrop (): void { this.#owner.onDropped() }
}

/** Frames for one peer. */
export class FlowQueue {
  readonly #bytesMax: number
  readonly #seed: number
  readonly #flows = new Map<number, Flow>()
  /** Flows in turn: those that began since they were last empty, and the others. The first of a list is at its head. */
  #young: Flow[] = []
  #old: Flow[] = []
  #bytes = 0
  #frames = 0
  /** A frame that did not fit the last batch, since CoDel dropped the one before it that did: the first of the next. */
  #spilt: Frame | undefined
  readonly #drops: QueueDrops = { late: 0, full: 0 }

  /** `seed` is drawn by chance. */
  constructor (seed: number, bytesMax = QUEUE_BYTES_MAX) {
    this.#seed = seed
    this.#bytesMax = bytesMax
  }

  /** Bytes that wait; each frame counts for FRAME_COST_BYTES more than its length. */
  get bytes (): number { return this.#bytes }
  get frames (): number { return this.#frames + (this.#spilt === undefined ? 0 : 1) }
  get flows (): number { return this.#flows.size }
  get drops (): Readonly<QueueDrops> { return this.#drops }

  push (frame: Frame, nowMs: number): void {
    const bytes = frame.bytes.length + FRAME_COST_BYTES
    const number = flowOf(frame.bytes, this.#seed, FLOWS_MAX)
    let flow = this.#flows.get(number)
    if (flow === undefined) {
      flow = new Flow(number, this)
      this.#flows.set(number, flow)
      this.#young.push(flow)
    }
    flow.push({ frame, atMs: nowMs, bytes })
    this.#bytes += bytes
    this.#frames++
    if (this.#bytes > this.#bytesMax) this.#makeRoom()
  }

  /** What goes out next: frames of at most `bytesMax` in all as `sizeOf` counts them, but at least one if there is any. */
  take (nowMs: number, bytesMax: number, sizeOf: (frame: Frame) => number): Frame[] {
    const batch: Frame[] = []
    let leftBytes = bytesMax
    for (;;) {
      const spilt = this.#spilt
      this.#spilt = undefined
      const flow = spilt === undefined ? this.#turn() : undefined
      // Left where it is while it does not fit: another flow may have come to pass it by then.
      if (batch.length > 0 && flow?.head !== undefined && sizeOf(flow.head) > leftBytes) return batch
      const frame = spilt ?? (flow && this.#from(flow, nowMs))
      if (frame === undefined) return batch
      const size = sizeOf(frame)
      if (batch.length > 0 && size > leftBytes) {
        this.#spilt = frame
        return batch
      }
      batch.push(frame)
      leftBytes -= size
    }
  }

  /** Called by the flows. */
  onTaken (bytes: number): void {
    this.#bytes -= bytes
    this.#frames--
  }

  onDropped (): void { this.#drops.late++ }

  /** The flow whose turn it is; it has frames. */
  #turn (): Flow | undefined {
    for (;;) {
      const young = this.#young[0]
      const flow = young ?? this.#old[0]
      if (flow === undefined) return undefined
      if (flow.head === undefined) {
        // A young flow that is empty waits a round among the old, so that it cannot come back as young at once (RFC 8290, 4.2).
        if (young !== undefined && this.#old.length > 0) this.#toBack(flow, true)
        else this.#forget(flow, young !== undefined)
      } else if (flow.creditBytes > 0) {
        return flow
      } else {
        flow.creditBytes += FLOW_QUANTUM_BYTES
        this.#toBack(flow, young !== undefined)
      }
    }
  }

  #from (flow: Flow, nowMs: number): Frame | undefined {
    // Never drops all that there is: the last of a queue is short enough.
    const queued = flow.codel.next(flow, nowMs)
    if (queued === undefined) return undefined
    flow.creditBytes -= queued.bytes
    return queued.frame
  }

  #toBack (flow: Flow, wasYoung: boolean): void {
    if (wasYoung) this.#young.shift()
    else this.#old.shift()
    this.#old.push(flow)
  }

  #forget (flow: Flow, wasYoung: boolean): void {
    if (wasYoung) this.#young.shift()
    else this.#old.shift()
    this.#flows.delete(flow.number)
  }

  /** The fattest flow loses from its head, down to half of it or until there is room with some to spare: looking for it costs a walk over the flows. */
  #makeRoom (): void {
    let fattest: Flow | undefined
    for (const flow of this.#flows.values()) if (fattest === undefined || flow.bytes > fattest.bytes) fattest = flow
    if (fattest === undefined) return
    const keepBytes = fattest.bytes / 2
    const enoughBytes = this.#bytesMax * 15 / 16
    do {
      if (fattest.shift() === undefined) return
      this.#drops.full++
    } while (this.#bytes > this.#bytesMax || (this.#bytes > enoughBytes && fattest.bytes > keepBytes))
  }
}
