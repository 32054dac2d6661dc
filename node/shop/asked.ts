/** Whom a shop calls for bids: the plants that its view picked, or the gateways of those that stand behind one. Pure. */
import type { Candidate as Asked } from '../../protocols/bid/index.ts'
import type { Candidate, Need } from '../../protocols/capacity/index.ts'
import type { PeerId } from '../../protocols/kit/index.ts'
import { diskMiBOf, networksOf, type Order } from '../../protocols/order/index.ts'

/** Each peer once, in the order of its best plant. `gateway` is the shop's own, or itself: the plants behind that are its neighbours. */
export function askedOf (candidates: readonly Candidate[], without: readonly PeerId[], gateway: PeerId): Asked[] {
  const asked = new Map<PeerId, string>()
  for (const { peer, ad, short, drawn } of candidates) {
    if (without.includes(peer)) continue
    const picked = short === undefined ? drawn ? 'at random' : 'best by view' : `at random; by its advert short of ${short}`
    const behind = ad.behind === undefined || ad.behind === gateway ? undefined : ad.behind
    const plant = behind ?? peer
    if (!asked.has(plant)) asked.set(plant, behind === undefined ? picked : `the gateway of ${peer.slice(-8)}: ${picked}`)
  }
  return [...asked].map(([plant, why]) => ({ plant, why }))
}

/** What of an order can be held against an advert. */
export function needOf (order: Order): Need {
  const { isa, cpus, memoryMiB } = order.hardware
  return { ...(isa !== undefined && { isa }), cpus, memoryMiB, diskMiB: diskMiBOf(order), os: order.software.os, network: networksOf(order).length > 0 }
}
