/** Streams, gossip and clock bound to the core. */
import { Lifetime, limiter } from '../kit/index.ts'
import type { Cancel, Limiter, MessageStream, PeerId, StreamLimits } from '../kit/index.ts'
import { candidates } from './candidates.ts'
import type { Candidate, Need } from './candidates.ts'
import {
  CANDIDATES_MAX, CAPACITY_TOPIC, VIEW_ASKS_AT_ONCE_MAX, VIEW_ASKS_WAITING_MAX, VIEW_ASK_AGAIN_MS, VIEW_MESSAGE_BYTES_MAX, VIEW_PLANTS_MAX, VIEW_PROTOCOL,
  VIEW_SERVED_EVERY_MS, VIEW_STREAMS_MAX, VIEW_STREAMS_PER_PEER_MAX, VIEW_TIMEOUT_MS
} from './constants.ts'
import { CapacityCore } from './core.ts'
import type { CapacityEffect, PlantSeen } from './core.ts'
import type { Capacity, CapacityComponents, CapacityInit } from './index.ts'
import { decodeViewAsk, decodeViewPart, encodeViewAsk, encodeViewPart } from './messages.ts'
import type { PlantAd } from './messages.ts'

const VIEW_LIMITS: StreamLimits = {
  messageBytesMax: VIEW_MESSAGE_BYTES_MAX, idleTimeoutMs: VIEW_TIMEOUT_MS, inboundMax: VIEW_STREAMS_MAX, inboundPerPeerMax: VIEW_STREAMS_PER_PEER_MAX
}

export class CapacityService implements Capacity {
  readonly #c: CapacityComponents
  readonly #core: CapacityCore
  readonly #candidatesMax: number
  readonly #lifetime = new Lifetime()
  readonly #listeners = new Set<() => void>()
  readonly #asks: Limiter = limiter(VIEW_ASKS_AT_ONCE_MAX, VIEW_ASKS_WAITING_MAX)
  /** When each neighbour was last given the view; those that left are dropped. */
  readonly #servedMs = new Map<PeerId, number>()
  #cancelWake: Cancel = () => {}
  #wakesAtMs = Infinity
  #telling = false

  constructor (components: CapacityComponents, init: CapacityInit) {
    this.#c = components
    this.#candidatesMax = init.candidatesMax ?? CANDIDATES_MAX
    const { random, signer, crypto, transport, clock } = components
    this.#core = new CapacityCore({
      random,
      sign: (bytes) => signer.sign(bytes),
      verify: (publicKey, bytes, signature) => crypto.verify(publicKey, bytes, signature)
    }, { self: transport.self, epoch: init.epoch ?? clock.nowMs(), ...(init.viewPlantsMax === undefined ? {} : { viewPlantsMax: init.viewPlantsMax }) })
  }

  async start (): Promise<void> {
    const { pubsub, transport } = this.#c
    this.#lifetime.own(await pubsub.subscribe(CAPACITY_TOPIC, (from, message) => {
      const { verdict, effects } = this.#core.onGossip(this.#nowMs(), from, message)
      this.#run(effects)
      return verdict
    }))
    this.#lifetime.own(await transport.handle(VIEW_PROTOCOL, VIEW_LIMITS, async (stream) => this.#serveView(stream)))
    this.#lifetime.own(transport.onNeighbour((peer, change) => {
      if (change === 'joined') this.#onNeighbour(peer)
      else this.#servedMs.delete(peer)
    }))
    for (const peer of transport.connected()) this.#onNeighbour(peer)
  }

  async stop (): Promise<void> {
    if (this.#lifetime.ended) return
    this.#cancelWake()
    for (const effect of this.#core.onStop()) {
      if (effect.do === 'publish') await this.#publish(effect.message)
    }
    this.#listeners.clear()
    await this.#lifetime.end()
  }

  setOwn (ad: PlantAd): void { this.#run(this.#core.onOwnAd(this.#nowMs(), ad)) }

  plants (): PlantSeen[] { return [...this.#core.plants(this.#nowMs())] }

  get (peer: PeerId): PlantSeen | undefined { return this.#core.plant(this.#nowMs(), peer) }

  onChange (fn: () => void): Cancel {
    this.#listeners.add(fn)
    return () => { this.#listeners.delete(fn) }
  }

  candidates (need: Need, k: number = this.#candidatesMax): Candidate[] {
    return candidates(this.#core.plants(this.#nowMs()), need, Math.min(k, this.#candidatesMax), this.#c.random)
  }

  #nowMs (): number { return this.#c.clock.monotonicMs() }

  #run (effects: CapacityEffect[]): void {
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
      await this.#c.pubsub.publish(CAPACITY_TOPIC, message)
    } catch (error) {
      this.#c.log.debug({ error }, 'an advert was not sent; the next one will be')
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
    this.#core.onNeighbour(this.#nowMs())
    this.#arm()
    void this.#askSoon(peer, 0)
  }

  /** Asks a neighbour for its view, and again when it does not answer; gossip makes up for what never comes. */
  async #askSoon (peer: PeerId, tries: number): Promise<void> {
    if (this.#lifetime.ended || !this.#c.transport.connected().includes(peer)) return
    try {
      await this.#asks.run(async () => this.#askView(peer), this.#lifetime.signal)
    } catch (error) {
      this.#c.log.debug({ peer, tries, error }, 'a neighbour did not give its view')
      const againMs = VIEW_ASK_AGAIN_MS[tries]
      if (againMs === undefined || this.#lifetime.ended) return
      const forget = this.#lifetime.own(this.#c.clock.after(againMs, () => {
        forget()
        void this.#askSoon(peer, tries + 1)
      }))
    }
  }

  async #askView (peer: PeerId): Promise<void> {
    const stream = await this.#c.transport.open(peer, VIEW_PROTOCOL, VIEW_LIMITS, this.#lifetime.signal)
    try {
      await stream.send(encodeViewAsk())
      await stream.close()
      let adverts = 0
      for (let message = await stream.receive(); message !== undefined; message = await stream.receive()) {
        const part = decodeViewPart(message)
        adverts += part.length
        const { sound, effects } = this.#core.onViewPart(this.#nowMs(), part)
        this.#run(effects)
        if (sound && part.length > 0 && adverts <= VIEW_PLANTS_MAX) continue
        this.#c.log.warn({ peer, adverts, sound }, 'a neighbour gave a view that is not sound')
        return
      }
    } finally {
      stream.abort(new Error('done')) // Does nothing to a stream that has ended in order.
    }
  }

  async #serveView (stream: MessageStream): Promise<void> {
    const asked = await stream.receive()
    if (asked === undefined) return
    decodeViewAsk(asked)
    const nowMs = this.#nowMs()
    if (nowMs - (this.#servedMs.get(stream.peer) ?? -Infinity) < VIEW_SERVED_EVERY_MS) return
    if (this.#c.transport.connected().includes(stream.peer)) this.#servedMs.set(stream.peer, nowMs)
    for (const part of this.#core.viewParts(nowMs)) await stream.send(encodeViewPart(part))
  }
}
