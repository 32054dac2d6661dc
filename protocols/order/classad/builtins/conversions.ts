/** Types and conversions between them. */
import { ERROR, UNDEFINED, boolean, integer, lower, real, string, upper, type Scalar, type Value } from '../ast.ts'
import { scientificText } from '../format.ts'
import { absTimeText, relTimeText } from '../time-text.ts'
import { ofValues, type Builtins, type Context } from './call.ts'

const INTEGER_MAX = 2n ** 63n - 1n
const INTEGER_MIN = -(2n ** 63n)

/** A real cut to an integer. What does not fit is brought to the nearest that does, and no number to 0 (C leaves both open). */
export function truncated (value: number): Scalar {
  if (Number.isNaN(value)) return integer(0n)
  if (value >= 2 ** 63) return integer(INTEGER_MAX)
  return value < -(2 ** 63) ? integer(INTEGER_MIN) : integer(BigInt(Math.trunc(value)))
}

/** The number a text begins with, as strtod(3) reads it. */
export function leadingNumber (text: string): number | undefined {
  const found = /^\s*([-+]?)(?:(0[xX][0-9a-fA-F]+)|(inf(?:inity)?|nan)|((?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?))/i.exec(text)
  if (found === null) return undefined
  const [, sign, hex, word, decimal] = found
  const size = word === undefined ? Number(hex ?? decimal) : lower(word) === 'nan' ? NaN : Infinity
  return sign === '-' ? -size : size
}

/** As a real; undefined for what has none. */
export function realOf (value: Value): number | undefined {
  switch (value.type) {
    case 'real': return value.value
    case 'integer': return Number(value.value)
    case 'boolean': return value.value ? 1 : 0
    case 'string': return leadingNumber(value.value)
    case 'absTime': case 'relTime': return value.seconds
    default: return undefined
  }
}

/** As an integer: undefined stays, what has none is error. */
export function toInteger (value: Value): Scalar {
  switch (value.type) {
    case 'undefined': case 'integer': return value
    case 'string': {
      const whole = /^\s*([-+]?)0*(\d{1,18})\s*$/.exec(value.value)
      if (whole !== null) return integer(BigInt(whole[1] === '-' ? `-${whole[2] ?? ''}` : whole[2] ?? 0))
    }
  }
  const number = realOf(value)
  return number === undefined ? ERROR : truncated(number)
}

/** As a string: undefined and error stay, lists and ads are written out. */
export function toText (value: Value, { evaluation }: Context): Scalar {
  switch (value.type) {
    case 'undefined': case 'error': case 'string': return value
    case 'boolean': case 'integer': return string(String(value.value))
    case 'real': return string(scientificText(value.value))
    case 'absTime': return string(absTimeText(value))
    case 'relTime': return string(relTimeText(value.seconds))
    default: return evaluation.made(evaluation.text({ kind: 'literal', value }))
  }
}

function toReal (value: Value): Scalar {
  if (value.type === 'undefined') return value
  const number = realOf(value)
  return number === undefined ? ERROR : real(number)
}

function toBoolean (value: Value): Scalar {
  switch (value.type) {
    case 'undefined': case 'boolean': return value
    case 'integer': return boolean(value.value !== 0n)
    case 'real': return boolean(value.value !== 0)
    case 'relTime': return boolean(value.seconds !== 0)
    case 'string': return lower(value.value) === 'true' ? boolean(true) : lower(value.value) === 'false' ? boolean(false) : UNDEFINED
    default: return ERROR
  }
}

function changedCase (change: (text: string) => string): (value: Value | undefined, context: Context) => Scalar {
  return (value, context) => {
    const text = toText(value ?? UNDEFINED, context)
    return text.type === 'string' ? context.evaluation.made(change(text.value)) : text
  }
}

const isType = (type: Value['type']) => ofValues(1, 1, ([value]) => boolean(value?.type === type))
const ofOne = (run: (value: Value, context: Context) => Value) => ofValues(1, 1, ([value], context) => run(value ?? UNDEFINED, context))

/** int, real, string, bool and what tells types apart (CLASSAD notes, Functions). */
export const conversionFunctions: Builtins = {
  isundefined: isType('undefined'),
  iserror: isType('error'),
  isboolean: isType('boolean'),
  isinteger: isType('integer'),
  isreal: isType('real'),
  isstring: isType('string'),
  islist: isType('list'),
  isclassad: isType('ad'),
  isabstime: isType('absTime'),
  isreltime: isType('relTime'),
  int: ofOne(toInteger),
  real: ofOne(toReal),
  bool: ofOne(toBoolean),
  string: ofOne(toText),
  tolower: ofOne(changedCase(lower)),
  toupper: ofOne(changedCase(upper))
}
