/** The shape of an order document: types, sizes, defaults, no unknown fields (CONTRACT.md, Orders). The graph is checked in `check.ts`. */
import { multiaddr } from '@multiformats/multiaddr'
import { z } from 'zod'
import {
  ACTION_TIMEOUT_MS_DEFAULT, ACTION_TIMEOUT_MS_MAX, ACTIONS_MAX, CPUS_DEFAULT, CPUS_MAX, DISK_MIB_DEFAULT, DISK_MIB_MAX, DOMAIN_DEFAULT, ENTRIES_MAX,
  EXPRESSION_CHARS_MAX, LABEL_CHARS_MAX, MEMORY_MIB_DEFAULT, MEMORY_MIB_MAX, MEMORY_MIB_MIN, NETWORKS_MAX, PARAMETER_CHARS_MAX, PATH_CHARS_MAX, ROUTES_MAX, SCRIPT_CHARS_MAX
} from './constants.ts'

const NAME = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/
const NAME_ALLOWED = 'at most 63 letters, digits, ".", "_" and "-", a letter or digit first and last'
const LONG_NAME = /^[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,252}$/
const LONG_NAME_ALLOWED = 'at most 253 letters, digits and ".", "_", ":", "/", "@", "+", "-", a letter or digit first'
const LABEL = /^[A-Za-z0-9][A-Za-z0-9._/-]{0,126}$/
const LABEL_ALLOWED = 'a name of at most 127 letters, digits, ".", "_", "/" and "-", a letter or digit first'
const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]{0,126}$/
const VARIABLE_ALLOWED = 'the name of an environment variable: letters, digits and "_", no digit first, at most 127'
// eslint-disable-next-line no-control-regex -- control characters are what is refused
const FILE_PATH = /^\/(?!.*(?:^|\/)\.\.(?:\/|$))[^\u0000-\u001f\u007f]*[^/\u0000-\u001f\u007f]$/u
const FILE_PATH_ALLOWED = `an absolute path without ".." and control characters, no "/" at its end, at most ${PATH_CHARS_MAX} characters`
// Dotted quad or colons with hex digits, each with an optional prefix length.
const OCTET = '(?:25[0-5]|2[0-4]\\d|1?\\d?\\d)'
const QUAD = `${OCTET}(?:\\.${OCTET}){3}`
const PREFIX = '/(?:3[0-2]|[12]?\\d)'
const IPV4 = new RegExp(`^${QUAD}(?:${PREFIX})?$`)
const IPV4_ALONE = new RegExp(`^${QUAD}$`)
const IPV4_SUBNET = new RegExp(`^${QUAD}${PREFIX}$`)

const text = (charsMax: number): z.ZodString => z.string().max(charsMax)
/** The name of a machine, a network, an action. */
export const name = z.string().regex(NAME, NAME_ALLOWED)
const count = (min: number, max: number): z.ZodNumber => z.number().int().min(min).max(max)
const entries = <K extends z.ZodString>(key: K, charsMax: number) => z.record(key, text(charsMax))
  .refine((map) => Object.keys(map).length <= ENTRIES_MAX, `at most ${ENTRIES_MAX} entries`)

/** An IPv4 address without its prefix length. */
export const ipv4 = z.string().regex(IPV4_ALONE, 'an IPv4 address such as 192.168.7.10')
/** The multiaddr of a client's own end. */
export const proxy = text(1024).refine(isMultiaddr, 'a multiaddr such as /ip4/192.0.2.1/tcp/4001/p2p/12D3Koo…')
export const domainName = z.string().regex(LONG_NAME, LONG_NAME_ALLOWED)
export const labels = entries(z.string().regex(LABEL, LABEL_ALLOWED), LABEL_CHARS_MAX)

