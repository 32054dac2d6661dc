/**
 * Who uses which IPv6 link-local address (fe80::/64) besides the one that follows from its MAC: one for each MAC. A machine takes it by probing for it
 * (duplicate address detection, which every member hears); nobody else has it then. One that is used without having been probed for here, as after a
 * restart of the plant, is lent until somebody probes for it, or until a machine of another member, whose plant may know better, uses it.
 */
import { PROBE_MS } from './constants.ts'
import { u32 } from './ethernet.ts'

interface Claim { mac: number, key: string, high: number, low: number, isLocal: boolean, firmAtMs: number }

export class LinkLocals {
  readonly #byKey = new Map<string, Claim>()
  readonly #byMac = new Map<number, Claim>()

  /** Whether a station may use the address at `at`; what nobody has it takes thereby, in place of nothing, or, at another member, of what it had. */
  mayUse (nowMs: number, mac: number, isLocal: boolean, bytes: Uint8Array, at: number): boolean {
    const own = this.#byMac.get(mac)
    if (own !== undefined && own.high === u32(bytes, at + 8) && own.low === u32(bytes, at + 12)) return true
    const held = this.#byKey.get(keyOf(bytes, at))
    if (held !== undefined && (isLocal || !held.isLocal || held.firmAtMs <= nowMs)) return false
    if (held === undefined && isLocal && own !== undefined) return false
    this.#take(mac, isLocal, bytes, at, isLocal ? Number.POSITIVE_INFINITY : nowMs)
    return true
  }

  /** Whether a host that is no station may use the address: when no station has it for sure. */
  mayUseUnlisted (nowMs: number, bytes: Uint8Array, at: number): boolean {
    const held = this.#byKey.get(keyOf(bytes, at))
    if (held === undefined) return true
    if (held.firmAtMs <= nowMs) return false
    this.forget(held.mac)
    return true
  }

  /** A station probes for an address: it has it from now on, for sure when nobody objects in time; unless another has it. */
  probe (nowMs: number, mac: number, isLocal: boolean, bytes: Uint8Array, at: number): void {
    const held = this.#byKey.get(keyOf(bytes, at))
    if (held !== undefined && held.mac === mac && Number.isFinite(held.firmAtMs)) return
    if (held === undefined || held.mac === mac || !Number.isFinite(held.firmAtMs)) this.#take(mac, isLocal, bytes, at, nowMs + PROBE_MS)
  }

  /** The MAC that has the address for sure, or undefined. */
  holder (nowMs: number, bytes: Uint8Array, at: number): number | undefined {
    const held = this.#byKey.get(keyOf(bytes, at))
    return held !== undefined && held.firmAtMs <= nowMs ? held.mac : undefined
  }

  /** Forgets what a station had that left. */
  forget (mac: number): void {
    const claim = this.#byMac.get(mac)
    if (claim === undefined) return
    this.#byMac.delete(mac)
    this.#byKey.delete(claim.key)
  }

  #take (mac: number, isLocal: boolean, bytes: Uint8Array, at: number, firmAtMs: number): void {
    const key = keyOf(bytes, at)
    const held = this.#byKey.get(key)
    if (held !== undefined) this.forget(held.mac)
    this.forget(mac)
    const claim = { mac, key, high: u32(bytes, at + 8), low: u32(bytes, at + 12), isLocal, firmAtMs }
    this.#byKey.set(key, claim)
    this.#byMac.set(mac, claim)
  }
}

function keyOf (bytes: Uint8Array, at: number): string {
  return `${u32(bytes, at + 8).toString(16)}:${u32(bytes, at + 12).toString(16)}`
}
