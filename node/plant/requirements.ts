/** An order's ClassAd expressions over a plant's ad, in the terms of bids. */
import type { Change as BidChange, Reason } from '../../protocols/bid/index.ts'
import { evaluate, explain, formatValue, parseExpression, rankNumber, type AdValue, type Change, type ClassAd } from '../../protocols/order/classad/index.ts'

/**
 * The clauses of the requirements that fail for this plant, with the smallest change of its ad that would mend each; where one of several things would
 * do, with all of them.
 */
export function requirementReasons (requirements: string, plantAd: ClassAd, orderAd: ClassAd): Reason[] {
  return explain(parseExpression(requirements), { my: orderAd, target: plantAd }).filter((clause) => !clause.holds).map(({ text, value, mends }) => {
    const reason: Reason = { code: 'REQUIREMENTS_FAILED', clause: text, have: formatValue(value), need: true }
    const alternatives = mends.map((mend) => mend.map(changeOf))
    const [change, ...more] = alternatives[0] ?? []
    if (change === undefined) return reason
    if (more.length > 0) return { ...reason, alternatives }
    return alternatives.length > 1 ? { ...reason, smallestChange: change, alternatives } : { ...reason, have: change.from, need: change.to, smallestChange: change }
  })
}

function changeOf (change: Change): BidChange {
  return { attribute: change.attribute, from: plain(change.present), to: needed(change) }
}

/** The rank of this plant: a number, 0 where the expression gives none. */
export function rankNumberOf (rank: string, plantAd: ClassAd, orderAd: ClassAd): number {
  return rankNumber(evaluate(parseExpression(rank), { my: orderAd, target: plantAd }))
}

function needed (change: Change): string | number | boolean | null {
  return change.bound === 'to' ? plain(change.needed) : `${change.bound} ${formatValue(change.needed)}`
}

function plain (value: AdValue): string | number | boolean | null {
  switch (value.type) {
    case 'boolean': case 'string': return value.value
    case 'integer': case 'real': return Number.isFinite(Number(value.value)) ? Number(value.value) : formatValue(value)
    case 'undefined': return null
    default: return formatValue(value)
  }
}
