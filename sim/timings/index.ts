/** How long VMMs take, by set (`timings` of a scenario): mechanisms with sourced numbers, no tables of answers. Pure. */
import type { TimingsSpec } from '../scenario/index.ts'
import { MEASURED, measuredTimings } from './measured.ts'
import { PAPER, type Constant } from './paper-constants.ts'
import { paperTimings } from './paper.ts'
import type { VmTimings } from './steps.ts'

export { FairShare } from './fair-share.ts'
export { MEASURED } from './measured.ts'
export { PAPER, type Constant } from './paper-constants.ts'
export { runSteps, type StepWorld } from './run-steps.ts'
export type { CloneWork, HostFill, Step, StoreRates, VmTimings } from './steps.ts'

/** The numbers of a set that a scenario may change, with their sources. */
export function constantsOf (set: TimingsSpec['set']): Record<string, Constant> {
  return set === 'paper' ? PAPER : set === 'measured' ? MEASURED : {}
}

/** The timings that a scenario asks for. Constants that the set does not have were refused when the scenario was read. */
export function vmTimings (spec: TimingsSpec): VmTimings {
  const { clone, vary } = spec
  switch (spec.set) {
    case 'paper': return paperTimings({ line: spec.line === 'uml' || spec.line === 'xen' ? spec.line : 'vmware', clone, vary, constants: valuesOf(PAPER, spec.constants) })
    case 'measured': return measuredTimings({ clone, vary, constants: valuesOf(MEASURED, spec.constants) })
    case 'none': return NONE
  }
}

/** A millisecond for everything, for runs that look at something else. */
const NONE: VmTimings = {
  name: 'none (1 ms a step)',
  store: undefined,
  clone: () => [{ phase: 'resume', on: 'time', ms: 1 }],
  resize: () => [{ phase: 'boot', on: 'time', ms: 1 }],
  identity: () => [{ phase: 'identity', on: 'time', ms: 1 }],
  action: (takesMs) => [{ phase: 'actions', on: 'time', ms: takesMs ?? 1 }],
  destroyMs: 1,
  adoptMs: 1
}

function valuesOf<K extends string> (of: Record<K, Constant>, changed: Record<string, number>): Record<K, number> {
  return Object.fromEntries(Object.entries<Constant>(of).map(([name, { value }]) => [name, changed[name] ?? value])) as Record<K, number>
}
