/** Options of `plantmesh up`: from the command line, over those of a configuration file. */
import { readFile } from 'node:fs/promises'
import { parse } from 'yaml'
import { z } from 'zod'
import { PlantError } from '../../protocols/kit/index.ts'
import { COST_MODELS } from '../plant/cost/index.ts'

const whole = z.number().int().nonnegative()

/** What a plant offers; absent parts are taken from the host. */
export const capacitySchema = z.strictObject({ cpus: whole, memoryMiB: whole, diskMiB: whole, machines: whole, networks: whole }).partial()
export type CapacityOption = z.infer<typeof capacitySchema>

/** The configuration file of `--config` (YAML or JSON); the same names as the flags. */
export const configSchema = z.strictObject({
  data: z.string(),
  listen: z.array(z.string()),
  bootstrap: z.array(z.string()),
  capacity: capacitySchema,
  mesh: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, 'letters, digits, dot, dash and underscore; at most 63'),
  mdns: z.boolean(),
  site: z.string().max(63),
  costModel: z.enum(Object.keys(COST_MODELS) as [string, ...string[]]),
  collectOnExit: z.boolean()
}).partial()
export type PlantConfig = z.infer<typeof configSchema>

/** Each of the host's processors is offered this often: machines of a grid wait more than they compute. `--capacity cpus=` says otherwise. */
const CPU_SHARES = 4
/** What the host keeps of its memory and disk for itself, unless `--capacity` says otherwise. */
const HOST_KEEPS = 0.2
const MACHINES_DEFAULT = 32
/** VMPlants 3.4: four host-only networks a plant. */
const NETWORKS_DEFAULT = 4

/** What a plant offers: as configured, else by what the host has. */
export function hostCapacity (host: { cpus: number, memoryMiB: number, freeDiskMiB: number }, option: CapacityOption): Required<CapacityOption> {
  return {
    cpus: option.cpus ?? host.cpus * CPU_SHARES,
    memoryMiB: option.memoryMiB ?? Math.floor(host.memoryMiB * (1 - HOST_KEEPS)),
    diskMiB: option.diskMiB ?? Math.floor(host.freeDiskMiB * (1 - HOST_KEEPS)),
    machines: option.machines ?? MACHINES_DEFAULT,
    networks: option.networks ?? NETWORKS_DEFAULT
  }
}

/** Reads `cpus=2,memoryMiB=4096,…`; throws USAGE with what is allowed. */
export function parseCapacity (text: string): CapacityOption {
  const pairs = text.split(',').map((part) => part.split('='))
  const value = Object.fromEntries(pairs.map(([name, amount]) => [name, Number(amount)]))
  const parsed = capacitySchema.safeParse(value)
  if (parsed.success && pairs.every((pair) => pair.length === 2 && pair[1] !== '')) return parsed.data
  throw new PlantError('USAGE', { option: '--capacity', found: text, allowed: 'cpus=N,memoryMiB=N,diskMiB=N,machines=N,networks=N, each optional, whole numbers' })
}

export async function readConfig (path: string): Promise<PlantConfig> {
  let value: unknown
  try {
    value = parse(await readFile(path, 'utf8'), { maxAliasCount: 10 })
  } catch (cause) {
    throw new PlantError('CONFIG_INVALID', { file: path, problem: (cause as Error).message }, { cause })
  }
  return checkConfig(value ?? {}, path)
}

export function checkConfig (value: unknown, source: string): PlantConfig {
  const parsed = configSchema.safeParse(value)
  if (parsed.success) return parsed.data
  throw new PlantError('CONFIG_INVALID', { source, problems: parsed.error.issues.map((issue) => ({ path: issue.path.join('.'), message: issue.message })) })
}
