/** Gossip, streams and clock bound to what plants say they hold; see `mesh-images.ts` for the interface. */
import { Lifetime, PlantError, limiter, type Cancel, type GoldenId, type Limiter, type MessageStream, type PeerId } from '../kit/index.ts'
import type { Golden } from '../order/golden.ts'
import { Catalogue } from './catalogue.ts'
import { HoldingsCore, type AgedHoldings, type HoldingsEffect } from './holdings-core.ts'
import {
  EXCHANGED_EVERY_MS, EXCHANGED_JITTER_SHARE, FOUND_HOLDERS_MAX, FOUND_KEPT_MAX, FOUND_OF_PLANT_MAX, HANDED_ON_EVERY_MS, HOLDERS_MAX, HOLDINGS_LIMITS, HOLDINGS_LISTED_MAX, HOLDINGS_PART_BYTES, HOLDINGS_PROTOCOL, HOLDINGS_TOPIC,
  NEIGHBOURS_ASKED_AT_ONCE_MAX, NEIGHBOURS_WAITING_MAX, NEIGHBOUR_ASKED_MS
} from './holdings-limits.ts'
import { decodeDescribed, decodeHanded, decodeHeld, decodeHoldingsAsk, decodeKept, encodeDescribed, encodeHanded, encodeHeld, encodeHoldingsAsk, encodeKept, type HoldingsAsk } from './holdings-messages.ts'
import type { Holding } from './holdings.ts'
import type { MeshImagesComponents } from './mesh-images.ts'

/** What plants hold: told by gossip, handed on to neighbours, asked for. */
export class HoldingsService {
  readonly #c: MeshImagesComponents
  readonly #core: HoldingsCore
  readonly #lifetime = new Lifetime()
  readonly #listeners = new Set<() => void>()
  readonly #asks: Limiter = limiter(NEIGHBOURS_ASKED_AT_ONCE_MAX, NEIGHBOURS_WAITING_MAX)
  /** When each neighbour was last handed the whole; those that left are dropped. */
  readonly #handedMs = new Map<PeerId, number>()
  /** What single plants said when they were asked, beyond what is gossiped. */
  readonly #found = new Catalogue({ holdersMax: FOUND_HOLDERS_MAX, keptMax: FOUND_KEPT_MAX })
  #own: readonly Holding[] = []
  #cancelWake: Cancel = () => {}
  #cancelExchange: Cancel = () => {}
  #wakesAtMs = Infinity
  #telling = false

  constructor (components: MeshImagesComponents, epoch: number) {
    this.#c = components
    const { random, signer, crypto, transport } = components
    this.#core = new HoldingsCore({ random, sign: (bytes) => signer.sign(bytes), verify: (...args) => crypto.verify(...args) }, { self: transport.self, epoch })
  }

