/** What a plant's site allows (VMPlants 3.1: policies of the site). Pure. */
import type { Reason } from '../../protocols/bid/index.ts'
import type { KeyId } from '../../protocols/kit/index.ts'

export interface SitePolicy {
  /** The domains that are served, each by its key or by its name; all when absent. A name is anybody's to use, a key is not. */
  serves?: readonly string[]
}

/** Why no order of this domain is taken; empty when it is. Whom the site serves is not told. */
export function policyReasons ({ serves }: SitePolicy, { domain, domainKey }: { domain: string, domainKey: KeyId }): Reason[] {
  if (serves === undefined || serves.includes(domainKey) || serves.includes(domain)) return []
  return [{ code: 'POLICY_DOMAIN', clause: 'domain', have: 'other domains', need: `${domain} (${domainKey})`, waitHelps: false }]
}
