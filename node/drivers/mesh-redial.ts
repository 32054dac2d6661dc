/**
 * Keeps a plant connected: dials the bootstrap peers until they answer, dials lost neighbours again for a while, and dials peers that were
 * discovered while neighbours are few. Delays double up to REDIAL_MS_MAX and are jittered, so that a site that comes back is not stormed.
 */
import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { Libp2p, PeerId as Libp2pPeerId, PeerInfo } from '@libp2p/interface'
import { Lifetime } from '../../protocols/kit/index.ts'
import type { Cancel, Clock, Log, PeerId, Random } from '../../protocols/kit/index.ts'
import type { Admission } from './mesh-admission.ts'
import { LOOK_FIRST_MS, LOOK_MS_MAX, NEIGHBOURS_WANTED, OPEN_TIMEOUT_MS, REDIALS_MAX, REDIAL_FIRST_MS, REDIAL_MS_MAX, REDIAL_PEERS_MAX } from './mesh-limits.ts'

export interface RedialComponents {
  node: Libp2p
  admission: Admission
  clock: Clock
  random: Random
  log: Log
  /** Peers close to a key, as the directory knows them. */
  closeTo (key: Uint8Array, signal: AbortSignal): AsyncIterable<PeerInfo[]>
}

/** Someone to stay connected with. */
interface Target {
  address: Multiaddr | Libp2pPeerId
  /** The peer at that address, once it is known. */
  peer: string | undefined
  /** A bootstrap peer is never given up. */
  forEver: boolean
  failures: number
}

/** Dials bootstrap peers and lost neighbours again, with growing pauses and within bounds. */
export class Redialler {
  readonly #c: RedialComponents
  readonly #lifetime = new Lifetime()
  /** Lost neighbours that are being dialled: at most REDIAL_PEERS_MAX. */
  readonly #lost = new Map<string, Target>()
  readonly #discovering = new Set<string>()
  #cancelLook: Cancel = () => {}
  #looks = 0

  constructor (components: RedialComponents) {
    this.#c = components
    this.#lifetime.own(components.admission.onNeighbour((peer, change) => {
      if (change === 'left') this.#onLost(peer)
      else this.#lost.delete(peer)
      this.#looks = 0
      this.#lookSoon()
    }))
  }

  /** Addresses as text, with or without `/p2p/…`; checked by the caller. */
  start (bootstrap: string[]): void {
    for (const text of bootstrap) {
      const address = multiaddr(text)
      const peer = address.getComponents().findLast((part) => part.name === 'p2p')?.value
      if (peer !== this.#c.node.peerId.toString()) void this.#attempt({ address, peer, forEver: true, failures: 0 })
    }
  }

  /** A peer was found by mDNS or by the directory. */
  discovered (peer: Libp2pPeerId): void {
    const name = peer.toString()
    if (this.#lifetime.ended || this.#c.admission.has(name) || this.#discovering.has(name)) return
    if (this.#c.admission.count + this.#discovering.size >= NEIGHBOURS_WANTED) return
    this.#discovering.add(name)
    void this.#dial(peer).finally(() => { this.#discovering.delete(name) })
  }

  async stop (): Promise<void> {
    this.#lost.clear()
    this.#cancelLook()
    await this.#lifetime.end()
  }

  /** While neighbours are few: a plant that knows but the one it joined by hears little gossip, and nothing when that one goes. */
  #lookSoon (): void {
    this.#cancelLook()
    if (this.#lifetime.ended || this.#c.admission.count === 0 || this.#c.admission.count >= NEIGHBOURS_WANTED) return
    const plainMs = Math.min(LOOK_MS_MAX, LOOK_FIRST_MS * 2 ** Math.min(this.#looks, 10))
    this.#cancelLook = this.#c.clock.after(plainMs * (1 + this.#c.random.int(1_000) / 2_000), () => { void this.#look() })
  }

  /** Asks the directory who is near us, and every second time near a key drawn at random, so that the mesh does not fall into clusters. */
  async #look (): Promise<void> {
    const key = this.#looks % 2 === 0 ? this.#c.node.peerId.toMultihash().bytes : this.#c.random.bytes(32)
    this.#looks++
    const late = new AbortController()
    const cancel = this.#c.clock.after(OPEN_TIMEOUT_MS, () => { late.abort(new Error('no answer in time')) })
    try {
      for await (const peers of this.#c.closeTo(key, AbortSignal.any([late.signal, this.#lifetime.signal]))) {
        for (const peer of peers) await this.#onFound(peer)
        if (this.#c.admission.count + this.#discovering.size >= NEIGHBOURS_WANTED) break
      }
    } catch (error) {
      this.#c.log.debug({ error }, 'looking around ended early')
    } finally {
      cancel()
      late.abort(new Error('done'))
    }
    this.#lookSoon()
  }

  async #onFound (peer: PeerInfo): Promise<void> {
    if (peer.id.equals(this.#c.node.peerId) || this.#c.admission.has(peer.id.toString())) return
    if (peer.multiaddrs.length > 0) await this.#c.node.peerStore.merge(peer.id, { multiaddrs: peer.multiaddrs })
    this.discovered(peer.id)
  }

  #onLost (peer: PeerId): void {
    if (this.#lifetime.ended || this.#lost.has(peer) || this.#lost.size >= REDIAL_PEERS_MAX) return
    const target = { address: peerIdFromString(peer), peer, forEver: false, failures: 0 }
    this.#lost.set(peer, target)
    this.#again(target)
  }

  async #attempt (target: Target): Promise<void> {
    if (this.#lifetime.ended) return
    const connected = target.peer !== undefined && this.#c.admission.has(target.peer)
    if (!connected) {
      const found = await this.#dial(target.address)
      target.peer ??= found
      target.failures = found === undefined ? target.failures + 1 : 0
    }
    if (target.forEver || this.#stillWanted(target)) this.#again(target)
  }

  #stillWanted (target: Target): boolean {
    const peer = target.peer
    if (peer === undefined || this.#lost.get(peer) !== target) return false
    const wanted = !this.#c.admission.has(peer) && (target.failures < REDIALS_MAX || this.#c.admission.count === 0)
    if (!wanted) this.#lost.delete(peer)
    return wanted
  }

  #again (target: Target): void {
    if (this.#lifetime.ended) return
    const plainMs = target.failures === 0 && target.forEver ? REDIAL_MS_MAX / 2 : Math.min(REDIAL_MS_MAX, REDIAL_FIRST_MS * 2 ** Math.min(target.failures, 10))
    const jitteredMs = plainMs * (1 + this.#c.random.int(1_000) / 2_000)
    let forget: Cancel = () => {}
    const cancel = this.#c.clock.after(jitteredMs, () => {
      forget()
      void this.#attempt(target)
    })
    forget = this.#lifetime.own(cancel)
  }

  /** The peer that answered and is of this mesh, or undefined. */
  async #dial (address: Multiaddr | Libp2pPeerId): Promise<string | undefined> {
    const late = new AbortController()
    const cancel = this.#c.clock.after(OPEN_TIMEOUT_MS, () => { late.abort(new Error('no answer in time')) })
    try {
      const connection = await this.#c.node.dial(address, { signal: AbortSignal.any([late.signal, this.#lifetime.signal]) })
      return await this.#c.admission.admitted(connection) ? connection.remotePeer.toString() : undefined
    } catch (error) {
      this.#c.log.debug({ address: address.toString(), error }, 'could not dial')
      return undefined
    } finally {
      cancel()
    }
  }
}
