/** What a plant's site allows (VMPlants 3.1: policies of the site). Pure. */
import type { Reason } from '../../protocols/bid/index.ts'
import type { KeyId } from '../../protocols/kit/index.ts'
import { networksOf, type Order } from '../../protocols/order/order.ts'

export interface SitePolicy {
  /** The domains that are served, each by its key or by its name; all when absent. A name is anybody's to use, a key is not. */
  serves?: readonly string[]
  /** Machines whose orders ask for it may connect to the world outside. */
  egress?: boolean
}

/** Why no order of this domain is taken; empty when it is. Whom the site serves is not told. */
export function policyReasons ({ serves }: SitePolicy, { domain, domainKey }: { domain: string, domainKey: KeyId }): Reason[] {
  if (serves === undefined || serves.includes(domainKey) || serves.includes(domain)) return []
  return [{ code: 'POLICY_DOMAIN', clause: 'domain', have: 'other domains', need: `${domain} (${domainKey})`, waitHelps: false }]
}

/** Why a machine that is to connect to the world outside is not made here; empty when it is, or need not. */
export function egressReasons ({ egress }: SitePolicy, order: Pick<Order, 'network' | 'networks'>): Reason[] {
  if (egress === true || !networksOf(order).some((network) => network.egress === true)) return []
  return [{ code: 'POLICY_EGRESS', clause: 'network.egress', have: 'no way out for machines', need: 'egress', waitHelps: false }]
}