  get signal (): AbortSignal { return this.#lifetime.signal }

  async start (): Promise<void> {
    const { pubsub, transport } = this.#c
    this.#lifetime.own(await pubsub.subscribe(HOLDINGS_TOPIC, (from, message) => {
      const { verdict, effects } = this.#core.onGossip(this.#nowMs(), from, message)
      this.#run(effects)
      return verdict
    }))
    this.#lifetime.own(await transport.handle(HOLDINGS_PROTOCOL, HOLDINGS_LIMITS, async (stream) => this.#serve(stream)))
    this.#lifetime.own(transport.onNeighbour((peer, change) => {
      if (change === 'joined') this.#onNeighbour(peer)
      else this.#handedMs.delete(peer)
    }))
    for (const peer of transport.connected()) this.#onNeighbour(peer)
    this.#exchangeLater()
  }

  async stop (): Promise<void> {
    this.#cancelWake()
    this.#cancelExchange()
    this.#listeners.clear()
    await this.#lifetime.end()
  }

  setOwn (holdings: readonly Holding[], roomMiB: number): void {
    this.#own = holdings
    this.#run(this.#core.onOwn(this.#nowMs(), holdings, roomMiB))
  }

  onChange (fn: () => void): Cancel {
    this.#listeners.add(fn)
    return () => { this.#listeners.delete(fn) }
  }

  /** What is said of each golden machine by those in view, this plant included; by this name, or all. */
  * held (os?: string): Generator<{ goldenId: GoldenId, said: Map<PeerId, Holding> }> {
    const seen = new Set<GoldenId>()
    for (const catalogue of [this.#core.catalogue, this.#found]) {
      for (const { goldenId } of os === undefined ? catalogue.all() : catalogue.named(os)) {
        if (seen.has(goldenId)) continue
        seen.add(goldenId)
        const said = this.said(goldenId)
        if (said.size > 0) yield { goldenId, said }
      }
    }
  }

  said (goldenId: GoldenId): Map<PeerId, Holding> {
    const { transport: { self }, inView } = this.#c
    const said = new Map<PeerId, Holding>()
    // Each bid asks this of all that its order's family has: nothing is made but the answer.
    for (const catalogue of [this.#found, this.#core.catalogue]) {
      for (const [peer, holding] of catalogue.get(goldenId)?.said ?? []) if (peer === self || inView(peer)) said.set(peer, holding)
    }
    return said
  }

  /** Whether this plant holds more than it was heard to say. */
  holdsMore (peer: PeerId): boolean { return this.#core.catalogue.of(peer)?.more ?? true }

  /** What it was heard to say beside its list; undefined when it was not heard. */
  told (peer: PeerId): { more: boolean, roomMiB: number } | undefined { return this.#core.catalogue.of(peer) }

  /** Whether a plant has this and says that it keeps it for now. Throws as `lookAt`. */
  async keptBy (peer: PeerId, goldenId: GoldenId, signal: AbortSignal): Promise<boolean> {
    let kept = false
    await this.#ask(peer, { t: 3, goldenIds: [goldenId] }, signal, async (stream) => {
      const message = await stream.receive()
      kept = message !== undefined && decodeKept(message).includes(goldenId)
    })
    return kept
  }

  /** Asks a plant what it holds of this name and takes that in. Throws PEER_UNREACHABLE, STREAM_*, MESSAGE_INVALID or the signal's reason. */
  async lookAt (peer: PeerId, os: string, signal: AbortSignal): Promise<void> {
    await this.#ask(peer, { t: 2, os }, signal, async (stream) => {
      const message = await stream.receive()
      if (message === undefined) return
      const told = decodeHeld(message)
      const before = (this.#found.of(peer)?.holdings ?? []).filter((one) => !told.some(({ goldenId }) => goldenId === one.goldenId))
      if (!this.#found.set(peer, [...told, ...before].slice(0, FOUND_OF_PLANT_MAX), false)) this.#c.log.debug({ peer, os }, 'there is no room for what a plant holds')
    })
  }

  /** Asks a plant to describe these; those that it describes otherwise than their ids say are left out. Throws as `lookAt`. */
  async describedBy (peer: PeerId, goldenIds: GoldenId[], signal: AbortSignal): Promise<Array<{ golden: Golden, sizeBytes: number }>> {
    const found: Array<{ golden: Golden, sizeBytes: number }> = []
    await this.#ask(peer, { t: 1, goldenIds }, signal, async (stream) => {
      for (const expected of goldenIds) {
        const message = await stream.receive()
        if (message === undefined) return
        const { goldenId, golden, sizeBytes } = decodeDescribed(message)
        if (goldenId !== expected) throw new PlantError('MESSAGE_INVALID', { path: 'goldenId', problem: 'not the one that was asked for' })
        if (golden !== undefined) found.push({ golden, sizeBytes })
      }
    })
    return found
  }

  #nowMs (): number { return this.#c.clock.monotonicMs() }

  #run (effects: HoldingsEffect[]): void {
    for (const effect of effects) {
      if (effect.do === 'publish') void this.#publish(effect.message)
      else this.#tell()
    }
    this.#arm()
  }

  /** Listeners are told once a turn, however much came in it. */
  #tell (): void {
    if (this.#telling) return
    this.#telling = true
    this.#c.clock.after(0, () => {
      this.#telling = false
      for (const listener of this.#listeners) listener()
    })
  }

  async #publish (message: Uint8Array): Promise<void> {
    try {
      await this.#c.pubsub.publish(HOLDINGS_TOPIC, message)
    } catch (error) {
      this.#c.log.debug({ error }, 'what this plant holds was not told; neighbours that join are')
    }
  }

  #arm (): void {
    const atMs = this.#core.wakeAtMs
    if (atMs === this.#wakesAtMs || this.#lifetime.ended) return
    this.#cancelWake()
    this.#wakesAtMs = atMs
    this.#cancelWake = atMs === Infinity ? () => {} : this.#c.clock.after(Math.max(0, atMs - this.#nowMs()), () => {
      this.#wakesAtMs = Infinity
      this.#run(this.#core.onWake(this.#nowMs()))
    })
  }

  #onNeighbour (peer: PeerId): void {
    for (const ms of NEIGHBOUR_ASKED_MS) {
      const forget = this.#lifetime.own(this.#c.clock.after(ms, () => {
        forget()
        if (this.#c.transport.connected().includes(peer)) void this.#askAll(peer)
      }))
    }
  }

  /** Again and again, of a neighbour that is drawn, what it was told and this plant was not: gossip may be lost. */
  #exchangeLater (): void {
    const { clock, random, transport } = this.#c
    const jitter = 1 + EXCHANGED_JITTER_SHARE * (random.int(2_001) / 1_000 - 1)
    this.#cancelExchange = clock.after(EXCHANGED_EVERY_MS * jitter, () => {
      if (this.#lifetime.ended) return
      const peers = transport.connected()
      const peer = peers.length === 0 ? undefined : peers[random.int(peers.length)]
      if (peer !== undefined) void this.#askAll(peer, { t: 4, have: this.#core.summary() })
      this.#exchangeLater()
    })
  }

  /** Asks a neighbour for all that it was told; gossip makes up for what never comes. */
  async #askAll (peer: PeerId, ask: HoldingsAsk = { t: 0 }): Promise<void> {
    try {
      await this.#asks.run(async () => this.#ask(peer, ask, this.signal, async (stream) => {
        let plants = 0
        for (let message = await stream.receive(); message !== undefined; message = await stream.receive()) {
          const part = decodeHanded(message)
          plants += part.length
          const { sound, effects } = this.#core.onPart(this.#nowMs(), part)
          this.#run(effects)
          if (sound && part.length > 0 && plants <= HOLDERS_MAX) continue
          this.#c.log.warn({ peer, plants, sound }, 'a neighbour handed on holdings that are not sound')
          return
        }
      }), this.signal)
    } catch (error) {
      this.#c.log.debug({ peer, error }, 'a neighbour did not hand on what it was told')
    }
  }

  async #ask (peer: PeerId, ask: HoldingsAsk, signal: AbortSignal, read: (stream: MessageStream) => Promise<void>): Promise<void> {
    const stream = await this.#c.transport.open(peer, HOLDINGS_PROTOCOL, HOLDINGS_LIMITS, signal)
    const onAbort = (): void => { stream.abort(signal.reason instanceof Error ? signal.reason : new PlantError('INTERRUPTED')) }
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      signal.throwIfAborted()
      await stream.send(encodeHoldingsAsk(ask))
      await stream.close()
      await read(stream)
    } finally {
      signal.removeEventListener('abort', onAbort)
      stream.abort(new Error('done')) // Does nothing to a stream that has ended in order.
    }
  }

  async #serve (stream: MessageStream): Promise<void> {
    const first = await stream.receive()
    if (first === undefined) return
    const ask = decodeHoldingsAsk(first)
    if (ask.t === 0 || ask.t === 4) await this.#handOn(stream, ask.t === 4 ? ask.have : undefined)
    else if (ask.t === 1) {
      for (const goldenId of ask.goldenIds) await stream.send(encodeDescribed(goldenId, this.#c.own.description(goldenId)))
    } else if (ask.t === 3) await stream.send(encodeKept(ask.goldenIds.filter((goldenId) => this.#c.own.keeps(goldenId))))
    else {
      const { os } = ask
      await stream.send(encodeHeld(this.#own.filter((one) => one.os === os || one.name === os || one.goldenId === os).slice(0, HOLDINGS_LISTED_MAX)))
    }
    await stream.close()
  }

  async #handOn (stream: MessageStream, have?: Uint8Array): Promise<void> {
    const nowMs = this.#nowMs()
    if (nowMs - (this.#handedMs.get(stream.peer) ?? -Infinity) < HANDED_ON_EVERY_MS) return
    if (this.#c.transport.connected().includes(stream.peer)) this.#handedMs.set(stream.peer, nowMs)
    let part: AgedHoldings[] = []
    let partBytes = 0
    for (const one of this.#core.toHandOn(nowMs, have)) {
      part.push(one)
      partBytes += one.message.length + 32
      if (partBytes < HOLDINGS_PART_BYTES) continue
      await stream.send(encodeHanded(part))
      part = []
      partBytes = 0
    }
    if (part.length > 0) await stream.send(encodeHanded(part))
  }
}
