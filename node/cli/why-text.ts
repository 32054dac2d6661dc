/** How an order was decided, for people: `plantmesh why`. */
import { printable, table } from './output.ts'
import type { MachineView } from '../../protocols/machine/index.ts'
import { droppedLines, goldenName, mendedText, phasesText } from './machine-text.ts'

interface Decision {
  orderId?: string
  vmid?: string
  attempts?: Attempt[]
}
interface Attempt { vmid?: string, outcome?: string, provisional?: boolean, decision?: AuctionRecord, machine?: Partial<Pick<MachineView, 'plant' | 'state' | 'golden' | 'outputsDropped' | 'phasesMs' | 'error'>> }
/** As much of `Decision` (protocols/bid) as is shown. */
interface AuctionRecord {
  candidates?: Array<{ plant: string, why: string }>
  answers?: Array<{ plant: string, via?: string, kind: string, problem?: string, bid?: { total: number, rank?: number, items: Array<{ item: string, cost: number, why: string }> }, refusal?: { reasons: Reason[], smallestChange: unknown[] } }>
  attempts?: Array<{ plant: string, via?: string, outcome?: string, fromMs: number, toMs?: number }>
}
interface Reason { code: string, clause: string, have?: unknown, need?: unknown, smallestChange?: ChangeTold, alternatives?: ChangeTold[][] }
interface ChangeTold { attribute: string, from: unknown, to: unknown }

/** Renders what the API answers; a field that is not there is left out. */
export function whyText (value: Record<string, unknown>): string {
  const decision = value as Decision
  const lines = [`order ${printable(String(decision.orderId ?? ''))}`]
  for (const attempt of decision.attempts ?? []) lines.push(...attemptLines(attempt))
  return lines.join('\n')
}

function attemptLines (attempt: Attempt): string[] {
  const lines = ['', `machine ${attempt.vmid ?? ''}: ${printable(attempt.outcome ?? '')}${attempt.provisional === true ? ' (provisional)' : ''}`]
  const { candidates = [], answers = [], attempts = [] } = attempt.decision ?? {}
  if (candidates.length > 0) lines.push(`  asked ${candidates.length} ${candidates.length === 1 ? 'plant' : 'plants'}: ${candidates.map((c) => `${c.plant.slice(-8)} (${printable(c.why)})`).join(', ')}`)
  for (const { plant, via, kind, bid, refusal, problem } of answers) {
    if (bid !== undefined) {
      lines.push(`  bid of ${plant.slice(-8)}${through(via)}: ${round(bid.total)}${bid.rank === undefined ? '' : `, rank ${bid.rank}`}`)
      if (bid.items.length > 0) lines.push(table(bid.items.map((i) => [`    ${printable(i.item)}`, String(round(i.cost)), printable(i.why)])))
    } else if (refusal !== undefined) lines.push(`  ${plant.slice(-8)}${through(via)} refused`, ...refusal.reasons.map(reasonText))
    else lines.push(`  ${plant.slice(-8)}${through(via)}: ${kind === 'none' ? `no answer${problem === undefined ? '' : ` (${problem})`}` : kind}`)
  }
  for (const { plant, via, outcome, fromMs, toMs } of attempts) lines.push(`  award to ${plant.slice(-8)}${through(via)}: ${printable(outcome ?? 'under way')}${toMs === undefined ? '' : ` in ${round(toMs - fromMs)} ms`}`)
  const golden = attempt.machine?.golden
  if (golden !== undefined) lines.push(`  plan: golden machine ${printable(goldenName(golden))}, ${golden.actionsDone.length} actions done already, ran ${golden.actionsRun.length === 0 ? 'none' : printable(golden.actionsRun.join(', '))}${mendedText(golden.actionsMended ?? [])}`)
  lines.push(...droppedLines(attempt.machine?.outputsDropped))
  if (attempt.machine?.error !== undefined) lines.push(...errorLines(attempt.machine.error))
  if (attempt.machine?.phasesMs !== undefined) lines.push('  time', phasesText(attempt.machine.phasesMs))
  return lines
}

/** Why the machine failed: the code, what is known of it in short, and the end of what its action printed. */
function errorLines ({ code, message, details }: NonNullable<MachineView['error']>): string[] {
  const { output, errorGraph, ...known } = details
  const facts = Object.entries(known).filter(([, value]) => ['string', 'number', 'boolean'].includes(typeof value)).map(([name, value]) => `${name}: ${String(value)}`)
  const tail = typeof output === 'string' ? output.trimEnd().split('\n').slice(-OUTPUT_LINES_SHOWN) : []
  const below = isReport(errorGraph) ? ['  and in its error sub-graph', ...errorLines(errorGraph)] : []
  return [printable(`  failed  ${code}: ${message}${facts.length === 0 ? '' : ` (${facts.join(', ')})`}`), ...tail.map((line) => printable(`    | ${line}`)), ...below]
}

function isReport (value: unknown): value is NonNullable<MachineView['error']> {
  return typeof value === 'object' && value !== null && 'code' in value && 'message' in value && 'details' in value && typeof value.details === 'object' && value.details !== null
}

/** Of an action's output: its last words, mostly the ones that say what was wrong. */
const OUTPUT_LINES_SHOWN = 20

function reasonText ({ code, clause, have, need, smallestChange: change, alternatives = change === undefined ? [] : [[change]] }: Reason): string {
  const sizes = have === undefined && need === undefined ? '' : ` (has ${JSON.stringify(have ?? null)}, wanted ${JSON.stringify(need ?? null)})`
  const ways = alternatives.map((changes) => changes.map(({ attribute, from, to }) => `${attribute} from ${JSON.stringify(from)} to ${JSON.stringify(to)}`).join(' and '))
  const mend = ways.length === 0 ? '' : `; would fit with ${ways.join(', or with ')}`
  return printable(`    ${code}: ${clause}${sizes}${mend}`)
}

/** The broker that spoke for the plant. */
function through (via: string | undefined): string { return via === undefined ? '' : ` through the broker ${via.slice(-8)}` }

function round (value: number): number {
  return Math.round(value * 100) / 100
}
