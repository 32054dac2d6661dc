/**
 * A plant that has just started asks its neighbours whom they miss: they are plants that fell silent of late, may be beyond a cut, and count among registrars. Whoever is in
 * view it hears of without that (`protocols/capacity`). One that lost its disk, or was down while others came, would take its side of a cut for the whole mesh.
 */
import type { PeerId } from '../kit/index.ts'
import { INTRODUCERS_MAX, INTRODUCTION_TRIES_MAX, KNOWN_PLANTS_MAX, MISSED_BATCH_MAX } from './constants.ts'
import type { Answer, Ask, Missed } from './messages.ts'

export interface IntroductionComponents {
  connected (): PeerId[]
  ask (peer: PeerId, ask: Ask): Promise<Answer>
  /** Called with each batch that a neighbour tells. */
  onMissed (missed: readonly Missed[]): void
}

/** The questions of one process; each neighbour answers once, and so many do at most. */
export class Introduction {
  readonly #c: IntroductionComponents
  readonly #asking = new Set<PeerId>()
  readonly #answered = new Set<PeerId>()
  #tries = 0

  constructor (components: IntroductionComponents) { this.#c = components }

  /** Whether neighbours are being asked and none has answered yet. */
  get isAwaited (): boolean { return this.#asking.size > 0 && this.#answered.size === 0 }

  /** Asks neighbours that have not answered; to be called when one joins, and now and then, as one that is starting itself does not answer. */
  look (): void {
    for (const peer of this.#c.connected()) {
      if (this.#asking.size + this.#answered.size >= INTRODUCERS_MAX || this.#tries >= INTRODUCTION_TRIES_MAX) return
      if (this.#asking.has(peer) || this.#answered.has(peer)) continue
      this.#tries++
      this.#asking.add(peer)
      void this.#hear(peer)
        .then((heard) => { if (heard) this.#answered.add(peer) }, () => {}) // Asked again at the next look.
        .finally(() => { this.#asking.delete(peer) })
    }
  }

  /** Whether it is one that answers such questions. */
  async #hear (peer: PeerId): Promise<boolean> {
    let after: PeerId | undefined
    for (let heard = 0; heard < KNOWN_PLANTS_MAX; heard += MISSED_BATCH_MAX) {
      const answer = await this.#c.ask(peer, { t: 6, ...(after !== undefined && { after }) })
      if (answer.t !== 9) return false
      this.#c.onMissed(answer.missed)
      after = answer.missed.at(-1)?.peer
      if (answer.missed.length < MISSED_BATCH_MAX) break
    }
    return true
  }
}
