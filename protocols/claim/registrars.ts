/** Which plants are the registrars of a VMID: those whose ids are closest to it. Pure. */
import type { Crypto, PeerId, VmId } from '../kit/index.ts'
import { BYE_LOOK_MS, BYE_MS, INTRODUCED_SIZE_MAX, KNOWN_PLANTS_MAX, MISSED_BATCH_MAX, RECENT_MS, REGISTRARS } from './constants.ts'
import type { Missed } from './messages.ts'

/**
 * The plants that this plant knows or has known of late. One that falls silent stays a registrar for RECENT_MS, as it may be on the other side
 * of a cut; one that says goodbye goes at once, and
 * is as any other again when it is in view for longer than its last word from before can keep it there.
 */
export class KnownPlants {
  readonly #self: PeerId
  readonly #crypto: Crypto
  readonly #plants = new Map<PeerId, { place: Uint8Array, seenMs: number, byeMs: number | undefined }>()
  #version = 0

  constructor (self: PeerId, crypto: Crypto) {
    this.#self = self
    this.#crypto = crypto
    this.#plants.set(self, { place: this.#place(self), seenMs: 0, byeMs: undefined })
  }

  /** Changes whenever a plant comes or goes: what was computed of an older version may be wrong. */
  get version (): number { return this.#version }

  get size (): number { return this.#plants.size }

  /** All but this plant itself. */
  others (): PeerId[] { return [...this.#plants.keys()].filter((peer) => peer !== this.#self) }

  /** When goodbyes are to be looked at: then whoever is in view has been back since, and `update` takes it for any other. */
  get byesDueMs (): number {
    let firstMs = Infinity
    for (const { byeMs = Infinity } of this.#plants.values()) firstMs = Math.min(firstMs, byeMs + BYE_MS)
    return firstMs
  }

  /** What is in view now, in monotonic time. */
  update (view: Iterable<PeerId>, nowMs: number): void {
    const inView = new Set(view)
    for (const peer of inView) {
      const known = this.#plants.get(peer)
      if (known !== undefined) known.seenMs = nowMs
      else if (this.#plants.size < KNOWN_PLANTS_MAX) {
        this.#plants.set(peer, { place: this.#place(peer), seenMs: nowMs, byeMs: undefined })
        this.#version++
      }
    }
    for (const [peer, known] of this.#plants) {
      const byeAgoMs = nowMs - (known.byeMs ?? -Infinity)
      if (peer === this.#self || inView.has(peer)) {
        if (byeAgoMs >= BYE_MS) known.byeMs = undefined
        continue
      }
      // Who looks late cannot tell whether it was back meanwhile, and counts it.
      if (byeAgoMs > BYE_MS + BYE_LOOK_MS && nowMs - known.seenMs < RECENT_MS) continue
      this.#plants.delete(peer)
      this.#version++
    }
  }

  /**
   * The plant stops, in monotonic time: it goes as soon as it is out of view, unless it comes back first. Not in view for long is word that waited while this plant stood still:
   * nobody knows what became of it since.
   */
  bye (peer: PeerId, nowMs: number): void {
    const known = this.#plants.get(peer)
    if (known !== undefined && peer !== this.#self && nowMs - known.seenMs <= BYE_MS) known.byeMs = nowMs
  }

  /** Counted and out of view, in order of their ids: of those after `after` the first MISSED_BATCH_MAX. */
  missed (view: Iterable<PeerId>, nowMs: number, after = ''): Missed[] {
    const inView = new Set(view)
    const silent = [...this.#plants].filter(([peer, { byeMs }]) => peer > after && peer !== this.#self && byeMs === undefined && !inView.has(peer))
    return silent.sort(([a], [b]) => a < b ? -1 : 1).slice(0, MISSED_BATCH_MAX)
      .map(([peer, { seenMs }]) => ({ peer, agoMs: Math.min(RECENT_MS, Math.max(0, Math.round(nowMs - seenMs))) }))
  }

  /** Another plant misses these: they count here for as long as there, and for no longer by being handed on. */
  introduce (missed: readonly Missed[], nowMs: number): void {
    for (const { peer, agoMs } of missed) {
      if (this.#plants.has(peer) || agoMs >= RECENT_MS || this.#plants.size >= INTRODUCED_SIZE_MAX) continue
      this.#plants.set(peer, { place: this.#place(peer), seenMs: nowMs - agoMs, byeMs: undefined })
      this.#version++
    }
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
