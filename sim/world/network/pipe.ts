/** One direction of a connection: what is sent arrives whole and in order, or not at all (TCP). Loss is delay; a cut is silence until it heals. */
import type { PeerId } from '../../../protocols/kit/index.ts'
import type { RandomStream } from '../../kernel/index.ts'
import type { Life } from '../life.ts'
import { usOf, type Timeline } from '../timeline.ts'
import { LOSSES_IN_A_ROW_MAX, RTO_MS_MAX, RTO_MS_MIN, SEGMENT_BYTES, SILENCE_MS_MAX } from './constants.ts'
import type { Links } from './links.ts'

/** What a pipe stands on. */
export interface PipeParts { timeline: Timeline, links: Links, rng: RandomStream }

interface Sent { dueUs: number, takesUs: number, arrive: (takesUs: number) => void }
interface Waiting { bytes: number, sentUs: number, fromUs: number, arrive: (takesUs: number) => void }

/** Losses of one segment that are drawn; a longer message draws for its first segments only, and for all when loss is rare. */
const DRAWS_MAX = 16
/** A message that takes longer is sent in pieces of this, so that what becomes of the link meanwhile counts. */
const SLICE_US = 500_000

/** What is under way in one direction. */
export class Pipe {
  readonly from: PeerId
  readonly to: PeerId
  readonly #parts: PipeParts
  readonly #receiver: Life
  readonly #onBroken: () => void
  #underWay: Sent[] = []
  /** What is being put on the line, and what waits behind it. */
  #waiting: Waiting[] = []
  #busyUntilUs = 0
  #lastDueUs = 0
  #rtoMs = 0
  #closed = false
  #known: { version: number, link: ReturnType<Links['of']> } | undefined

  /** `onBroken`: a segment was lost too often in a row, or the line is stuck. */
  constructor (parts: PipeParts, ends: { from: PeerId, to: PeerId, receiver: Life }, onBroken: () => void) {
    this.#parts = parts
    this.from = ends.from
    this.to = ends.to
    this.#receiver = ends.receiver
    this.#onBroken = onBroken
  }

  /** Messages that have not arrived. */
  get underWay (): number { return this.#underWay.length + this.#waiting.length }

  /** Sends; `arrive` is told how long the bytes themselves took: what a slow link makes of a long message. */
  send (bytes: number, arrive: (takesUs: number) => void): void {
    if (this.#closed) return
    const { timeline } = this.#parts
    this.#waiting.push({ bytes, sentUs: timeline.nowUs, fromUs: 0, arrive })
    if (this.#waiting.length > 1) return
    if (this.#busyUntilUs <= timeline.nowUs) this.#transmit()
    else timeline.at(this.#busyUntilUs, () => { this.#transmit() })
  }

  /** Puts what waits on the line, as long as the line takes it at once. */
  #transmit (): void {
    const { timeline, rng } = this.#parts
    for (let head = this.#waiting[0]; head !== undefined; head = this.#waiting[0]) {
      const nowUs = timeline.nowUs
      if (this.#busyUntilUs > nowUs) {
        timeline.at(this.#busyUntilUs, () => { this.#transmit() })
        return
      }
      if (head.fromUs === 0) head.fromUs = nowUs
      const link = this.#link()
      const takesUs = Math.ceil(head.bytes * 8 / link.bandwidthMbit)
      if (takesUs > SLICE_US) {
        head.bytes -= Math.floor(SLICE_US * link.bandwidthMbit / 8)
        this.#busyUntilUs = nowUs + SLICE_US
        if (this.#isStuck(head.sentUs, this.#busyUntilUs)) return
        continue
      }
      this.#waiting.shift()
      this.#busyUntilUs = nowUs + takesUs
      const jitterUs = link.jitterMs === 0 ? 0 : rng.int(usOf(link.jitterMs) + 1)
      const loss = this.#loss(head.bytes, link)
      const dueUs = Math.max(this.#lastDueUs, this.#busyUntilUs + usOf(link.latencyMs) + jitterUs + loss.lateUs)
      this.#parts.links.watch?.sent(this.from, this.to, { takesUs: this.#busyUntilUs - nowUs, bytes: head.bytes, lateUs: dueUs - this.#busyUntilUs, draws: loss.draws, losses: loss.losses })
      if (this.#closed || this.#isStuck(head.sentUs, dueUs)) return
      this.#lastDueUs = dueUs
      this.#underWay.push({ dueUs, takesUs: this.#busyUntilUs - head.fromUs, arrive: head.arrive })
      if (this.#underWay.length === 1) this.#arm(dueUs)
    }
  }

  /** The monitor's pings wait in the same line: what takes longer than its patience costs the connection. */
  #isStuck (sentUs: number, untilUs: number): boolean {
    if (untilUs - sentUs <= usOf(SILENCE_MS_MAX)) return false
    this.#onBroken()
    return true
  }

  /** Nothing more arrives. */
  close (): void {
    this.#closed = true
    this.#underWay = []
    this.#waiting = []
  }

  #arm (atUs: number): void {
    this.#receiver.awaited(1)
    this.#parts.timeline.at(atUs, () => {
      this.#receiver.awaited(-1)
      this.#arrive()
    }, this.#receiver)
  }

  #arrive (): void {
    const head = this.#underWay[0]
    if (head === undefined) return
    const { timeline } = this.#parts
    const { watch } = this.#parts.links
    if (this.#link().cut) {
      watch?.held(this.from, this.to)
      this.#rtoMs = Math.min(RTO_MS_MAX, Math.max(RTO_MS_MIN, 2 * this.#rtoMs))
      this.#arm(timeline.nowUs + usOf(this.#rtoMs))
      return
    }
    watch?.passed(this.from, this.to)
    this.#rtoMs = 0
    this.#underWay.shift()
    const next = this.#underWay[0]
    if (next !== undefined) this.#arm(next.dueUs)
    head.arrive(head.takesUs)
  }

  #link (): ReturnType<Links['of']> {
    const { links } = this.#parts
    if (this.#known?.version !== links.version) this.#known = { version: links.version, link: links.of(this.from, this.to) }
    return this.#known.link
  }

  /** How much later for lost segments: the last one waits for its timer, one in the middle is missed within a round trip. */
  #loss (bytes: number, link: { lossShare: number, latencyMs: number }): { lateUs: number, draws: number, losses: number } {
    if (link.lossShare === 0) return { lateUs: 0, draws: 0, losses: 0 }
    const { rng } = this.#parts
    const segments = Math.max(1, Math.ceil(bytes / SEGMENT_BYTES))
    const draws = Math.min(segments, DRAWS_MAX)
    let lateUs = 0
    let lost = 0
    for (let segment = 0; segment < draws; segment++) {
      const last = segment === draws - 1
      let rtoMs = last ? RTO_MS_MIN + 2 * link.latencyMs : 2 * link.latencyMs
      for (let losses = 0; rng.chance(link.lossShare); losses++) {
        if (losses === LOSSES_IN_A_ROW_MAX) {
          this.#parts.timeline.after(lateUs, this.#onBroken)
          return { lateUs, draws, losses: lost }
        }
        lost++
        lateUs += usOf(rtoMs)
        rtoMs = Math.max(RTO_MS_MIN, rtoMs) * 2
      }
    }
    return { lateUs, draws, losses: lost }
  }
}
