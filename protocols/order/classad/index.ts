/**
 * The new ClassAd language: what orders ask of plants, and what plants and machines say of themselves. Reading throws
 * EXPRESSION_INVALID with line and column; evaluating never throws and is bounded (constants.ts). See README.md.
 */
export type { AdValue, Scalar } from './ast.ts'
export type { AdInput } from './build.ts'
export type { Change, Clause } from './explain.ts'
export type { Sides } from './scope.ts'
export { ClassAd, Expression } from './ast.ts'
export { adOf, adReal } from './build.ts'
export { evaluate, evaluateAttribute } from './evaluate.ts'
export { explain } from './explain.ts'
export { formatAd, formatExpression, formatValue } from './format.ts'
export { holds, matches, rankNumber, rankOf } from './match.ts'
export { parseAd, parseExpression } from './parser.ts'
