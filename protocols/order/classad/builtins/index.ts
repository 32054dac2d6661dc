/** The table of built-in functions. */
import { lower } from '../ast.ts'
import type { Builtin } from './call.ts'
import { contextFunctions } from './contexts.ts'
import { conversionFunctions } from './conversions.ts'
import { listFunctions } from './lists.ts'
import { mathFunctions } from './math.ts'
import { patternFunctions } from './patterns.ts'
import { stringListFunctions } from './string-lists.ts'
import { stringFunctions } from './strings.ts'
import { timeFunctions } from './times.ts'
import { versionFunctions } from './versions.ts'

const TABLE: ReadonlyMap<string, Builtin> = new Map(Object.entries({
  ...conversionFunctions, ...mathFunctions, ...stringFunctions, ...stringListFunctions, ...listFunctions,
  ...patternFunctions, ...versionFunctions, ...timeFunctions, ...contextFunctions
}))

/** The function of that name, without regard to case. */
export function builtin (name: string): Builtin | undefined {
  return TABLE.get(lower(name))
}
