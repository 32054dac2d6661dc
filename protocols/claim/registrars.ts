/** Which plants are the registrars of a VMID: those whose ids are closest to it. Pure. */
import type { Crypto, PeerId, VmId } from '../kit/index.ts'
import { KNOWN_PLANTS_MAX, RECENT_MS, REGISTRARS } from './constants.ts'

/**
 * The plants that this plant knows or has known of late. One that falls silent stays a registrar for RECENT_MS, as it may be on the other side
 * of a cut; one that says goodbye goes at once.
 */
export class KnownPlants {
  readonly #self: PeerId
  readonly #crypto: Crypto
  readonly #plants = new Map<PeerId, { place: Uint8Array, seenMs: number, bye: boolean }>()
  #version = 0

  constructor (self: PeerId, crypto: Crypto) {
    this.#self = self
    this.#crypto = crypto
    this.#plants.set(self, { place: this.#place(self), seenMs: 0, bye: false })
  }

  /** Changes whenever a plant comes or goes: what was computed of an older version may be wrong. */
  get version (): number { return this.#version }

  get size (): number { return this.#plants.size }

  /** All but this plant itself. */
  others (): PeerId[] { return [...this.#plants.keys()].filter((peer) => peer !== this.#self) }

  /** What is in view now, in monotonic time. */
  update (view: Iterable<PeerId>, nowMs: number): void {
    const inView = new Set(view)
    for (const peer of inView) {
      const known = this.#plants.get(peer)
      if (known !== undefined) known.seenMs = nowMs
      else if (this.#plants.size < KNOWN_PLANTS_MAX) {
        this.#plants.set(peer, { place: this.#place(peer), seenMs: nowMs, bye: false })
        this.#version++
      }
    }
    for (const [peer, known] of this.#plants) {
      if (peer === this.#self || inView.has(peer)) continue
      if (!known.bye && nowMs - known.seenMs < RECENT_MS) continue
      this.#plants.delete(peer)
      this.#version++
    }
  }

  /** The plant stops: it goes as soon as it is out of view. */
  bye (peer: PeerId): void {
    const known = this.#plants.get(peer)
    if (known !== undefined && peer !== this.#self) known.bye = true
  }

  /** At most REGISTRARS plants, closest first; this plant is among the known. */
  registrarsOf (vmId: VmId): PeerId[] {
    const place = this.#place(vmId)
    const closest: Array<{ peer: PeerId, far: Uint8Array }> = []
    for (const [peer, known] of this.#plants) {
      const far = known.place.map((byte, i) => byte ^ (place[i] ?? 0))
      const at = closest.findIndex((other) => compare(far, other.far) < 0)
      closest.splice(at < 0 ? closest.length : at, 0, { peer, far })
      if (closest.length > REGISTRARS) closest.pop()
    }
    return closest.map(({ peer }) => peer)
  }

  #place (name: string): Uint8Array {
    return this.#crypto.sha256(new TextEncoder().encode(name))
  }
}

/** How many of so many registrars decide. */
export function majorityOf (registrars: number): number {
  return Math.floor(registrars / 2) + 1
}

function compare (a: Uint8Array, b: Uint8Array): number {
  for (const [i, byte] of a.entries()) {
    const other = b[i] ?? 0
    if (byte !== other) return byte - other
  }
  return 0
}
