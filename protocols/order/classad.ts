/**
 * The face of the ClassAd language for the rest of the house; the language itself lives in `classad/`.
 * Spec: the new ClassAd language (Solomon, Raman, Livny), with HTCondor's fall-through of bare names to the target.
 */
export type { AdValue, ClassAd } from './classad/index.ts'
export { evaluate, formatAd, parseExpression, matches, rankOf } from './classad/index.ts'
