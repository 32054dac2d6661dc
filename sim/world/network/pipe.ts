/** One direction of a connection: what is sent arrives whole and in order, or not at all (TCP). Loss is delay; a cut is silence until it heals. */
import type { PeerId } from '../../../protocols/kit/index.ts'
import type { RandomStream } from '../../kernel/index.ts'
import type { Life } from '../life.ts'
import { usOf, type Timeline } from '../timeline.ts'
import { LOSSES_IN_A_ROW_MAX, RTO_MS_MAX, RTO_MS_MIN, SEGMENT_BYTES } from './constants.ts'
import type { Links } from './links.ts'

/** What a pipe stands on. */
export interface PipeParts { timeline: Timeline, links: Links, rng: RandomStream }

interface Sent { dueUs: number, arrive: () => void }

/** Losses of one segment that are drawn; a longer message draws for its first segments only, and for all when loss is rare. */
const DRAWS_MAX = 16

/** What is under way in one direction. */
export class Pipe {
  readonly from: PeerId
  readonly to: PeerId
  readonly #parts: PipeParts
  readonly #receiver: Life
  readonly #onBroken: () => void
  #underWay: Sent[] = []
  #busyUntilUs = 0
  #lastDueUs = 0
  #rtoMs = 0
  #closed = false
  #known: { version: number, link: ReturnType<Links['of']> } | undefined

  /** `onBroken`: a segment was lost too often in a row. */
  constructor (parts: PipeParts, ends: { from: PeerId, to: PeerId, receiver: Life }, onBroken: () => void) {
    this.#parts = parts
    this.from = ends.from
    this.to = ends.to
    this.#receiver = ends.receiver
    this.#onBroken = onBroken
  }

  /** Messages that have not arrived. */
  get underWay (): number { return this.#underWay.length }

  /** Sends; returns how long the bytes themselves take, in microseconds: what a slow link makes of a long message. */
  send (bytes: number, arrive: () => void): number {
    if (this.#closed) return 0
    const { timeline, rng } = this.#parts
    const link = this.#link()
    const fromUs = Math.max(timeline.nowUs, this.#busyUntilUs)
    const takesUs = Math.ceil(bytes * 8 / link.bandwidthMbit)
    this.#busyUntilUs = fromUs + takesUs
    const jitterUs = link.jitterMs === 0 ? 0 : rng.int(usOf(link.jitterMs) + 1)
    const dueUs = Math.max(this.#lastDueUs, this.#busyUntilUs + usOf(link.latencyMs) + jitterUs + this.#lossUs(bytes, link))
    this.#lastDueUs = dueUs
    this.#underWay.push({ dueUs, arrive })
    if (this.#underWay.length === 1) this.#arm(dueUs)
    return takesUs
  }

  /** Nothing more arrives. */
  close (): void {
    this.#closed = true
    this.#underWay = []
  }

  #arm (atUs: number): void {
    this.#parts.timeline.at(atUs, () => { this.#arrive() }, this.#receiver)
  }

  #arrive (): void {
    const head = this.#underWay[0]
    if (head === undefined) return
    const { timeline } = this.#parts
    if (this.#link().cut) {
      this.#rtoMs = Math.min(RTO_MS_MAX, Math.max(RTO_MS_MIN, 2 * this.#rtoMs))
      this.#arm(timeline.nowUs + usOf(this.#rtoMs))
      return
    }
    this.#rtoMs = 0
    this.#underWay.shift()
    const next = this.#underWay[0]
    if (next !== undefined) this.#arm(next.dueUs)
    head.arrive()
  }

  #link (): ReturnType<Links['of']> {
    const { links } = this.#parts
    if (this.#known?.version !== links.version) this.#known = { version: links.version, link: links.of(this.from, this.to) }
    return this.#known.link
  }

  /** How much later for lost segments: the last one waits for its timer, one in the middle is missed within a round trip. */
  #lossUs (bytes: number, link: { lossShare: number, latencyMs: number }): number {
    if (link.lossShare === 0) return 0
    const { rng } = this.#parts
    const segments = Math.max(1, Math.ceil(bytes / SEGMENT_BYTES))
    let lateUs = 0
    for (let segment = 0; segment < Math.min(segments, DRAWS_MAX); segment++) {
      const last = segment === Math.min(segments, DRAWS_MAX) - 1
      let rtoMs = last ? RTO_MS_MIN + 2 * link.latencyMs : 2 * link.latencyMs
      for (let losses = 0; rng.chance(link.lossShare); losses++) {
        if (losses === LOSSES_IN_A_ROW_MAX) {
          this.#parts.timeline.after(lateUs, this.#onBroken)
          return lateUs
        }
        lateUs += usOf(rtoMs)
        rtoMs = Math.max(RTO_MS_MIN, rtoMs) * 2
      }
    }
    return lateUs
  }
}
