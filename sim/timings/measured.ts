/**
 * The `measured` set: this project's own production line (QEMU without KVM, golden machine `tiny`, 256 MiB) as `npm run bench -- create` and
 * the design notes have it. A clone is nearly all processor time (the VMM translates the guest's code anew), so that creations on
 * one host share its processors: one after 240 ms, eight at once on two processors after about a second.
 */
import type { Phase } from '../scenario/index.ts'
import type { Constant } from './paper-constants.ts'
import type { Step, VmTimings } from './steps.ts'
import { factor } from './vary.ts'

const constants = <K extends string>(all: Record<K, Constant>): Record<K, Constant> => all
const BENCH = 'npm run bench -- create, 2 processors, emulated'

/** Numbers of the `measured` set by name. */
export const MEASURED = constants({
  overlayMs: { value: 15, unit: 'ms', from: 'stated', source: 'directory, overlay and sockets of a machine; part of the 240 ms' },
  cloneCpuMs: { value: 225, unit: 'ms', from: 'stated', source: `clone to a command answered 240 ms (${BENCH}), less the overlay` },
  bootCpuMs: { value: 2_100, unit: 'ms', from: 'stated', source: `cold boot of the same guest 2.1 s (${BENCH})` },
  suspendMs: { value: 13, unit: 'ms', from: 'stated', source: 'suspend into a golden machine 7-13 ms' },
  identityCpuMs: { value: 119, unit: 'ms', from: 'stated', source: 'phase `identity` of the first machine in README.md' },
  actionCpuMs: { value: 116, unit: 'ms', from: 'stated', source: 'phase `configure` of the first machine in README.md: 232 ms for two actions' },
  cv: { value: 0.1, unit: 'share', from: 'fitted', source: 'spread of the bench from run to run' },
  destroyMs: { value: 60, unit: 'ms', from: 'fitted', source: 'quit, wait for the process, remove its directory' },
  adoptMs: { value: 20, unit: 'ms', from: 'fitted', source: 'QMP and agent attached again' }
})
export type MeasuredConstant = keyof typeof MEASURED

/** Timings of our own line. A full disk copy, where a scenario asks for one, reads and writes at 400 MB/s (not measured). */
export function measuredTimings (init: { clone: 'link' | 'copy', vary: boolean, constants: Record<MeasuredConstant, number> }): VmTimings {
  const c = init.constants
  const cv = init.vary ? c.cv : 0
  const cpu = (phase: Phase, ms: number): Step => ({ phase, on: 'cpu', ms })
  return {
    name: `measured (qemu${init.clone === 'copy' ? ', disks copied' : ''})`,
    store: undefined,
    clone: ({ diskMiB }, _fill, random) => [
      { phase: 'copy', on: 'time', ms: c.overlayMs * factor(cv, random) + (init.clone === 'copy' ? diskMiB * 2 ** 20 / 400_000 : 0) },
      cpu('resume', c.cloneCpuMs * factor(cv, random))
    ],
    resize: (_work, _fill, random) => [cpu('boot', c.bootCpuMs * factor(cv, random)), { phase: 'boot', on: 'time', ms: c.suspendMs }],
    identity: (_fill, random) => [cpu('identity', c.identityCpuMs * factor(cv, random))],
    action: (takesMs, _fill, random) => [cpu('actions', (takesMs ?? c.actionCpuMs) * factor(cv, random))],
    destroyMs: c.destroyMs,
    adoptMs: c.adoptMs
  }
}
