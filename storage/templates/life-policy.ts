/** How many copies of templates a mesh keeps and for how long: what a plant's owner may set, and what follows from it. */

export interface LifePolicy {
  /** Copies that everything is to have, however seldom it is used. */
  copiesMin: number
  /** One copy for each so many uses an hour, in all the mesh. */
  usesPerCopy: number
  /** A copy that was not used here for so long may go when others have enough. */
  coolDownMs: number
  /** What nobody used for so long, pinned, labelled or made anything from goes with all its copies; undefined: never. */
  disposeAfterMs?: number | undefined
  /** Disk that copies of others' golden machines may take before this plant takes no more ahead of use; 0: it never does. */
  copyBytesMax: number
}

/** Two copies outlive the loss of one host; a copy for 4 uses an hour has a holder make one machine in a quarter of an hour. */
export const LIFE_DEFAULTS: LifePolicy = { copiesMin: 2, usesPerCopy: 4, coolDownMs: 24 * 3_600_000, copyBytesMax: 10 * 2 ** 30 }

/** Of one plant's word so many uses an hour count: one that lies is worth ten copies, not a copy at every plant. */
export const USES_COUNTED_MAX = 40
/** Room that copies ahead of use leave on the disk. */
export const DISK_KEPT_FREE_BYTES = 2 * 2 ** 30

/** Plants come and go: a want or a surplus must last this long before anything is done about it. Five minutes by default. */
export function holdOffMs ({ coolDownMs }: Pick<LifePolicy, 'coolDownMs'>): number { return Math.min(300_000, coolDownMs / 12) }

/** A plant that has just started, perhaps after months, may not have heard of uses, pins and labels yet: it watches what is due for disposal for so long first. */
export function disposalHoldMs ({ disposeAfterMs = 0 }: Pick<LifePolicy, 'disposeAfterMs'>): number { return Math.min(disposeAfterMs, 3_600_000) }

/** How often a plant looks: half a minute by default. */
export function lookEveryMs (policy: Pick<LifePolicy, 'coolDownMs'>): number { return Math.max(200, holdOffMs(policy) / 10) }

/** Copies that a template is to have among so many plants. */
export function targetOf (usesPerHour: number, plants: number, { copiesMin, usesPerCopy }: Pick<LifePolicy, 'copiesMin' | 'usesPerCopy'>): number {
  return Math.max(1, Math.min(plants, Math.max(copiesMin, Math.ceil(usesPerHour / usesPerCopy))))
}
