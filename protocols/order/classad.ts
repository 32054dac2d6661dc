/**
 * The face of the ClassAd language for the rest of the house; the language itself lives in `classad/`.
 * Spec: the new ClassAd language (Solomon, Raman, Livny), with HTCondor's fall-through of bare names to the target.
 */
export type { AdInput, AdValue, Change, Clause, Scalar, Sides } from './classad/index.ts'
export {
  ClassAd, Expression, adOf, adReal, evaluate, evaluateAttribute, explain, formatAd, formatExpression, formatValue, holds, matches,
  parseAd, parseExpression, rankNumber, rankOf
} from './classad/index.ts'
