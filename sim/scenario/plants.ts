/** Who takes part: sites, plants, golden machines, links between them, and how long their VMMs take. */
import { z } from 'zod'
import { GOLDENS_MAX, GROUPS_MAX, LINKS_MAX, PLANTS_MAX, SITES_MAX } from './constants.ts'
import { count, mbit, ms, name, share } from './fields.ts'

/** What the plants of a group offer; the same numbers as the daemon's `--capacity`. */
const capacity = z.strictObject({
  cpus: count(0, 2 ** 20).prefault(8),
  memoryMiB: count(0, 2 ** 32).prefault(1_536),
  diskMiB: count(0, 2 ** 32).prefault(18_432),
  /** VMPlants 3.4: 32 machines and 4 host-only networks a plant. */
  machines: count(0, 2 ** 20).prefault(32),
  networks: count(0, 2 ** 20).prefault(4)
})

/** What the plants' hosts are: the timings look at it. The paper's: dual Pentium-4, 1.5 GB (VMPlants 4.2). */
const host = z.strictObject({
  cpus: count(1, 4_096).prefault(2),
  memoryMiB: count(64, 2 ** 32).prefault(1_536)
})

/** How a plant's wall clock differs from true time. */
const clock = z.strictObject({
  /** Ahead of true time at the start; negative is behind. */
  offsetMs: z.number().min(-86_400_000).max(86_400_000).prefault(0),
  /** How much faster it runs, in millionths; both wall and monotonic time of that plant drift. Quartz is within 100. */
  driftPpm: z.number().min(-100_000).max(100_000).prefault(0)
})

/** Plants alike: `name-1` … `name-<count>`; a group of one is `name` alone. */
export const plantGroup = z.strictObject({
  name: name.prefault('plant'),
  count: count(1, PLANTS_MAX).prefault(1),
  site: name.prefault('site'),
  capacity: capacity.prefault({}),
  host: host.prefault({}),
  clock: clock.prefault({}),
  /** Names of the golden machines on their shelves; all by default. */
  golden: z.array(name).max(GOLDENS_MAX).exactOptional(),
  /** Plants of the group take orders from clients (act as shops); all do by default. */
  shop: z.boolean().prefault(true)
})

/** A golden machine. Its digest, files and fingerprint are made up from this by the world. */
export const golden = z.strictObject({
  name,
  /** Operating system family that orders ask for; the name by default. */
  os: name.exactOptional(),
  cpus: count(1, 1_024).prefault(1),
  memoryMiB: count(8, 4 * 1024 * 1024).prefault(256),
  diskMiB: count(1, 64 * 1024 * 1024).prefault(2_048),
  /** Actions that were performed on it, in this order; orders that ask for them skip them. */
  actionsDone: z.array(name).max(500).prefault([])
})

/** A link's properties; one way. */
const linkFields = {
  /** One way. */
  latencyMs: ms.prefault(0.2),
  /** Each message takes up to so much longer, drawn evenly. */
  jitterMs: ms.prefault(0),
  /** Chance that a connection breaks while a message is on its way (streams) or that a gossip message is lost. */
  lossShare: share.prefault(0),
  bandwidthMbit: mbit.prefault(1_000)
}
/** A link from one plant to another. */
export const linkSchema = z.strictObject(linkFields)

/** Links: `default`, then `within` a site, then the last of `between` that names both sites of a pair. */
export const links = z.strictObject({
  default: linkSchema.prefault({ latencyMs: 20, bandwidthMbit: 100 }),
  /** Between plants of one site. */
  within: linkSchema.prefault({}),
  between: z.array(z.strictObject({ from: name, to: name, oneWay: z.boolean().prefault(false), ...linkFields })).max(LINKS_MAX).prefault([])
})

/** Places under one administration; those that plants and links name and that are not listed are a mistake. */
export const sites = z.array(z.strictObject({ name })).max(SITES_MAX)
/** All plants, group by group; the order of groups is the order of plants. */
export const plants = z.array(plantGroup).min(1).max(GROUPS_MAX)
/** What there is to clone. */
export const goldens = z.array(golden).min(1).max(GOLDENS_MAX)

/** Which set of VMM timings, and with what line. `sim/timings` makes durations of it. */
export const timings = z.strictObject({
  /** `paper`: VMPlants' machines. `measured`: our own bench. `none`: everything takes 1 ms, for runs that look at other things. */
  set: z.enum(['paper', 'measured', 'none']).prefault('measured'),
  /** Paper: `vmware` resumes from suspend, `uml` boots (VMPlants), `xen` starts on an incremental image (SO-MVDS). Measured: `qemu`. The first by default. */
  line: z.enum(['vmware', 'uml', 'xen', 'qemu']).exactOptional(),
  /** `link`: copy-on-write (the default); `copy`: the golden machine's whole disk is copied (VMPlants 4.3). */
  clone: z.enum(['link', 'copy']).prefault('link'),
  /** Durations vary by chance; false gives each its mean. */
  vary: z.boolean().prefault(true),
  /** Chance that a clone fails to start. The paper lost 7 of 128 at 32 MB and 4 of 128 at 64 MB, without saying why. */
  failureShare: share.prefault(0),
  /** Numbers of the set by name, to ask "what if"; `sim/timings/README.md` lists them. */
  constants: z.record(z.string().max(64), z.number().min(0).max(1e12)).prefault({})
})

export type PlantGroup = z.output<typeof plantGroup>
export type GoldenSpec = z.output<typeof golden>
export type LinkSpec = z.output<typeof linkSchema>
export type LinksSpec = z.output<typeof links>
export type TimingsSpec = z.output<typeof timings>
