/** How an order was decided, for people: `plantmesh why`. */
import { printable, table } from './output.ts'
import { phasesText } from './machine-text.ts'

interface Decision {
  orderId?: string
  vmid?: string
  attempts?: Attempt[]
  machine?: { plant?: string, state?: string, golden?: { name: string, actionsDone: string[], actionsRun: string[] }, phasesMs?: Record<string, number> }
}
interface Attempt { vmid?: string, outcome?: string, provisional?: boolean, decision?: AuctionRecord, machine?: Decision['machine'] & { error?: { code: string, message: string } } }
/** As much of `Decision` (protocols/bid) as is shown. */
interface AuctionRecord {
  candidates?: Array<{ plant: string, why: string }>
  answers?: Array<{ plant: string, kind: string, problem?: string, bid?: { total: number, rank?: number, items: Array<{ item: string, cost: number, why: string }> }, refusal?: { reasons: Reason[], smallestChange: unknown[] } }>
  attempts?: Array<{ plant: string, outcome?: string, fromMs: number, toMs?: number }>
}
interface Reason { code: string, clause: string, have?: unknown, need?: unknown, smallestChange?: { attribute: string, from: unknown, to: unknown } }

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
  for (const { plant, kind, bid, refusal, problem } of answers) {
    if (bid !== undefined) {
      lines.push(`  bid of ${plant.slice(-8)}: ${round(bid.total)}${bid.rank === undefined ? '' : `, rank ${bid.rank}`}`)
      if (bid.items.length > 0) lines.push(table(bid.items.map((i) => [`    ${printable(i.item)}`, String(round(i.cost)), printable(i.why)])))
    } else if (refusal !== undefined) lines.push(`  ${plant.slice(-8)} refused`, ...refusal.reasons.map(reasonText))
    else lines.push(`  ${plant.slice(-8)}: ${kind === 'none' ? `no answer${problem === undefined ? '' : ` (${problem})`}` : kind}`)
  }
  for (const { plant, outcome, fromMs, toMs } of attempts) lines.push(`  award to ${plant.slice(-8)}: ${printable(outcome ?? 'under way')}${toMs === undefined ? '' : ` in ${round(toMs - fromMs)} ms`}`)
  const golden = attempt.machine?.golden
  if (golden !== undefined) lines.push(`  plan: golden machine ${printable(golden.name)}, ${golden.actionsDone.length} actions done already, ran ${golden.actionsRun.length === 0 ? 'none' : printable(golden.actionsRun.join(', '))}`)
  if (attempt.machine?.phasesMs !== undefined) lines.push('  time', phasesText(attempt.machine.phasesMs))
  return lines
}

function reasonText ({ code, clause, have, need, smallestChange: change }: Reason): string {
  const sizes = have === undefined && need === undefined ? '' : ` (has ${JSON.stringify(have ?? null)}, wanted ${JSON.stringify(need ?? null)})`
  const mend = change === undefined ? '' : `; would fit with ${change.attribute} from ${JSON.stringify(change.from)} to ${JSON.stringify(change.to)}`
  return printable(`    ${code}: ${clause}${sizes}${mend}`)
}

function round (value: number): number {
  return Math.round(value * 100) / 100
}
