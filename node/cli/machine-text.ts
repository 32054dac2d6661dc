/** Machines as text for people. */
import type { MachineView } from '../../protocols/machine/index.ts'
import { PHASE_SHARES } from '../plant/phases.ts'
import { printable, table } from './output.ts'

/** A machine in full: what create and query show. */
export function machineText (machine: MachineView): string {
  const lines = [`${printable(machine.name === '' ? machine.vmid : machine.name)}  ${machine.state}${machine.provisional === true ? ' (provisional)' : ''}`, `  VMID    ${machine.vmid}`, `  plant   ${machine.plant}`, `  order   ${printable(machine.orderId)}  domain ${printable(machine.domain)}`]
  if (machine.golden !== undefined) {
    const { actionsDone, actionsRun, actionsMended = [] } = machine.golden
    lines.push(`  golden  ${printable(goldenName(machine.golden))}: ${actionsDone.length} actions were done, ${actionsRun.length} ran${actionsRun.length > 0 ? ` (${printable(actionsRun.join(', '))})` : ''}${mendedText(actionsMended)}`)
  }
  if (machine.error !== undefined) lines.push(`  error   ${machine.error.message} (${machine.error.code}) ${printable(JSON.stringify(machine.error.details))}`)
  lines.push('  classad', ...printable(machine.classad).split('\n').map((line) => `    ${line}`))
  lines.push(...droppedLines(machine.outputsDropped))
  const phases = phasesText(machine.phasesMs)
  if (phases !== '') lines.push('  time', phases)
  return lines.join('\n')
}

/** The golden machine that was taken, with its version where that is known. */
export function goldenName ({ name, version }: NonNullable<MachineView['golden']>): string { return version === undefined ? name : `${name}@${version}` }

/** Which actions failed and were mended by their error sub-graphs; nothing when none did. */
export function mendedText (actionsMended: readonly string[]): string {
  return actionsMended.length === 0 ? '' : `, mended by their error sub-graphs: ${printable(actionsMended.join(', '))}`
}

/** What of the actions' outputs was left out, and why. */
export function droppedLines (dropped: MachineView['outputsDropped']): string[] {
  if (dropped === undefined) return []
  return [`  outputs left out: ${dropped.count}`, ...dropped.some.map((one) => `    ${printable(one)}`), ...(dropped.count > dropped.some.length ? ['    …'] : [])]
}

/** Where the time went, a line a phase with its share. */
export function phasesText (phasesMs: Record<string, number>): string {
  const { total, ...phases } = phasesMs
  const sum = total ?? Object.values(phases).reduce((a, b) => a + b, 0)
  const known = Object.keys(PHASE_SHARES)
  const at = (phase: string): number => known.indexOf(phase) // The wire does not keep the order; `bid` comes before all that the plant does.
  const rows = Object.entries(phases).sort(([a], [b]) => at(a) - at(b)).map(([phase, ms]) => [`    ${phase}`, `${Math.round(ms)} ms`, `${'#'.repeat(Math.round(30 * ms / Math.max(sum, 1)))}`])
  if (total !== undefined) rows.push(['    total', `${Math.round(total)} ms`, ''])
  return rows.length === 0 ? '' : table(rows)
}

/** A line a machine. */
export function machinesTable (machines: MachineView[]): string {
  if (machines.length === 0) return 'no machines'
  return table([['VMID', 'NAME', 'STATE', 'DOMAIN', 'PLANT', 'MEMORY'], ...machines.map((m) =>
    [m.vmid, printable(m.name), m.state, printable(m.domain), m.plant.slice(-8), `${String(m.attributes['MemoryMiB'] ?? '?')} MiB`])])
}
