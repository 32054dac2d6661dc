/**
 * Who is connected with whom, as `node/drivers/mesh-redial.ts` and libp2p do it: bootstrap peers are dialled for ever, lost neighbours for a while, and
 * while neighbours are few the directory is asked for more. Any peer of the mesh that runs can be dialled by its id: its address is in the directory.
 */
import { PlantError, type Cancel, type Clock, type PeerId, type Random } from '../../../protocols/kit/index.ts'
import type { Life } from '../life.ts'
import { usOf } from '../timeline.ts'
import type { ConnectionEnd } from './connection.ts'
import {
  CONNECTIONS_MAX, DIAL_ROUND_TRIPS, DIAL_WORK_MS, LOOK_FIRST_MS, LOOK_MS_MAX, NEIGHBOURS_WANTED, OPEN_TIMEOUT_MS, REDIAL_FIRST_MS, REDIAL_MS_MAX, REDIALS_MAX, REDIAL_PEERS_MAX, SYN_AGAIN_MS
} from './constants.ts'
import type { PipeParts } from './pipe.ts'

/** What a dial finds at the other end now: a process, a host without one, or nothing that answers. */
export type DialTarget = { connect: () => ConnectionEnd } | 'refused' | 'silent'

export interface NeighboursParts extends PipeParts {
  self: PeerId
  life: Life
  clock: Clock
  random: Random
  target (peer: PeerId): DialTarget
  /** Peers that the directory would name. */
  others (): PeerId[]
}

type Listener = (peer: PeerId, change: 'joined' | 'left') => void

/** The connections of one process. */
export class Neighbours {
  readonly #parts: NeighboursParts
  readonly #ends = new Map<PeerId, ConnectionEnd>()
  readonly #listeners = new Set<Listener>()
  readonly #dialling = new Map<PeerId, Promise<ConnectionEnd>>()
  readonly #lost = new Map<PeerId, { failures: number }>()
  #cancelLook: Cancel = () => {}
  #looks = 0

