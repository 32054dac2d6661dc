/**
 * Pairs of ports that lead into one LAN: two uplinks there, here or at two members, make a ring outside of the mesh, in which a broadcast would go round
 * for ever. They are known by a host that is heard behind both at once; for some time then no host's frame goes from one to the other, which the LAN does itself.
 */
import { RINGS_MAX, RING_LIFE_MS } from './constants.ts'
import type { SwitchPort } from './switch-port.ts'

/** The rings of one switch. */
export class Rings {
  /** The longest known first. */
  readonly #untilMs = new Map<string, number>()

  get isEmpty (): boolean { return this.#untilMs.size === 0 }

  /** A host was heard behind both. */
  note (nowMs: number, one: SwitchPort, other: SwitchPort): void {
    const key = keyOf(one, other)
    this.#untilMs.delete(key)
    const [first] = this.#untilMs.keys()
    if (first !== undefined && this.#untilMs.size >= RINGS_MAX) this.#untilMs.delete(first)
    this.#untilMs.set(key, nowMs + RING_LIFE_MS)
  }

  /** Whether two ports lead into one LAN, as far as was heard lately. */
  has (nowMs: number, one: SwitchPort, other: SwitchPort): boolean {
    const key = keyOf(one, other)
    const untilMs = this.#untilMs.get(key)
    if (untilMs === undefined || nowMs < untilMs) return untilMs !== undefined
    this.#untilMs.delete(key)
    return false
  }
}

function keyOf (one: SwitchPort, other: SwitchPort): string {
  return `${Math.min(one.id, other.id)}:${Math.max(one.id, other.id)}`
}