/** The child graphs refer back to actions, so that the type is written out where TypeScript cannot infer it. */
const action = z.strictObject({
  id: name,
  after: z.array(z.string()).max(ACTIONS_MAX).prefault([]),
  run: z.enum(['guest', 'host']).prefault('guest'),
  script: text(SCRIPT_CHARS_MAX).exactOptional(),
  parameters: entries(z.string().regex(VARIABLE, VARIABLE_ALLOWED), PARAMETER_CHARS_MAX).prefault({}),
  files: entries(z.string().max(PATH_CHARS_MAX, FILE_PATH_ALLOWED).regex(FILE_PATH, FILE_PATH_ALLOWED), SCRIPT_CHARS_MAX).prefault({}),
  use: name.exactOptional(),
  with: entries(z.string().regex(NAME, NAME_ALLOWED), PARAMETER_CHARS_MAX).exactOptional(),
  timeoutMs: count(1, ACTION_TIMEOUT_MS_MAX).prefault(ACTION_TIMEOUT_MS_DEFAULT),
  get onError () { return errorGraph.exactOptional() }
})

const errorGraph = z.strictObject({
  get actions () { return z.array(action).max(ACTIONS_MAX).prefault([]) },
  then: z.enum(['continue', 'fail']).prefault('fail')
})

const route = z.strictObject({
  to: z.string().regex(IPV4_SUBNET, 'an IPv4 subnet such as 10.2.0.0/16; 0.0.0.0/0 is all else'),
  via: ipv4
})

const network = z.strictObject({
  name,
  address: z.string().refine(isAddress, 'an IPv4 or IPv6 address, with or without its prefix length').exactOptional(),
  proxy: proxy.exactOptional(),
  addressing: z.enum(['mesh', 'external']).prefault('mesh'),
  router: z.boolean().exactOptional(),
  egress: z.boolean().exactOptional(),
  routes: z.array(route).max(ROUTES_MAX).exactOptional()
})

/** An order document. Its output is an `Order`, less the checks of the graph and of expressions. */
export const orderSchema = z.strictObject({
  apiVersion: z.literal('plantmesh/v1'),
  kind: z.literal('Machine'),
  metadata: z.strictObject({
    name: name.exactOptional(),
    labels: labels.prefault({})
  }).prefault({}),
  domain: domainName.prefault(DOMAIN_DEFAULT),
  hardware: z.strictObject({
    isa: z.string().regex(/^[A-Za-z0-9_-]{1,32}$/, 'an instruction set such as x86_64 or aarch64').exactOptional(),
    cpus: count(1, CPUS_MAX).prefault(CPUS_DEFAULT),
    memoryMiB: count(MEMORY_MIB_MIN, MEMORY_MIB_MAX).prefault(MEMORY_MIB_DEFAULT),
    diskMiB: count(1, DISK_MIB_MAX).prefault(DISK_MIB_DEFAULT)
  }).prefault({}),
  network: network.exactOptional(),
  networks: z.array(network).min(1).max(NETWORKS_MAX).exactOptional(),
  software: z.strictObject({
    os: z.string().regex(LONG_NAME, LONG_NAME_ALLOWED),
    channel: z.enum(['agent', 'iso']).prefault('agent'),
    actions: z.array(action).max(ACTIONS_MAX).prefault([])
  }),
  requirements: text(EXPRESSION_CHARS_MAX).prefault('true'),
  rank: text(EXPRESSION_CHARS_MAX).exactOptional()
})

function isMultiaddr (value: string): boolean {
  if (!value.startsWith('/')) return false
  try {
    multiaddr(value)
    return true
  } catch {
    return false // The problem says what is allowed; the library's own words add nothing.
  }
}

function isAddress (value: string): boolean {
  if (IPV4.test(value)) return true
  const [address, prefix, ...rest] = value.split('/')
  if (rest.length > 0 || (prefix !== undefined && !(/^\d{1,3}$/.test(prefix) && Number(prefix) <= 128))) return false
  return z.ipv6().safeParse(address).success
}
