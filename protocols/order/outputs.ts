/** What actions may say: outputs become attributes of the classad (CONTRACT.md, Orders), beside those that the plant itself sets. */
import { OUTPUT_CHARS_MAX, OUTPUTS_MAX } from './constants.ts'

/** Attributes of the machine's ad that the plant sets; ClassAd names do not regard case, so neither does this. */
export const RESERVED_OUTPUT_NAMES: readonly string[] = [
  'VMID', 'Name', 'Owner', 'Domain', 'DomainKey', 'Plant', 'State', 'Isa', 'Cpus', 'MemoryMiB', 'DiskMiB', 'Mac', 'Network', 'Networks', 'Address', 'HostName', 'HostKey', 'OverlayBytes', 'PrivateMemoryBytes',
  // Words of the language itself, and what matching reads.
  'true', 'false', 'undefined', 'error', 'is', 'isnt', 'my', 'target', 'other', 'parent', 'self', 'toplevel', 'Requirements', 'Rank', 'MyType', 'TargetType'
]

const RESERVED = new Set(RESERVED_OUTPUT_NAMES.map((name) => name.toLowerCase()))

/** Parameters must not replace what the plant hands to every script. */
export const RESERVED_PARAMETERS_ALLOWED = 'a name that does not begin with PLANT_'

/** Whether a parameter's name is one of the plant's own. */
export function isReservedParameter (name: string): boolean {
  return name.startsWith('PLANT_')
}

/** True for a name that an action may give an output: a ClassAd attribute name that the plant does not set itself. */
export function isOutputName (name: string): boolean {
  return /^[A-Za-z_][A-Za-z0-9_]{0,126}$/.test(name) && !RESERVED.has(name.toLowerCase())
}

/** Outputs that were left out: how many, and of the first of them which and why. Their names are data from a guest. */
export interface DroppedOutputs { count: number, some: string[] }

/** Reasons that are told; the rest is counted. */
export const DROPPED_TOLD_MAX = 8
const NAME_TOLD_CHARS_MAX = 64

/**
 * Gathers outputs in the order in which they come. Kept are names that an action may give (a guest cannot change its own VMID or owner this
 * way), values of Unicode that are not too long, and at most OUTPUTS_MAX; whatever is not kept is counted. Of one name the last counts.
 * ClassAd names do not regard case: of names that differ only in it the last counts too, and the other is told of.
 */
export class Outputs {
  readonly #kept = new Map<string, [name: string, value: string]>()
  readonly #some: string[] = []
  #count = 0

  get kept (): Record<string, string> { return Object.fromEntries(this.#kept.values()) }
  get dropped (): DroppedOutputs { return { count: this.#count, some: [...this.#some] } }

  put (name: string, value: string): void {
    const key = name.toLowerCase()
    const before = this.#kept.get(key)
    if (!isOutputName(name)) this.drop(name, RESERVED.has(key) ? 'the name is the plant\'s' : 'not the name of an attribute')
    else if (value.length > OUTPUT_CHARS_MAX) this.drop(name, `${value.length} characters; at most ${OUTPUT_CHARS_MAX}`)
    else if (!value.isWellFormed()) this.drop(name, 'not Unicode')
    else if (before === undefined && this.#kept.size >= OUTPUTS_MAX) this.drop(name, `more than ${OUTPUTS_MAX} outputs`)
    else {
      if (before !== undefined && before[0] !== name) this.drop(before[0], `the same name as ${name}, which came later`)
      this.#kept.set(key, [name, value])
    }
  }

  /** Takes over what was gathered elsewhere. */
  add (outputs: Readonly<Record<string, string>>, dropped: DroppedOutputs = { count: 0, some: [] }): void {
    this.#count += dropped.count
    this.#some.push(...dropped.some.slice(0, DROPPED_TOLD_MAX - this.#some.length))
    for (const [name, value] of Object.entries(outputs)) this.put(name, value)
  }

  drop (name: string, why: string): void {
    this.#count++
    if (this.#some.length < DROPPED_TOLD_MAX) this.#some.push(`${name.slice(0, NAME_TOLD_CHARS_MAX).toWellFormed()}: ${why}`)
  }
}
