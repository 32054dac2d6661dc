/**
 * Gossip between simulated processes (the port PubSub), after gossipsub as `node/drivers/mesh-pubsub.ts` sets it up: the author sends to all its neighbours,
 * each of them hands on at once to at most GOSSIP_DEGREE, and the rest hear of it at the next heartbeat. A message id is taken once. The author
 * is known for certain; a message travels the connections' own pipes, so that cuts and slow links hold it up as they do streams.
 */
import type { Cancel, PeerId, PubSub } from '../../../protocols/kit/index.ts'
import { never, type Life } from '../life.ts'
import type { RandomStream } from '../../kernel/index.ts'
import { usOf, type Timeline } from '../timeline.ts'
import type { ConnectionEnd } from './connection.ts'
import { GOSSIP_DEGREE, GOSSIP_HEARTBEAT_MS, GOSSIP_SEEN_MS } from './constants.ts'

type Handler = (from: PeerId, message: Uint8Array) => 'accept' | 'ignore' | 'reject'

/** One message under way; its id is the author's, counted. */
export interface Gossip { id: string, from: PeerId, topic: string, message: Uint8Array, hops: number }

export interface PubSubParts {
  self: PeerId
  life: Life
  timeline: Timeline
  rng: RandomStream
  ends (): Iterable<ConnectionEnd>
  pubsubAt (end: ConnectionEnd): SimPubSub
  /** Topics that may be spoken of. */
  topics: readonly string[]
  onPublish (gossip: Gossip): void
  onTaken (gossip: Gossip, verdict: string): void
}

/** One process's part of gossip. */
export class SimPubSub implements PubSub {
  readonly #parts: PubSubParts
  readonly #handlers = new Map<string, Handler>()
  /** Ids seen and when they may be forgotten, oldest first. */
  readonly #seen = new Map<string, number>()
  #published = 0

  constructor (parts: PubSubParts) { this.#parts = parts }

  get seen (): number { return this.#seen.size }
  has (id: string): boolean { return this.#seen.has(id) }

  async publish (topic: string, message: Uint8Array): Promise<void> {
    const { life, self } = this.#parts
    if (!life.may('publish')) return never()
    const gossip = { id: `${self}/${life.incarnation}/${this.#published++}`, from: self, topic, message, hops: 0 }
    this.#remember(gossip.id)
    this.#parts.onPublish(gossip)
    for (const end of this.#parts.ends()) this.#hand(end, gossip)
  }

  async subscribe (topic: string, handler: Handler): Promise<Cancel> {
    if (!this.#parts.topics.includes(topic)) throw new Error(`bug: the topic ${topic} was not named when the mesh was started`)
    if (this.#handlers.has(topic)) throw new Error(`bug: two handlers of the topic ${topic}`)
    this.#handlers.set(topic, handler)
    return () => { this.#handlers.delete(topic) }
  }

  /** A neighbour hands a message on. */
  take (hop: PeerId, gossip: Gossip): void {
    const handler = this.#handlers.get(gossip.topic)
    if (handler === undefined || gossip.from === this.#parts.self || this.#seen.has(gossip.id)) return
    this.#remember(gossip.id)
    const verdict = handler(gossip.from, gossip.message)
    this.#parts.onTaken(gossip, verdict)
    if (verdict !== 'accept') return
    const next = { ...gossip, hops: gossip.hops + 1 }
    const others = [...this.#parts.ends()].filter((end) => end.peer !== hop && end.peer !== gossip.from)
    const { rng, timeline, life } = this.#parts
    const chosen = others.length <= GOSSIP_DEGREE ? others : rng.shuffled(others)
    for (const [at, end] of chosen.entries()) {
      if (at < GOSSIP_DEGREE) this.#hand(end, next)
      else timeline.after(rng.int(usOf(GOSSIP_HEARTBEAT_MS)), () => { this.#hand(end, next) }, life)
    }
  }

  #hand (end: ConnectionEnd, gossip: Gossip): void {
    const { self } = this.#parts
    // What the other side has already it would drop: such copies are left out, and so is the bandwidth they would take.
    if (this.#parts.pubsubAt(end.far).has(gossip.id)) return
    end.send(gossip.message.length + 150, (far) => { this.#parts.pubsubAt(far).take(self, gossip) })
  }

  #remember (id: string): void {
    const nowUs = this.#parts.timeline.nowUs
    for (const [old, untilUs] of this.#seen) {
      if (untilUs > nowUs) break
      this.#seen.delete(old)
    }
    this.#seen.set(id, nowUs + usOf(GOSSIP_SEEN_MS))
  }
}
