/** What the swarms of one world share: who serves what, whose line up is used by whom, and which fetches are under way. */
import type { PeerId } from '../../../protocols/kit/index.ts'
import type { Life } from '../life.ts'
import type { Lie } from '../liar.ts'
import type { SimPack } from './sim-pack.ts'

/** A plant as a source of pieces. */
export interface Source {
  life: Life
  lies: ReadonlySet<Lie>
  packs: Map<string, SimPack>
  /** Fetches, of any plant, that had something to get of it when they last looked: they share its line up evenly. */
  readonly users: Set<object>
  /** A lie was told here. */
  onLie: (lie: Lie) => void
}

/** A fetch as checkers see it. */
export interface FetchSeen {
  readonly peer: PeerId
  readonly life: Life
  readonly infoHash: string
  /** By its plant's clock: when the last piece came, or it began. */
  readonly progressMs: number
  readonly nowMs: number
  /** Pieces that came. */
  readonly have: number
}

/** One world's. */
export class SwarmNet {
  readonly sources = new Map<PeerId, Source>()
  readonly fetches = new Set<FetchSeen>()
  /** Pieces that came to each plant, right ones only, again those that it had: by pack and plant. */
  readonly #came = new Map<string, number>()
  /** Each plant's line, up and down, for pieces. */
  readonly bytesPerMs: number

  constructor (bytesPerMs: number) { this.bytesPerMs = bytesPerMs }

  /** A right piece has come. */
  count (peer: PeerId, infoHash: string): void {
    const key = keyOf(peer, infoHash)
    this.#came.set(key, (this.#came.get(key) ?? 0) + 1)
  }

  cameTo (peer: PeerId, infoHash: string): number { return this.#came.get(keyOf(peer, infoHash)) ?? 0 }

  /** Fetches of one life. */
  under (life: Life): FetchSeen[] { return [...this.fetches].filter((fetch) => fetch.life === life) }
}

function keyOf (peer: PeerId, infoHash: string): string { return `${infoHash}/${peer}` }
