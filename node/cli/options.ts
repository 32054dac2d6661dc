/** Options of `plantmesh up`: from the command line, over those of a configuration file. */
import { readFile } from 'node:fs/promises'
import { parse } from 'yaml'
import { z } from 'zod'
import { PlantError } from '../../protocols/kit/index.ts'
import { multiaddr } from '@multiformats/multiaddr'
import { DOMAIN_CHARS_MAX } from '../../protocols/member/index.ts'
import { parseCidr } from '../../protocols/tunnel/address/index.ts'
import { COST_MODELS } from '../plant/cost/index.ts'

const address = z.string().refine((text) => {
  try {
    return multiaddr(text).getComponents().length > 0
  } catch {
    return false
  }
}, 'a multiaddr, such as /ip4/0.0.0.0/tcp/4001')

/** As for any amount of `--capacity`. */
const SPARE_MEMORY_MIB_MAX = 2 ** 32

/** Domains that a plant is told to serve: a list that somebody writes. */
const DOMAINS_SERVED_MAX = 10_000

const whole = z.number().int().nonnegative()

/** A cap on golden machines' bytes to or from other plants, in Mbit/s. */
const mbitPerS = z.number().min(0.1, 'at least 0.1 Mbit/s').max(1_000_000)

/** From 3.6 s, for trying it out, to a hundred years. */
const hours = z.number().min(0.001, 'at least 0.001 hours').max(876_000)
/** Copies of everything beyond that are a mistake. */
const COPIES_ASKED_MAX = 100
/** Where a port is opened: `HOST:PORT`, an IPv6 address in brackets. */
const HOST_PORT = /^(?:\[([0-9A-Fa-f:.]{2,45})\]|([A-Za-z0-9](?:[A-Za-z0-9.-]{0,252})?)):([0-9]{1,5})$/
const hostPort = z.string().refine((text) => Number(HOST_PORT.exec(text)?.[3] ?? Infinity) <= 65_535, 'HOST:PORT, such as 0.0.0.0:6881 or [::]:6881')

const range = z.string().refine((text) => parseCidr(text.includes('/') ? text : `${text}/32`) !== undefined, 'an IPv4 range such as 192.0.2.0/24')

/** The parts of a checked `HOST:PORT`. */
export function partsOfHostPort (text: string): { host: string, port: number } {
  const [, v6, host = v6 ?? '', port] = HOST_PORT.exec(text) ?? []
  return { host, port: Number(port) }
}

/** What a plant offers; absent parts are taken from the host. */
const amount = whole.exactOptional()
/** Amounts of `capacity:` in a configuration file; absent ones are the host's. */
export const capacitySchema = z.strictObject({ cpus: amount, memoryMiB: amount, diskMiB: amount, machines: amount, networks: amount })

/** The configuration file of `--config` (YAML or JSON); the same names as the flags. */
export const configSchema = z.strictObject({
  data: z.string(),
  listen: z.array(address),
  bootstrap: z.array(address),
  capacity: capacitySchema,
  mesh: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, 'letters, digits, dot, dash and underscore; at most 63'),
  mdns: z.boolean(),
  site: z.string().max(63),
  gateway: z.boolean(),
  inside: z.array(z.string().max(64)).min(1),
  behind: address,
  announce: z.array(address),
  costModel: z.enum(COST_MODELS),
  uploadMax: mbitPerS,
  downloadMax: mbitPerS,
  copies: z.number().int().min(1).max(COPIES_ASKED_MAX),
  copiesDisk: whole.max(2 ** 30),
  coolDown: hours,
  disposeAfter: hours,
  bittorrent: hostPort,
  spareMemory: whole.max(SPARE_MEMORY_MIB_MAX),
  serve: z.array(z.string().min(1).max(DOMAIN_CHARS_MAX)).min(1).max(DOMAINS_SERVED_MAX),
  egress: z.union([z.boolean(), z.array(range).min(1)]),
  collectOnExit: z.boolean()
}).partial()
export type PlantConfig = z.infer<typeof configSchema>

/** Reads a configuration file; throws CONFIG_INVALID with the file and what is wrong with it. */
export async function readConfig (path: string): Promise<PlantConfig> {
  let value: unknown
  try {
    value = parse(await readFile(path, 'utf8'), { maxAliasCount: 10 })
  } catch (cause) {
    throw new PlantError('CONFIG_INVALID', { file: path, problem: (cause as Error).message }, { cause })
  }
  return checkConfig(value ?? {}, path)
}

/** Checks options from any source; throws CONFIG_INVALID with each field that is wrong. */
export function checkConfig (value: unknown, source: string): PlantConfig {
  const parsed = configSchema.safeParse(value)
  if (parsed.success) return parsed.data
  throw new PlantError('CONFIG_INVALID', { source, problems: parsed.error.issues.map((issue) => ({ path: issue.path.join('.'), message: issue.message })) })
}
