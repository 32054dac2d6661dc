/** Matching and ranking of two ads by their attributes Requirements and Rank. */
import type { AdValue, ClassAd } from './ast.ts'
import { evaluateAttribute } from './evaluate.ts'

/** True when each side's Requirements hold in view of the other. Missing, undefined, error and false do not hold; a number but 0 does. */
export function matches (left: ClassAd, right: ClassAd): boolean {
  return holds(evaluateAttribute('Requirements', { my: left, target: right })) && holds(evaluateAttribute('Requirements', { my: right, target: left }))
}

/** Whether requirements of this value are met. */
export function holds (value: AdValue): boolean {
  if (value.type === 'boolean') return value.value
  return value.type === 'integer' || value.type === 'real' ? Number(value.value) !== 0 : false
}

/** What `ranker` thinks of `other`: the value of its Rank, undefined without one. */
export function rankOf (ranker: ClassAd, other: ClassAd): AdValue {
  return evaluateAttribute('Rank', { my: ranker, target: other })
}

/** A rank as a number to order by: what is no number is 0, true is 1. */
export function rankNumber (value: AdValue): number {
  if (value.type === 'boolean') return value.value ? 1 : 0
  if (value.type !== 'integer' && value.type !== 'real') return 0
  const number = Number(value.value)
  // Neither NaN nor the negative zero orders as one expects.
  return number || 0
}
