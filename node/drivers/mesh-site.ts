/** What a mesh node of a site does: a gateway relays for it, a plant behind one waits for its place there. */
import { multiaddr } from '@multiformats/multiaddr'
import type { Connection, Libp2p } from '@libp2p/interface'
import { PlantError, type Clock, type Lifetime, type Log, type PeerId } from '../../protocols/kit/index.ts'
import type { Admission } from './mesh-admission.ts'
import { BEHIND_WAIT_MS } from './mesh-limits.ts'
import { peerOf, type MeshRelay } from './mesh-relay.ts'
import { SiteRelay } from './site-relay.ts'

/** What of `MeshInit` is about sites. */
export interface SiteInit { site?: string, gateway?: boolean, inside?: string[], behind?: string }

/** Throws CONFIG_INVALID where that does not fit together. */
export function checkSite (init: SiteInit): void {
  if (init.behind !== undefined && peerOf(multiaddr(init.behind)) === undefined) throw new PlantError('CONFIG_INVALID', { field: 'behind', found: init.behind.slice(0, 200), allowed: 'the gateway\'s address with its peer id: /ip4/192.0.2.1/tcp/4001/p2p/12D3…' })
  if (init.behind === undefined && init.gateway !== true) return
  if (init.behind !== undefined && init.gateway === true) throw new PlantError('CONFIG_INVALID', { field: 'gateway', problem: 'a gateway cannot stand behind another' })
  if ((init.site ?? '') === '') throw new PlantError('CONFIG_INVALID', { field: 'site', problem: 'a gateway, and a plant behind one, need the name of their site' })
}

/** Identified peers say their site behind the program's name; it is no secret, and anybody may say it. */
const AGENT = 'plantmesh/1'
const SITE_AGENT = `${AGENT} site=`

/** What the plant says of itself when it is identified. */
export function agentOf (site = ''): string { return site === '' ? AGENT : `${SITE_AGENT}${encodeURIComponent(site)}` }

/** The relay of a gateway; what it needs of the node is asked for once that has started. */
export function siteRelayOf ({ site = '', inside }: SiteInit, admission: Admission, log: Log, node: () => Libp2p, connections: (peer: PeerId) => Connection[]): SiteRelay {
  return new SiteRelay({
    admission,
    log,
    siteOf: async (peer) => {
      const { metadata } = await node().peerStore.get(peer)
      const agent = new TextDecoder().decode(metadata.get('AgentVersion'))
      return agent.startsWith(SITE_AGENT) ? agent.slice(SITE_AGENT.length) : ''
    },
    connections,
    dial: async (peer, signal) => node().dial(peer, { signal })
  }, encodeURIComponent(site), inside)
}

/** libp2p learns that the addresses that it announces are others now. */
export function tellAddresses (node: Libp2p, log: Log): void {
  node.peerStore.patch(node.peerId, { multiaddrs: node.getMultiaddrs() }).catch((error: unknown) => { log.debug({ error }, 'the addresses were not noted') })
}

/** A plant without its place cannot be reached, but it can still do what it began; the place is asked for until it is there. */
export async function placeOrLate (relay: MeshRelay, clock: Clock, log: Log, lifetime: Lifetime): Promise<void> {
  const late = Promise.withResolvers<void>()
  const cancel = clock.after(BEHIND_WAIT_MS, () => {
    log.warn({}, 'there is no place at the gateway yet; this plant cannot be reached until there is')
    late.resolve()
  })
  const forget = lifetime.own(late.resolve)
  await Promise.race([relay.placed, late.promise])
  forget()
  cancel()
}
