/** Gossip over libp2p's gossipsub (the port PubSub). Topics carry the mesh's name; messages are signed by their author (StrictSign). */
import { TopicValidatorResult, gossipsub } from '@chainsafe/libp2p-gossipsub'
import type { GossipSub, GossipSubComponents } from '@chainsafe/libp2p-gossipsub'
import type { Cancel, Log, PeerId, PubSub } from '../../protocols/kit/index.ts'
import { GOSSIP_RPC_BYTES_MAX, GOSSIP_TOPIC_BYTES_PER_PEER_MAX } from './mesh-limits.ts'

export type GossipHandler = (from: PeerId, message: Uint8Array) => 'accept' | 'ignore' | 'reject'

const VERDICTS = { accept: TopicValidatorResult.Accept, ignore: TopicValidatorResult.Ignore, reject: TopicValidatorResult.Reject }

/** The topic's name on the wire. */
export function meshTopic (mesh: string, topic: string): string {
  return `/plantmesh/${mesh}/${topic}`
}

/**
 * gossipsub as the mesh uses it: 4 to 6 neighbours a topic, a heartbeat of 1 s. Many plants behind one address (a site's NAT, tests) are
 * normal, so that address colocation must not count against a peer: with it a mesh of more than ten falls apart in silence.
 */
export function meshGossip (mesh: string, topics: string[]): (components: GossipSubComponents) => GossipSub {
  return gossipsub({
    D: 5,
    Dlo: 4,
    Dhi: 6,
    heartbeatInterval: 1_000,
    globalSignaturePolicy: 'StrictSign',
    allowPublishToZeroTopicPeers: true,
    emitSelf: false,
    floodPublish: true,
    doPX: false,
    fallbackToFloodsub: false,
    scoreParams: { IPColocationFactorWeight: 0 },
    allowedTopics: topics.map((topic) => meshTopic(mesh, topic)),
    maxInboundDataLength: GOSSIP_RPC_BYTES_MAX,
    maxTopicBytesPerPeer: GOSSIP_TOPIC_BYTES_PER_PEER_MAX,
    decodeRpcLimits: { maxSubscriptions: 64, maxMessages: 512, maxIhaveMessageIDs: 5_000, maxIwantMessageIDs: 5_000, maxControlMessages: 512, maxIdontwantMessageIDs: 512, maxPeerInfos: 0 }
  })
}

/** Gossip over gossipsub, restricted to the topics that were named at the start. */
export class MeshPubSub implements PubSub {
  readonly #gossip: GossipSub
  readonly #mesh: string
  readonly #topics: string[]
  readonly #log: Log

  constructor (gossip: GossipSub, mesh: string, topics: string[], log: Log) {
    this.#gossip = gossip
    this.#mesh = mesh
    this.#topics = topics
    this.#log = log
  }

  async publish (topic: string, message: Uint8Array): Promise<void> {
    await this.#gossip.publish(meshTopic(this.#mesh, topic), message)
  }

  async subscribe (topic: string, handler: GossipHandler): Promise<Cancel> {
    if (!this.#topics.includes(topic)) throw new Error(`bug: the topic ${topic} was not named when the mesh was started`)
    const name = meshTopic(this.#mesh, topic)
    if (this.#gossip.topicValidators.has(name)) throw new Error(`bug: two handlers of the topic ${topic}`)
    this.#gossip.topicValidators.set(name, (_hop, message) => {
      if (message.type !== 'signed') return TopicValidatorResult.Reject
      try {
        return VERDICTS[handler(message.from.toString() as PeerId, message.data)]
      } catch (error) {
        this.#log.error({ topic, error }, 'a gossip handler failed')
        return TopicValidatorResult.Ignore
      }
    })
    this.#gossip.subscribe(name)
    return () => {
      this.#gossip.topicValidators.delete(name)
      this.#gossip.unsubscribe(name)
    }
  }
}
