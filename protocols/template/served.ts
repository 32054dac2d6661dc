/** How many bytes of marks each peer may be handed now (README.md, Limits). Pure; a peer that leaves and comes again is no new one. */
import type { PeerId } from '../kit/index.ts'
import { SERVED_BURST_BYTES, SERVED_BYTES_PER_S, SERVED_EVERY_MS, SERVED_PEERS_MAX } from './constants.ts'

interface Budget { bytes: number, atMs: number }

/** A budget a peer, on a monotonic clock. */
export class Served {
  /** In the order in which they last asked. */
  readonly #budgets = new Map<PeerId, Budget>()

  /** Bytes that it may be handed; 0: it asked too soon. */
  asked (nowMs: number, peer: PeerId): number {
    const before = this.#budgets.get(peer)
    if (before !== undefined && nowMs - before.atMs < SERVED_EVERY_MS) return 0
    const bytes = before === undefined ? SERVED_BURST_BYTES : Math.min(SERVED_BURST_BYTES, before.bytes + (nowMs - before.atMs) / 1_000 * SERVED_BYTES_PER_S)
    this.#budgets.delete(peer)
    this.#budgets.set(peer, { bytes, atMs: nowMs })
    const oldest = this.#budgets.size > SERVED_PEERS_MAX ? this.#budgets.keys().next().value : undefined
    if (oldest !== undefined) this.#budgets.delete(oldest)
    return bytes
  }

  /** It was handed so much. */
  handed (peer: PeerId, bytes: number): void {
    const budget = this.#budgets.get(peer)
    if (budget !== undefined) budget.bytes -= bytes
  }
}
