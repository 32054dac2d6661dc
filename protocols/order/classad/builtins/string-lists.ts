/** Lists kept in one string, `"a, b,c"`: any of the delimiter characters divides, blanks around an item and empty items do not count. */
import { ERROR, UNDEFINED, boolean, integer, lower, real, type Value } from '../ast.ts'
import { ofValues, textOf, type Builtins, type Context } from './call.ts'
import { leadingNumber } from './conversions.ts'

const DELIMITERS = ' ,'

/** The items of a string list. */
export function stringList (text: string, delimiters: string, { evaluation }: Context): string[] {
  return divided(text, delimiters, evaluation.chargeText.bind(evaluation)).map((item) => item.trim()).filter((item) => item !== '')
}

function divided (text: string, delimiters: string, charge: (chars: number) => void): string[] {
  // An item costs as much as some characters: a list of delimiters alone is no free lunch.
  charge(text.length * 4)
  const dividers = new Set(delimiters === '' ? DELIMITERS : delimiters)
  const items: string[] = []
  let start = 0
  for (let at = 0; at <= text.length; at++) {
    if (at < text.length && !dividers.has(text.charAt(at))) continue
    if (at > start) items.push(text.slice(start, at))
    start = at + 1
  }
  return items
}

/** A list and perhaps its delimiters; both must be strings. */
const ofStringList = (run: (items: string[]) => Value) => ofValues(1, 2, (values, context) => {
  const text = textOf(values[0])
  const delimiters = values.length > 1 ? textOf(values[1]) : DELIMITERS
  return text === undefined || delimiters === undefined ? ERROR : run(stringList(text, delimiters, context))
})

/** Something, a list and perhaps its delimiters: what is undefined counts as empty, unless both are. */
const ofPair = (run: (left: string, right: string[], context: Context, delimiters: string) => Value) => ofValues(2, 3, (values, context) => {
  const [left, right] = values
  if (left?.type === 'undefined' && right?.type === 'undefined') return UNDEFINED
  const [l, r, delimiters] = [left, right, values[2] ?? UNDEFINED].map((value) => value?.type === 'undefined' ? '' : textOf(value))
  if (l === undefined || r === undefined || delimiters === undefined) return ERROR
  return run(l, stringList(r, delimiters, context), context, delimiters)
})

const member = (by: (text: string) => string) => ofPair((item, list) => boolean(list.some((other) => by(other) === by(item))))

const subset = (by: (text: string) => string) => ofPair((text, list, context, delimiters) => {
  const items = stringList(text, delimiters, context)
  // Delimiters alone are one item that nothing matches, as in the library.
  if (items.length === 0) return boolean(text === '')
  const all = new Set(list.map(by))
  return boolean(items.every((item) => all.has(by(item))))
})

/** Unlike the others, this one keeps the blanks around items and passes on what is undefined. */
const intersect = ofValues(2, 3, (values, { evaluation }) => {
  if (values.some((value) => value.type === 'error')) return ERROR
  if (values.some((value) => value.type === 'undefined')) return UNDEFINED
  const [left, right] = values.map(textOf)
  const delimiters = values.length > 2 ? textOf(values[2]) : DELIMITERS
  if (left === undefined || right === undefined || delimiters === undefined) return ERROR
  const charge = evaluation.chargeText.bind(evaluation)
  const all = new Set(divided(right, delimiters, charge))
  return boolean(divided(left, delimiters, charge).some((item) => all.has(item)))
})

/** Numbers of a string list: integers all, or reals. Undefined when one is no number. */
function numbersOf (items: string[]): { values: number[], integers: boolean } | undefined {
  const values = items.map(leadingNumber)
  const known = values.filter((value) => value !== undefined)
  return known.length === values.length ? { values: known, integers: items.every((item) => /^[-+]?\d+$/.test(item)) } : undefined
}

const ofNumbers = (empty: Value, run: (values: number[]) => number) => ofStringList((items) => {
  if (items.length === 0) return empty
  const numbers = numbersOf(items)
  if (numbers === undefined) return ERROR
  const result = run(numbers.values)
  return numbers.integers && Number.isFinite(result) ? integer(BigInt(Math.trunc(result))) : real(result)
})

const sum = (values: number[]): number => values.reduce((a, b) => a + b, 0)
const same = (text: string): string => text

/** The functions over lists written as text. */
export const stringListFunctions: Builtins = {
  stringlistsize: ofStringList((items) => integer(items.length)),
  stringlistsum: ofNumbers(real(0), sum),
  stringlistavg: ofNumbers(real(0), (values) => sum(values) / values.length),
  stringlistmin: ofNumbers(UNDEFINED, (values) => values.reduce((a, b) => Math.min(a, b))),
  stringlistmax: ofNumbers(UNDEFINED, (values) => values.reduce((a, b) => Math.max(a, b))),
  stringlistmember: member(same),
  stringlistimember: member(lower),
  stringlistsubsetmatch: subset(same),
  stringlistisubsetmatch: subset(lower),
  stringlistsintersect: intersect
}

