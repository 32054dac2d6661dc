/** The shape of a topology document; what its machines' orders say beyond is checked as of any order. */
import { z } from 'zod'
import { DOMAIN_DEFAULT, NETWORKS_MAX, ROUTES_MAX, TOPOLOGY_MACHINES_MAX, TOPOLOGY_NETWORKS_MAX } from '../constants.ts'
import type { Fields } from '../issues.ts'
import { domainName, ipv4, labels, name, proxy } from '../schema.ts'
import { subnetOf } from './subnet.ts'

/** A subnet that machines are on has room for two of them, and is no larger than the largest private one. */
const PREFIX_MIN = 8
const PREFIX_MAX = 29

const subnet = z.string().refine((text) => {
  const { prefix = 0 } = subnetOf(text) ?? {}
  return prefix >= PREFIX_MIN && prefix <= PREFIX_MAX
}, `an IPv4 subnet of /${PREFIX_MIN} to /${PREFIX_MAX} such as 192.168.7.0/24`)

const network = z.strictObject({
  name,
  subnet: subnet.exactOptional(),
  addressing: z.enum(['mesh', 'external']).prefault('mesh'),
  proxy: proxy.exactOptional()
})

const card = z.strictObject({ name, address: ipv4.exactOptional() })

/** What is left of it is an order. */
const machine = z.looseObject({
  metadata: z.looseObject({ name }),
  router: z.boolean().prefault(false),
  networks: z.array(card).max(NETWORKS_MAX).prefault([])
})

/** A topology document in which cards are written out (`{name: lan}`, not `lan`). */
export const topologySchema = z.strictObject({
  apiVersion: z.literal('plantmesh/v1'),
  kind: z.literal('Topology'),
  metadata: z.strictObject({ name, labels: labels.prefault({}) }),
  domain: domainName.prefault(DOMAIN_DEFAULT),
  networks: z.array(network).max(TOPOLOGY_NETWORKS_MAX).prefault([]),
  machines: z.array(machine).min(1).max(TOPOLOGY_MACHINES_MAX),
  routes: z.array(z.strictObject({
    to: z.string().refine((text) => subnetOf(text) !== undefined, 'an IPv4 subnet such as 10.2.0.0/16; 0.0.0.0/0 is all else'),
    via: name
  })).max(ROUTES_MAX).prefault([])
})

/** What the schema gives: machines are not yet checked as orders. */
export type RawTopology = z.output<typeof topologySchema>

/** The fields that maps of a topology document may have. */
export const TOPOLOGY_FIELDS: Fields = [
  [/^machines\[\d+\]\.networks\[\d+\]$/, ['name', 'address']],
  [/^networks\[\d+\]$/, ['name', 'subnet', 'addressing', 'proxy']],
  [/^routes\[\d+\]$/, ['to', 'via']],
  [/^metadata$/, ['name', 'labels']],
  [/^$/, ['apiVersion', 'kind', 'metadata', 'domain', 'networks', 'machines', 'routes']]
]
