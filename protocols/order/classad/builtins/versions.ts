/** Versions: text in which runs of digits compare as numbers, after strverscmp(3). */
import { ERROR, UNDEFINED, boolean, integer, type Value } from '../ast.ts'
import { ofValues, type Builtins, type Context } from './call.ts'
import { toText } from './conversions.ts'

function isDigit (text: string, at: number): boolean {
  const char = text.charCodeAt(at)
  return char >= 48 && char <= 57
}

function codeAt (text: string, at: number): number {
  return at < text.length ? text.charCodeAt(at) : 0
}

function digitsEnd (text: string, from: number, counts: (at: number) => boolean = (at) => isDigit(text, at)): number {
  let at = from
  while (counts(at)) at++
  return at
}

/** Leading zeros of the number at `from`; a number that is all zeros keeps its last. */
function leadingZeros (text: string, from: number): number {
  const end = digitsEnd(text, from, (at) => text[at] === '0')
  return end - from - (end > from && !isDigit(text, end) ? 1 : 0)
}

/** Below, above or at zero; how far says where the texts differ, as the library's does. */
export function compareVersions (left: string, right: string): number {
  let at = 0
  while (at < left.length && codeAt(left, at) === codeAt(right, at)) at++
  const difference = codeAt(left, at) - codeAt(right, at)
  if (difference === 0) return 0
  let start = at
  while (start > 0 && isDigit(left, start - 1)) start--
  if (start === at && !(isDigit(left, at) && isDigit(right, at))) return difference
  const [leftZeros, rightZeros] = [leadingZeros(left, start), leadingZeros(right, start)]
  // Zeros in front make a fraction: more of them is less.
  if (leftZeros !== rightZeros) return rightZeros - leftZeros
  if (leftZeros > 0) return difference
  const longer = digitsEnd(left, start) - digitsEnd(right, start)
  return longer === 0 ? difference : longer
}

/** Texts of the values; undefined when one cannot be written as text. */
function textsOf (values: readonly Value[], context: Context): string[] | undefined {
  const texts = values.map((value) => toText(value, context))
  const known = texts.flatMap((text) => text.type === 'string' ? [text.value] : [])
  return known.length === texts.length ? known : undefined
}

const ofPair = (run: (order: number) => Value) => ofValues(2, 2, (values, context) => {
  if (values.some((value) => value.type === 'undefined')) return UNDEFINED
  const [left, right] = textsOf(values, context) ?? []
  return left === undefined || right === undefined ? ERROR : run(compareVersions(left, right))
})

/** The functions that compare version numbers. */
export const versionFunctions: Builtins = {
  versioncmp: ofPair((order) => integer(order)),
  versiongt: ofPair((order) => boolean(order > 0)),
  versionge: ofPair((order) => boolean(order >= 0)),
  versionlt: ofPair((order) => boolean(order < 0)),
  versionle: ofPair((order) => boolean(order <= 0)),
  versioneq: ofPair((order) => boolean(order === 0)),
  version_in_range: ofValues(3, 3, (values, context) => {
    if (values[1]?.type === 'undefined' || values[2]?.type === 'undefined') return UNDEFINED
    const [version, least, most] = textsOf(values, context) ?? []
    if (version === undefined || least === undefined || most === undefined) return ERROR
    return boolean(compareVersions(least, version) <= 0 && compareVersions(version, most) <= 0)
  })
}
