/** Finds peers for one fetch: looks up who has the pack, again and again, and opens wires to some of them. */
import type { Cancel, Clock, Log, PeerId, Random } from '../../protocols/kit/index.ts'
import { LOOK_UP_ALONE_MS, LOOK_UP_MS, PROVIDERS_MAX, WIRES_DIALLED_MAX } from './constants.ts'
import type { PeerPolicy } from './peer-policy.ts'

/** Peers that should have the pack, or some of it, as they are found. */
export type Providers = (signal: AbortSignal) => AsyncIterable<PeerId>

export interface DiallerComponents {
  clock: Clock
  random: Random
  log: Log
  policy: PeerPolicy
  self: PeerId
  isLinked (peer: PeerId): boolean
  /** Resolves when the wire stands. */
  dial (peer: PeerId, signal: AbortSignal): Promise<void>
}

/** Peers of one fetch: known, dialled, dialled again. Failures cost the peer a back-off, never the fetch. */
export class Dialler {
  readonly #c: DiallerComponents
  readonly #providers: Providers
  readonly #known = new Set<PeerId>()
  readonly #dialling = new Map<PeerId, AbortController>()
  readonly #stopped = new AbortController()
  #lookedUpAtMs = -Infinity
  #isLookingUp = false
  #timer: Cancel | undefined

  constructor (components: DiallerComponents, providers: Providers) {
    this.#c = components
    this.#providers = providers
  }

  start (): void { this.#go() }

  /**
   * A link is gone: others are dialled, or it again after a while, which doubles unless it `gave` something. Without that a peer that shakes hands and
   * hangs up (it has no room, or means harm) would be dialled as fast as the line allows.
   */
  lost (peer: PeerId, gave: boolean): void {
    if (this.#stopped.signal.aborted) return
    if (gave) this.#c.policy.answered(peer)
    this.#c.policy.failed(peer, this.#c.clock.monotonicMs())
    this.#dialMore()
  }

  isDialling (peer: PeerId): boolean { return this.#dialling.has(peer) }

  /** The peer's own wire takes the place of ours. */
  giveUp (peer: PeerId): void {
    this.#dialling.get(peer)?.abort(new Error('the peer has dialled'))
    this.#dialling.delete(peer)
  }

  stop (): void {
    this.#stopped.abort(new Error('the fetch has ended'))
    this.#timer?.()
    for (const dial of this.#dialling.values()) dial.abort(new Error('the fetch has ended'))
    this.#dialling.clear()
  }

  #go (): void {
    if (this.#stopped.signal.aborted) return
    const alone = !this.#linked()
    const sinceMs = this.#c.clock.monotonicMs() - this.#lookedUpAtMs
    if (!this.#isLookingUp && sinceMs >= (alone ? LOOK_UP_ALONE_MS : LOOK_UP_MS)) void this.#lookUp()
    this.#dialMore()
    this.#timer = this.#c.clock.after(LOOK_UP_ALONE_MS, () => { this.#go() })
  }

  /** Never rejects. */
  async #lookUp (): Promise<void> {
    this.#isLookingUp = true
    this.#lookedUpAtMs = this.#c.clock.monotonicMs()
    let found = 0
    try {
      for await (const peer of this.#providers(this.#stopped.signal)) {
        if (this.#stopped.signal.aborted || ++found > PROVIDERS_MAX) break
        if (peer === this.#c.self) continue
        this.#remember(peer)
        this.#dialMore()
      }
    } catch (error) {
      if (!this.#stopped.signal.aborted) this.#c.log.debug({ error }, 'providers could not be looked up')
    }
    this.#isLookingUp = false
  }

  #remember (peer: PeerId): void {
    this.#known.delete(peer)
    this.#known.add(peer)
    const oldest = this.#known.size > PROVIDERS_MAX ? this.#known.values().next().value : undefined
    if (oldest !== undefined) this.#known.delete(oldest)
  }

  #linked (): boolean {
    for (const peer of this.#known) if (this.#c.isLinked(peer)) return true
    return false
  }

  #dialMore (): void {
    const nowMs = this.#c.clock.monotonicMs()
    let open = this.#dialling.size
    const free: PeerId[] = []
    for (const peer of this.#known) {
      if (this.#dialling.has(peer)) continue
      if (this.#c.isLinked(peer)) open++
      else if (this.#c.policy.mayDial(peer, nowMs)) free.push(peer)
    }
    for (; open < WIRES_DIALLED_MAX && free.length > 0; open++) {
      const [peer] = free.splice(this.#c.random.int(free.length), 1)
      if (peer !== undefined) void this.#dial(peer)
    }
  }

  /** Never rejects. */
  async #dial (peer: PeerId): Promise<void> {
    const dial = new AbortController()
    this.#dialling.set(peer, dial)
    try {
      await this.#c.dial(peer, dial.signal)
    } catch (error) {
      if (!dial.signal.aborted) {
        this.#c.policy.failed(peer, this.#c.clock.monotonicMs())
        this.#c.log.debug({ peer, error }, 'a provider could not be dialled')
      }
    }
    if (this.#dialling.get(peer) === dial) this.#dialling.delete(peer)
  }
}