  constructor (parts: NeighboursParts) { this.#parts = parts }

  get size (): number { return this.#ends.size }
  list (): PeerId[] { return [...this.#ends.keys()] }
  ends (): Iterable<ConnectionEnd> { return this.#ends.values() }
  end (peer: PeerId): ConnectionEnd | undefined { return this.#ends.get(peer) }

  onNeighbour (fn: Listener): Cancel {
    this.#listeners.add(fn)
    return () => { this.#listeners.delete(fn) }
  }

  start (bootstrap: readonly PeerId[]): void {
    for (const peer of bootstrap) if (peer !== this.#parts.self) void this.#keep(peer, 0)
  }

  /** A connection was made, by this side or the other. */
  joined (end: ConnectionEnd): void {
    this.#ends.set(end.peer, end)
    this.#lost.delete(end.peer)
    this.#tell(end.peer, 'joined')
  }

  left (end: ConnectionEnd): void {
    if (this.#ends.get(end.peer) !== end) return
    this.#ends.delete(end.peer)
    if (!this.#lost.has(end.peer) && this.#lost.size < REDIAL_PEERS_MAX) {
      this.#lost.set(end.peer, { failures: 0 })
      this.#again(end.peer)
    }
    this.#tell(end.peer, 'left')
  }

  /** The connection with a peer, dialled where there is none. Throws PEER_UNREACHABLE, or the signal's reason. */
  async dial (peer: PeerId, signal?: AbortSignal): Promise<ConnectionEnd> {
    const open = this.#ends.get(peer)
    if (open !== undefined) return open
    let dialling = this.#dialling.get(peer)
    if (dialling === undefined) {
      dialling = this.#dial(peer).finally(() => { this.#dialling.delete(peer) })
      dialling.catch(() => {}) // Whoever waits hears of it.
      this.#dialling.set(peer, dialling)
    }
    if (signal === undefined) return dialling
    const under = dialling
    return new Promise((resolve, reject) => {
      const onAbort = (): void => { reject(signal.reason) }
      signal.addEventListener('abort', onAbort, { once: true })
      under.then(resolve, reject).finally(() => { signal.removeEventListener('abort', onAbort) })
    })
  }

  async #dial (peer: PeerId): Promise<ConnectionEnd> {
    const { timeline, links, self, life } = this.#parts
    const unreachable = (problem: string): PlantError => new PlantError('PEER_UNREACHABLE', { peer, problem })
    const wait = async (us: number): Promise<void> => new Promise((resolve) => { timeline.after(us, resolve, life) })
    const startUs = timeline.nowUs
    for (const againMs of [...SYN_AGAIN_MS, OPEN_TIMEOUT_MS]) {
      const target = links.isBroken(self, peer) ? 'silent' : this.#parts.target(peer)
      if (target === 'silent') {
        await wait(startUs + usOf(againMs) - timeline.nowUs)
        continue
      }
      const roundTripUs = usOf(links.of(self, peer).latencyMs + links.of(peer, self).latencyMs)
      await wait(target === 'refused' ? roundTripUs : DIAL_ROUND_TRIPS * roundTripUs + usOf(DIAL_WORK_MS))
      const open = this.#ends.get(peer)
      if (open !== undefined) return open
      if (target === 'refused') throw unreachable('refused')
      if (this.#ends.size >= CONNECTIONS_MAX) throw unreachable('too many connections')
      // Whatever has changed during the handshakes.
      const now = links.isBroken(self, peer) ? 'silent' : this.#parts.target(peer)
      if (typeof now === 'object') return now.connect()
      if (now === 'refused') throw unreachable('reset')
    }
    throw unreachable('no answer in time')
  }

  /** Bootstrap peers are never given up. */
  async #keep (peer: PeerId, failures: number): Promise<void> {
    const found = await this.dial(peer).then(() => true, () => false)
    this.#after(found ? REDIAL_MS_MAX / 2 : backOffMs(failures), () => { void this.#keep(peer, found ? 0 : failures + 1) })
  }

  #again (peer: PeerId): void {
    const lost = this.#lost.get(peer)
    if (lost === undefined) return
    this.#after(backOffMs(lost.failures), () => {
      if (this.#lost.get(peer) !== lost) return
      this.dial(peer).then(() => { this.#lost.delete(peer) }, () => {
        lost.failures++
        if (lost.failures < REDIALS_MAX || this.#ends.size === 0) this.#again(peer)
        else this.#lost.delete(peer)
      })
    })
  }

  #tell (peer: PeerId, change: 'joined' | 'left'): void {
    for (const listener of this.#listeners) listener(peer, change)
    this.#looks = 0
    this.#lookSoon()
  }

  #lookSoon (): void {
    this.#cancelLook()
    if (this.#ends.size === 0 || this.#ends.size >= NEIGHBOURS_WANTED) return
    const others = this.#parts.others()
    // In a mesh of few there is nobody left to look for; the timer would only keep the world awake.
    if (others.every((peer) => peer === this.#parts.self || this.#ends.has(peer))) return
    this.#cancelLook = this.#after(Math.min(LOOK_MS_MAX, LOOK_FIRST_MS * 2 ** Math.min(this.#looks, 10)), () => { this.#look() })
  }

  #look (): void {
    this.#looks++
    const { self, random } = this.#parts
    const strangers = this.#parts.others().filter((peer) => peer !== self && !this.#ends.has(peer))
    for (let wanted = NEIGHBOURS_WANTED - this.#ends.size; wanted > 0 && strangers.length > 0; wanted--) {
      const [peer] = strangers.splice(random.int(strangers.length), 1)
      if (peer !== undefined) this.dial(peer).catch(() => {}) // Looked for again.
    }
    this.#lookSoon()
  }

  #after (ms: number, fn: () => void): Cancel {
    return this.#parts.clock.after(ms * (1 + this.#parts.random.int(1_000) / 2_000), fn)
  }
}

function backOffMs (failures: number): number { return Math.min(REDIAL_MS_MAX, REDIAL_FIRST_MS * 2 ** Math.min(failures, 10)) }
