/**
 * Who may ask what of a machine in which state. Pure: the plant (and the simulator's) asks before it does anything.
 *
 *   creating ──> running <──> suspended        failed, collected: ends; a failed machine can still be collected
 *       │           │  └────> migrating
 *       └──> failed <┘
 */
import type { MachineStateName } from './messages.ts'

/** The calls that name a machine. */
export type MachineCallKind = 'query' | 'exec' | 'console' | 'publish' | 'collect'

const TAKEN_IN: Record<MachineCallKind, readonly MachineStateName[]> = {
  query: ['creating', 'running', 'suspended', 'migrating', 'failed', 'collected'],
  exec: ['running'],
  // The console is how one sees why a machine that is being made does not answer.
  console: ['creating', 'running'],
  publish: ['running'],
  collect: ['creating', 'running', 'suspended', 'migrating', 'failed', 'collected']
}

export interface CallSubject { state: MachineStateName, allowed: boolean }

export type CallVerdict =
  | { taken: true }
  | { taken: false, code: 'VM_UNKNOWN' | 'NOT_AUTHORISED' | 'VM_STATE', details: Record<string, unknown> }

/** Judges a call. `subject` is undefined where this plant has no such machine. A stranger learns nothing of its state. */
export function judgeCall (kind: MachineCallKind, subject: CallSubject | undefined): CallVerdict {
  if (subject === undefined) return { taken: false, code: 'VM_UNKNOWN', details: {} }
  if (!subject.allowed) return { taken: false, code: 'NOT_AUTHORISED', details: { call: kind } }
  if (!TAKEN_IN[kind].includes(subject.state)) {
    return { taken: false, code: 'VM_STATE', details: { call: kind, state: subject.state, allowedIn: TAKEN_IN[kind].join(', ') } }
  }
  return { taken: true }
}
