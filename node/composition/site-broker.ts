/** What a gateway knows of its site, for the broker: the plants that say they stand behind it, and which of them an order could suit. */
import { PlantError, type Clock, type Crypto, type PeerId, type Random, type Signer } from '../../protocols/kit/index.ts'
import { BROKER_PLANTS_MAX, type BrokerSide } from '../../protocols/bid/index.ts'
import { candidates, type Capacity, type PlantSeen } from '../../protocols/capacity/index.ts'
import { handOn, openCall, vmIdOfOrder } from '../../protocols/member/index.ts'
import { checkOrder } from '../../protocols/order/index.ts'
import { needOf } from '../shop/asked.ts'
import { decodeTicket } from '../shop/ticket.ts'

export interface SiteBrokerComponents {
  self: PeerId
  site: string
  /** Whether a plant has its place at this gateway: anybody may say that it stands behind it. */
  hasPlace: (peer: PeerId) => boolean
  crypto: Crypto
  signer: Signer
  clock: Clock
  random: Random
  view: Pick<Capacity, 'plants' | 'get'>
}

/** Broker for the plants of a site: those that have their place here and name both the site and this plant as their gateway. */
export function siteBroker ({ self, site, hasPlace, crypto, signer, clock, random, view }: SiteBrokerComponents): BrokerSide {
  const isMate = ({ peer, ad }: PlantSeen): boolean => ad.behind === self && ad.site === site && hasPlace(peer)
  const asksItself = (peer: PeerId): boolean => {
    const seen = view.get(peer)
    return peer === self || (seen !== undefined && isMate(seen))
  }
  return {
    passTo (signedTicket, from) {
      if (asksItself(from)) return undefined
      const call = openCall(crypto, decodeTicket(signedTicket).signedOrder)
      if (call.kind !== 'order') throw new PlantError('MESSAGE_INVALID', { path: 'kind', problem: 'not an order' })
      // Who lacks the golden machine may be able to fetch it: its own answer says.
      const need = { ...needOf(checkOrder(call.body.order)), fetchable: true }
      return { vmId: vmIdOfOrder(call), plants: candidates(view.plants().filter(isMate), need, BROKER_PLANTS_MAX, random).map(({ peer }) => peer) }
    },
    // Without any the plant refuses the award, and says why.
    handOn: (handOvers, to) => handOvers.length === 0 ? [] : handOn(crypto, signer, handOvers, to, clock.nowMs()),
    plants: (from) => asksItself(from) ? undefined : view.plants().filter(isMate).map(({ peer }) => peer)
  }
}
