/** What goes wrong, and when. Drawn scenarios use the same faults as written ones. */
import { z } from 'zod'
import { GROUPS_MAX } from './constants.ts'
import { count, ms, name, share } from './fields.ts'

/** Who is meant: plants by name, or all of sites or groups. At least one. */
const target = z.strictObject({
  plants: z.array(name).max(100_000).prefault([]),
  sites: z.array(name).max(GROUPS_MAX).prefault([]),
  groups: z.array(name).max(GROUPS_MAX).prefault([])
}).refine(({ plants, sites, groups }) => plants.length + sites.length + groups.length > 0, 'at least one of plants, sites and groups')

const at = { atMs: ms }

/** A fault; `untilMs` is when it is over (a time since the start), absent for "until a `heal` or the end of the run". */
export const fault = z.discriminatedUnion('kind', [
  /** The plant's process dies: memory is lost, disk and machines (their VMMs) stay. */
  z.strictObject({ kind: z.literal('crash'), ...at, target, restartAfterMs: ms.exactOptional() }),
  /** The plant's process is started again; nothing happens to one that runs. */
  z.strictObject({ kind: z.literal('restart'), ...at, target }),
  /** The host dies: as `crash`, and its machines die too. With `diskLost` its records and golden machines are gone as well. */
  z.strictObject({ kind: z.literal('hostDown'), ...at, target, diskLost: z.boolean().prefault(false), restartAfterMs: ms.exactOptional() }),
  /** All hosts of a site go down, power and all. */
  z.strictObject({ kind: z.literal('siteOutage'), ...at, site: name, restartAfterMs: ms.exactOptional() }),
  /** No message passes between the two sides; `oneWay`: none from `from` to `to`, the other direction works. Streams break. */
  z.strictObject({ kind: z.literal('partition'), ...at, from: target, to: target, oneWay: z.boolean().prefault(false), untilMs: ms.exactOptional() }),
  /** Links between the two sides get this much worse. */
  z.strictObject({ kind: z.literal('slowLink'), ...at, from: target, to: target, latencyTimes: z.number().min(1).max(1e6).prefault(1), addLatencyMs: ms.prefault(0), lossShare: share.prefault(0), bandwidthShare: z.number().gt(0).max(1).prefault(1), untilMs: ms.exactOptional() }),
  /** Partitions and slow links end. */
  z.strictObject({ kind: z.literal('heal'), ...at }),
  /** From now on the clock runs so much faster (millionths); both wall and monotonic time. */
  z.strictObject({ kind: z.literal('clockDrift'), ...at, target, driftPpm: z.number().min(-100_000).max(100_000) }),
  /** The wall clock jumps; monotonic time does not. */
  z.strictObject({ kind: z.literal('clockStep'), ...at, target, byMs: z.number().min(-86_400_000 * 365).max(86_400_000 * 365) }),
  /** Writes fail with DISK_FULL until `untilMs`. */
  z.strictObject({ kind: z.literal('diskFull'), ...at, target, untilMs: ms.exactOptional() }),
  /** So many of the target's running machines die (their VMM ends). */
  z.strictObject({ kind: z.literal('machineDeath'), ...at, target, count: count(1, 1_000_000).prefault(1) }),
  /** Plants that lie in adverts (say they have room) or never answer. */
  z.strictObject({ kind: z.literal('liar'), ...at, target, about: z.enum(['capacity', 'silence']), untilMs: ms.exactOptional() })
])

export type FaultTarget = z.output<typeof target>
export type Fault = z.output<typeof fault>
