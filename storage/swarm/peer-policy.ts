/**
 * Whom to talk to. A peer that sent a wrong piece is never asked again; one that cannot be reached is left alone for a while that doubles.
 * Both memories are bounded, the oldest out first.
 */
import { BACK_OFF_FIRST_MS, BACK_OFF_MAX_MS, UNREACHABLE_PEERS_MAX, WRONG_PEERS_MAX } from './constants.ts'

export class PeerPolicy {
  readonly #wrong = new Set<string>()
  readonly #unreachable = new Map<string, { untilMs: number, delayMs: number }>()

  /** It sent a wrong piece. */
  wrong (peer: string): void {
    this.#wrong.delete(peer)
    this.#wrong.add(peer)
    const oldest = this.#wrong.size > WRONG_PEERS_MAX ? this.#wrong.values().next().value : undefined
    if (oldest !== undefined) this.#wrong.delete(oldest)
  }

  isWrong (peer: string): boolean { return this.#wrong.has(peer) }

  /** A dial, or what came of it, failed. */
  failed (peer: string, nowMs: number): void {
    const delayMs = Math.min(BACK_OFF_MAX_MS, (this.#unreachable.get(peer)?.delayMs ?? BACK_OFF_FIRST_MS / 2) * 2)
    this.#unreachable.delete(peer)
    this.#unreachable.set(peer, { untilMs: nowMs + delayMs, delayMs })
    const oldest = this.#unreachable.size > UNREACHABLE_PEERS_MAX ? this.#unreachable.keys().next().value : undefined
    if (oldest !== undefined) this.#unreachable.delete(oldest)
  }

  /** It sent a piece: whatever was is forgotten. */
  answered (peer: string): void { this.#unreachable.delete(peer) }

  mayDial (peer: string, nowMs: number): boolean {
    return !this.#wrong.has(peer) && (this.#unreachable.get(peer)?.untilMs ?? -Infinity) <= nowMs
  }
}
