/** What the world notes of its network: messages by protocol and size, what became of them, who is whose neighbour. */
import { asPlantError, type PeerId } from '../../protocols/kit/index.ts'
import type { NetworkWatch } from './network/network.ts'
import type { Gossip } from './network/pubsub.ts'

/** A message on a stream or by gossip, for diagrams and checkers; bytes are the sender's own. */
export interface StreamSeen { atMs: number, from: string, to: string, protocol: string, inbound: boolean, bytes: Uint8Array }

interface Told { messages: number, readonly timeline: { readonly nowMs: number }, tell (kind: string, plant: string | undefined, fields?: Record<string, unknown>): void }

/** The network's events as the trace's. */
export function networkWatch (world: Told, nameOf: (peer: PeerId) => string, { onMessage, onGossip }: { onMessage?: (seen: StreamSeen) => void, onGossip?: (at: PeerId, gossip: Gossip, verdict: string) => void } = {}): NetworkWatch {
  return {
    sent (stream, message) {
      world.messages++
      const from = nameOf(stream.end.owner.self)
      const to = nameOf(stream.peer)
      world.tell('message.sent', from, { to, protocol: stream.protocol, bytes: message.length })
      onMessage?.({ atMs: world.timeline.nowMs, from, to, protocol: stream.protocol, inbound: stream.inbound, bytes: message })
    },
    received (stream, message) {
      world.tell('message.received', nameOf(stream.end.owner.self), { from: nameOf(stream.peer), protocol: stream.protocol, bytes: message.length })
    },
    ended (stream, reason) {
      world.tell('stream.failed', nameOf(stream.end.owner.self), { peer: nameOf(stream.peer), protocol: stream.protocol, code: asPlantError(reason).code })
    },
    gossiped ({ from, topic, message }) {
      world.messages++
      world.tell('gossip.published', nameOf(from), { topic, bytes: message.length })
    },
    gossipTaken (at, gossip, verdict) {
      const { from, topic, hops } = gossip
      onGossip?.(at, gossip, verdict)
      world.messages++
      world.tell('gossip.taken', nameOf(at), { from: nameOf(from), topic, hops, verdict })
    },
    asked (at, what, key) { world.tell('directory.asked', nameOf(at), { what, key }) },
    neighbour (at, peer, change) { world.tell('neighbour', nameOf(at), { peer: nameOf(peer), change }) }
  }
}
