/** What lies between two hosts: how long a message takes from one to the other now, and whether it comes at all. One way each. */
import type { PeerId } from '../../../protocols/kit/index.ts'
import type { LinkSpec } from '../../scenario/index.ts'

/** Some hosts against some others: what a partition or a slow link is about. */
export interface Sides { from: ReadonlySet<PeerId>, to: ReadonlySet<PeerId> }

/** How much worse links get. */
export interface Worse { latencyTimes: number, addLatencyMs: number, lossShare: number, bandwidthShare: number }

/** What became of a message on a link: put on the line, held up at its end by a cut, or come through. */
export interface LinkWatch {
  /** `lateUs` is how long after its last bit left it arrives, losses included; `draws` segments may have been lost, `losses` were. */
  sent (from: PeerId, to: PeerId, message: { takesUs: number, bytes: number, lateUs: number, draws: number, losses: number }): void
  held (from: PeerId, to: PeerId): void
  passed (from: PeerId, to: PeerId): void
}

/** The links of a world: as they are by nature, and what is wrong with them now. */
export class Links {
  readonly #base: (from: PeerId, to: PeerId) => LinkSpec
  readonly #cuts = new Set<Sides>()
  readonly #slow = new Map<Sides, Worse>()
  /** Changes whenever any link does: what was looked up before may be wrong. */
  version = 0
  /** Told of every message; set by whoever looks at what faults do. */
  watch: LinkWatch | undefined
  /** Worked out once for a pair, until something changes. */
  readonly #known = new Map<string, LinkSpec & { cut: boolean }>()

  constructor (base: (from: PeerId, to: PeerId) => LinkSpec) { this.#base = base }

  /** No message passes from the one side to the other, until the returned function is called. */
  cut (sides: Sides): () => void {
    this.#cuts.add(sides)
    this.#changed()
    return () => {
      this.#cuts.delete(sides)
      this.#changed()
    }
  }

  slow (sides: Sides, worse: Worse): () => void {
    this.#slow.set(sides, worse)
    this.#changed()
    return () => {
      this.#slow.delete(sides)
      this.#changed()
    }
  }

  heal (): void {
    this.#cuts.clear()
    this.#slow.clear()
    this.#changed()
  }

  #changed (): void {
    this.version++
    this.#known.clear()
  }

  isCut (from: PeerId, to: PeerId): boolean { return this.#cuts.size > 0 && this.of(from, to).cut }

  /** Neither can say anything to the other and hear the answer. */
  isBroken (a: PeerId, b: PeerId): boolean { return this.isCut(a, b) || this.isCut(b, a) }

  of (from: PeerId, to: PeerId): LinkSpec & { cut: boolean } {
    const pair = `${from}>${to}`
    let link = this.#known.get(pair)
    if (link === undefined) this.#known.set(pair, link = this.#workOut(from, to))
    return link
  }

  #workOut (from: PeerId, to: PeerId): LinkSpec & { cut: boolean } {
    const link = { ...this.#base(from, to), cut: false }
    for (const { from: a, to: b } of this.#cuts) if (a.has(from) && b.has(to)) link.cut = true
    for (const [sides, worse] of this.#slow) {
      if (!(sides.from.has(from) && sides.to.has(to)) && !(sides.from.has(to) && sides.to.has(from))) continue
      link.latencyMs = link.latencyMs * worse.latencyTimes + worse.addLatencyMs
      link.lossShare = 1 - (1 - link.lossShare) * (1 - worse.lossShare)
      link.bandwidthMbit *= worse.bandwidthShare
    }
    return link
  }
}
