/** What actions may say: outputs become attributes of the classad (CONTRACT.md, Orders), beside those that the plant itself sets. */
import { OUTPUT_CHARS_MAX, OUTPUTS_MAX } from './constants.ts'

/** Attributes of the machine's ad that the plant sets; ClassAd names do not regard case, so neither does this. */
export const RESERVED_OUTPUT_NAMES: readonly string[] = [
  'VMID', 'Name', 'Owner', 'Domain', 'Plant', 'State', 'Isa', 'Cpus', 'MemoryMiB', 'DiskMiB', 'Mac', 'Address', 'HostName', 'HostKey', 'OverlayBytes', 'PrivateMemoryBytes',
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

/**
 * Splits what an action left into outputs that are kept and names that are refused: reserved or malformed names, values that are too long
 * or not Unicode, more than OUTPUTS_MAX. A guest cannot change its own VMID or owner this way. The refused are data for the log.
 */
export function sortOutputs (outputs: Readonly<Record<string, string>>): { kept: Record<string, string>, refused: string[] } {
  const kept: Record<string, string> = {}
  const refused: string[] = []
  let count = 0
  for (const [name, value] of Object.entries(outputs)) {
    if (isOutputName(name) && value.length <= OUTPUT_CHARS_MAX && value.isWellFormed() && count < OUTPUTS_MAX) {
      kept[name] = value
      count++
    } else if (refused.length < OUTPUTS_MAX) refused.push(name)
  }
  return { kept, refused }
}
