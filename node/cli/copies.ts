/**
 * Which copy of each machine of a topology is asked for: the one that there is, or else the one after the last that ended, so that a topology may be collected,
 * or have failed in part, and be made again under the same order id.
 */
import type { VmId } from '../../protocols/kit/index.ts'
import type { MachineView } from '../../protocols/machine/index.ts'

/** Copies that are looked at before the rest of what is listed is taken for somebody else's. */
const COPIES_MAX = 1_000

/** By document. `idOf` says a machine's VMID; `listed` are the machines of the order that are known, ended ones too. */
export function copiesToAskFor (idOf: (documentIndex: number, copyIndex: number) => VmId, documents: number, listed: ReadonlyArray<Pick<MachineView, 'vmid' | 'state'>>): number[] {
  const states = new Map(listed.map(({ vmid, state }) => [vmid, state]))
  const chosen = Array.from({ length: documents }, () => ({ copyIndex: 0, lives: false }))
  for (let copyIndex = 0; states.size > 0 && copyIndex < COPIES_MAX; copyIndex++) {
    for (const [documentIndex, best] of chosen.entries()) {
      const vmId = idOf(documentIndex, copyIndex)
      const state = states.get(vmId)
      if (state === undefined) continue
      states.delete(vmId)
      const ended = state === 'failed' || state === 'collected'
      if (!ended) chosen[documentIndex] = { copyIndex, lives: true }
      else if (!best.lives) chosen[documentIndex] = { copyIndex: copyIndex + 1, lives: false }
    }
  }
  return chosen.map(({ copyIndex }) => copyIndex)
}
