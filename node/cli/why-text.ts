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
interface AuctionRecord {
  candidates?: Array<{ plant: string, why: string }>
  bids?: Array<{ plant: string, total: number, rank?: number, items?: Array<{ item: string, cost: number, why: string }> }>
  refusals?: Array<{ plant: string, reasons?: Array<{ code: string, clause?: string, smallestChange?: unknown }> }>
  awards?: Array<{ plant: string, outcome: string, ms?: number }>
}

/** Renders what the API answers; a field that is not there is left out. */
export function whyText (value: Record<string, unknown>): string {
  const decision = value as Decision
  const lines = [`order ${printable(String(decision.orderId ?? ''))}`]
  for (const attempt of decision.attempts ?? []) lines.push(...attemptLines(attempt))
  return lines.join('\n')
}

function attemptLines (attempt: Attempt): string[] {
  const lines = ['', `machine ${attempt.vmid ?? ''}: ${printable(attempt.outcome ?? '')}${attempt.provisional === true ? ' (provisional)' : ''}`]
  const { candidates = [], bids = [], refusals = [], awards = [] } = attempt.decision ?? {}
  if (candidates.length > 0) lines.push(`  asked ${candidates.length} plants: ${candidates.map((c) => `${c.plant.slice(-8)} (${printable(c.why)})`).join(', ')}`)
  for (const bid of bids) {
    lines.push(`  bid of ${bid.plant.slice(-8)}: ${round(bid.total)}${bid.rank === undefined ? '' : `, rank ${bid.rank}`}`)
    if (bid.items !== undefined) lines.push(table(bid.items.map((i) => [`    ${printable(i.item)}`, String(round(i.cost)), printable(i.why)])))
  }
  for (const refusal of refusals) {
    lines.push(`  ${refusal.plant.slice(-8)} refused`)
    for (const reason of refusal.reasons ?? []) {
      lines.push(`    ${reason.code}${reason.clause === undefined ? '' : `: ${printable(reason.clause)}`}${reason.smallestChange === undefined ? '' : `; would fit with ${printable(JSON.stringify(reason.smallestChange))}`}`)
    }
  }
  for (const award of awards) lines.push(`  award to ${award.plant.slice(-8)}: ${printable(award.outcome)}${award.ms === undefined ? '' : ` in ${round(award.ms)} ms`}`)
  const golden = attempt.machine?.golden
  if (golden !== undefined) lines.push(`  plan: golden machine ${printable(golden.name)}, ${golden.actionsDone.length} actions done already, ran ${golden.actionsRun.length === 0 ? 'none' : printable(golden.actionsRun.join(', '))}`)
  if (attempt.machine?.phasesMs !== undefined) lines.push('  time', phasesText(attempt.machine.phasesMs))
  return lines
}

function round (value: number): number {
  return Math.round(value * 100) / 100
}
