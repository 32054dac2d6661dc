/** Rendezvous hashing: for each golden machine an order of all plants that everybody computes alike, so that who copies or drops one needs no word between them. */
import type { GoldenId, PeerId } from '../../protocols/kit/index.ts'

/** Plants in the order in which they are to hold it. */
export function ranked (goldenId: GoldenId, peers: readonly PeerId[], hashOf: (peer: PeerId) => number = hashOfPeer): PeerId[] {
  const golden = Number.parseInt(goldenId.slice(0, 8), 16) >>> 0
  return peers.map((peer) => ({ peer, weight: mixed(golden ^ hashOf(peer)) })).sort((a, b) => b.weight - a.weight || (a.peer < b.peer ? -1 : 1)).map(({ peer }) => peer)
}

/** How many of these come before `self`; without sorting, as it is asked for each template at each look. */
export function rankOf (goldenId: GoldenId, self: PeerId, peers: Iterable<PeerId>, hashOf: (peer: PeerId) => number = hashOfPeer): number {
  const golden = Number.parseInt(goldenId.slice(0, 8), 16) >>> 0
  const own = mixed(golden ^ hashOf(self))
  let rank = 0
  for (const peer of peers) {
    const weight = mixed(golden ^ hashOf(peer))
    if (weight > own || (weight === own && peer < self)) rank++
  }
  return rank
}

/** FNV-1a. Nothing rests on it that a plant could win by choosing its key: who ranks first does the work. */
export function hashOfPeer (peer: PeerId): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < peer.length; i++) hash = Math.imul(hash ^ peer.charCodeAt(i), 0x01000193)
  return hash >>> 0
}

/** The last mix of MurmurHash3: each bit of what goes in turns half of what comes out. */
function mixed (value: number): number {
  let hash = Math.imul(value ^ (value >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
