/**
 * The life of a machine on its plant.
 *
 *   creating ──made──> running ──suspend──> suspended ──resume──> running
 *      │                 │ └──migrate──> migrating ──arrived──> collected (here), or ──rolledBack──> running
 *      └──fail──> failed <──fail──┘
 *   any ──collect──> collected
 *
 * One function writes the state; an illegal move is a bug and is asserted. Requests that come late or twice never get here: the table in
 * protocols/machine/core.ts refuses them.
 */
import { PlantError } from '../../protocols/kit/index.ts'
import type { MachineRecord, MachineState } from '../../storage/records/records.ts'

export type Transition = 'made' | 'fail' | 'collect' | 'suspend' | 'resume' | 'migrate' | 'arrived' | 'rolledBack'

const MOVES: Record<Transition, { from: readonly MachineState[], to: MachineState }> = {
  made: { from: ['creating'], to: 'running' },
  fail: { from: ['creating', 'running', 'suspended', 'migrating'], to: 'failed' },
  collect: { from: ['creating', 'running', 'suspended', 'migrating', 'failed'], to: 'collected' },
  suspend: { from: ['running'], to: 'suspended' },
  resume: { from: ['suspended'], to: 'running' },
  migrate: { from: ['running'], to: 'migrating' },
  arrived: { from: ['migrating'], to: 'collected' },
  rolledBack: { from: ['migrating'], to: 'running' }
}

/** Whether a machine in this state can make this transition. */
export function mayMove (state: MachineState, transition: Transition): boolean {
  return MOVES[transition].from.includes(state)
}

/** The record after a transition. */
export function move (record: MachineRecord, transition: Transition, nowMs: number, changes: Partial<MachineRecord> = {}): MachineRecord {
  if (!mayMove(record.state, transition)) {
    throw new PlantError('INTERNAL', { problem: 'illegal transition', transition, state: record.state, vmId: record.vmId })
  }
  return { ...record, ...changes, state: MOVES[transition].to, changedAtMs: nowMs }
}

/** States in which a machine exists and holds capacity. */
export const LIVE_STATES: MachineState[] = ['creating', 'running', 'suspended', 'migrating']

/** Whether a machine in this state holds capacity. */
export function holdsCapacity (state: MachineState): boolean {
  return LIVE_STATES.includes(state)
}
