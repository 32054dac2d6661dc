/** Machines that are made before they are ordered, composed where the plant has memory for them. */
import { Spares, type SparesComponents } from '../plant/spares/spares.ts'

/** Not started yet; empty without a budget, so that whoever takes spares goes without. */
export function composeSpares (init: { spareMemoryMiB?: number, cpus: number }, { clock, random, log, line, warehouse, ledger, creating }: SparesComponents): { spares?: Spares } {
  const memoryMiB = init.spareMemoryMiB ?? 0
  return memoryMiB > 0 ? { spares: new Spares({ clock, random, log, line, warehouse, ledger, creating }, { memoryMiB, cpus: init.cpus }) } : {}
}
